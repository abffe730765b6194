// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine made again up to any record: the same records, the same words in the same places, the same
// actors; and it goes on from there as a machine would that had been treated so from its beginning.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <thread>

#include "engine/base/tests/sanitized.hpp"
#include "engine/inspect/snapshot.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::sim {
namespace {

using session::ActorState;
using session::ActorWaits;
using session::Failure;
using session::Milliseconds;
using session::Target;
constexpr u64 KiB = 1024, MiB = 1024 * KiB;
constexpr Milliseconds limit{20'000};  // a hang guard
constexpr auto nothing = [] {};

using Records = std::vector<morsel_journal_record>;
using Operation = std::function<void(Target&)>;

// All words of all tables, with their addresses.
std::vector<u64> words_of(Target& t)
{
  std::vector<u64> all;
  const auto add = [&](const inspect::TreeSource& tree, Range range) {
    const auto snapshot = inspect::Snapshot::take(t.memory(), tree, range);
    for (u32 i = 0; i < snapshot.table_count(); ++i) {
      all.push_back(snapshot.table_address(i).value);
      all.insert(all.end(), snapshot.words(i).begin(), snapshot.words(i).end());
    }
  };
  for (const session::ObjectState& o : t.objects()) {
    add(o.source(), o.range());
    for (const session::ViewState& v : o.views) add(v.source(), o.range());
  }
  return all;
}

void expect_same_records(const Records& is, const Records& was, std::size_t count)
{
  ASSERT_GE(is.size(), count);
  ASSERT_GE(was.size(), count);
  for (std::size_t i = 0; i < count; ++i)
    ASSERT_EQ(std::memcmp(&is[i], &was[i], sizeof is[i]), 0) << "record " << i + 1;
}

// What an operation says when it is refused is no concern here.
void perform(Target& t, const Operation& operation)
{
  try {
    operation(t);
  } catch (const Failure&) {
  }
}

const std::vector<Operation>& beginning()
{
  static const std::vector<Operation> operations{
      [](Target& t) { t.create_object("a", 4 * MiB, {}); },
      [](Target& t) { t.add_view("a", FormatId::ept); },
      [](Target& t) {
        t.populate("a", {0, 16 * KiB}, rights_rw, 0);
      },
      [](Target& t) {
        t.access({"a", 1, 0, right_write, 7});
      },
  };
  return operations;
}

const std::vector<Operation>& life()
{
  static const std::vector<Operation> operations{
      [](Target& t) {
        t.access({"a", 1, 4 * KiB, right_read});
      },
      [](Target& t) { t.inject({.point = SyncPoint::carry, .times = 3, .probability = 50, .seed = 5}); },
      [](Target& t) {
        t.unmap("a", {4 * KiB, 8 * KiB});
      },
      [](Target& t) {
        t.populate("a", {2 * MiB, 4 * MiB}, rights_rw, 1);
      },
      [](Target& t) { t.add_view("a", FormatId::npt); },
      [](Target& t) {
        t.access({"a", 2, 2 * MiB + 8, right_write, 9});
      },
      [](Target& t) {
        t.split("a", {2 * MiB, 4 * MiB}, 0);
      },
      [](Target& t) {
        t.unmap("nobody", {0, 4 * KiB});
      },
      [](Target& t) {
        t.migrate("a", {0, 4 * KiB});
      },
      [](Target& t) {
        t.harvest("a", {0, 4 * MiB});
      },
      [](Target& t) { t.clear_injected(); },
      [](Target& t) { t.clone_object("a", "b"); },
      [](Target& t) {
        t.access({"b", 0, 0, right_write, 11});
      },
      [](Target& t) { t.drop_view("a", 1); },
  };
  return operations;
}

TEST(EmbeddedAgain, GoesOnFromAnyRecordAsItDid)
{
  const auto t = make_embedded_target();
  for (const Operation& operation : beginning()) operation(*t);
  t->journal()->record(true);
  Records records;
  std::vector<std::size_t> ends;  // records done when an operation had ended
  const auto read = [&] {
    const Records more = t->journal()->read().records;
    records.insert(records.end(), more.begin(), more.end());
  };
  for (const Operation& operation : life()) {
    perform(*t, operation);
    read();
    ends.push_back(records.size());
  }
  const std::vector<u64> words = words_of(*t);
  ASSERT_GT(records.size(), 150u);
  // The latest first, so that each time much was done since, in a machine that was made again before.
  constexpr std::size_t apart = sanitized ? 48 : 12;
  for (std::size_t at = records.size(); at-- > 0; at -= std::min(at, apart)) {
    SCOPED_TRACE(at);
    bool called = false;
    t->go_back_to(at, [&] {
      called = true;
      EXPECT_TRUE(t->journal()->recording());
      EXPECT_TRUE(t->journal()->read().records.empty());
    });
    EXPECT_TRUE(called);
    EXPECT_TRUE(t->stepping()->stopped());
    EXPECT_LE(t->stepping()->actors().size(), 1u);
    Records again = t->journal()->read().records;
    ASSERT_GE(again.size(), at);
    expect_same_records(again, records, again.size());
    const std::size_t now = again.size();
    t->stepping()->run();
    t->objects();  // waits until nobody runs
    // Operations that left no record between two places are done on both sides of it: they change nothing twice.
    for (std::size_t i = 0; i < life().size(); ++i)
      if ((i == 0 ? 0 : ends[i - 1]) >= now) perform(*t, life()[i]);
    const Records rest = t->journal()->read().records;
    again.insert(again.end(), rest.begin(), rest.end());
    EXPECT_EQ(again.size(), records.size());
    expect_same_records(again, records, records.size());
    EXPECT_EQ(words_of(*t), words);
  }
}

TEST(EmbeddedAgain, GoesAnotherWayAsAMachineThatWasTreatedSo)
{
  const auto t = make_embedded_target(), fresh = make_embedded_target();
  for (const auto& machine : {&t, &fresh}) {
    for (const Operation& operation : beginning()) operation(**machine);
    (*machine)->journal()->record(true);
    for (std::size_t i = 0; i < 4; ++i) perform(**machine, life()[i]);
  }
  const u64 here = t->journal()->read().records.back().sequence;
  for (std::size_t i = 4; i < life().size(); ++i) perform(*t, life()[i]);
  t->go_back_to(here, nothing);
  t->stepping()->run();
  fresh->stepping()->stop(limit);
  fresh->stepping()->run();
  for (const auto& machine : {&t, &fresh}) {
    (*machine)->protect("a", {0, 8 * KiB}, right_read);
    (*machine)->populate("a", {64 * KiB, 128 * KiB}, rights_rw, 0);
    (*machine)->access({"a", 1, 68 * KiB, right_write, 3});
    (*machine)->create_object("other", 2 * MiB, {});
  }
  EXPECT_EQ(words_of(*t), words_of(*fresh));
  const Records one = t->journal()->read().records, other = fresh->journal()->read().records;
  ASSERT_EQ(one.size(), other.size());
  expect_same_records(one, other, one.size());
  for (const auto& machine : {&t, &fresh}) {
    for (const session::ObjectState& o : (*machine)->objects()) (*machine)->destroy_object(o.name);
    const session::Counters left = (*machine)->counters();
    EXPECT_EQ(left.objects + left.views + left.tables + left.frames, 0u);
  }
}

// Two requests that wait for each other's steps.
class SteppedAgain : public testing::Test {
 protected:
  SteppedAgain()
  {
    for (const Operation& operation : beginning()) operation(*t);
    t->journal()->record(true);
    s.stop(limit);
  }
  ~SteppedAgain() override { s.run(); }
  u32 begin(Operation operation)
  {
    const std::size_t before = s.actors().size();
    requests.push_back(std::async(std::launch::async, [this, work = std::move(operation)] { work(*t); }));
    while (s.actors().size() == before) std::this_thread::yield();
    return s.actors().back().id;
  }
  // In the order of the records, as far as somebody waits.
  void follow(const Records& records, std::size_t from)
  {
    for (std::size_t i = from; i < records.size(); ++i) {
      if (records[i].flags & (MORSEL_RECORD_PRIVATE | MORSEL_RECORD_UNGATED)) continue;
      for (const ActorState& a : s.actors())
        if (a.id == records[i].actor_id && a.waits == ActorWaits::at_point) s.step(a.id, limit);
    }
  }

  std::unique_ptr<Target> t = make_embedded_target();
  session::Stepping& s = *t->stepping();
  std::vector<std::future<void>> requests;
};

TEST_F(SteppedAgain, WhoWasInTheMiddleOfSomethingWaitsThereAndGoesOn)
{
  const u32 filler = begin([](Target& target) { target.access({"a", 1, 4 * KiB, right_read, 0, false}); });
  ActorState at = s.actors()[0];
  while (at.next.point != SyncPoint::publish) at = s.step(filler, limit);
  const u32 mutator = begin([](Target& target) { target.unmap("a", {4 * KiB, 8 * KiB}); });
  while (s.step(mutator, limit).waits == ActorWaits::at_point) continue;
  while (s.step(filler, limit).waits == ActorWaits::at_point) continue;
  for (auto& request : requests) request.get();
  const Records records = t->journal()->read().records;
  const std::vector<u64> words = words_of(*t);
  ASSERT_GT(records.size(), 30u);
  const auto first = std::find_if(records.begin(), records.end(), [&](auto& r) { return r.actor_id == mutator; });
  const auto both = static_cast<std::size_t>(first - records.begin()) + 1;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < records.size() - both; ++i) places.push_back(both + i * 5 % (records.size() - both));
  for (std::size_t place = both; place-- > 0;) places.push_back(place);
  for (const std::size_t place : places) {
    SCOPED_TRACE(place);
    t->go_back_to(place, nothing);
    EXPECT_TRUE(s.stopped());
    Records again = t->journal()->read().records;
    ASSERT_GE(again.size(), place);
    expect_same_records(again, records, again.size());
    const auto waiting = s.actors();
    for (const ActorState& a : waiting) EXPECT_EQ(a.waits, ActorWaits::at_point);
    if (place < both) {  // from here on, the mutator has not begun
      EXPECT_EQ(waiting.size(), place == 0 ? 0u : 1u);
      continue;
    }
    follow(records, again.size());
    const Records rest = t->journal()->read().records;
    again.insert(again.end(), rest.begin(), rest.end());
    ASSERT_EQ(again.size(), records.size());
    expect_same_records(again, records, records.size());
    EXPECT_EQ(words_of(*t), words);
  }
}

TEST_F(SteppedAgain, WhoWaitsNowComesToItsEndFirst)
{
  begin([](Target& target) { target.unmap("a", {4 * KiB, 8 * KiB}); });
  s.step(s.actors()[0].id, limit);
  t->go_back_to(0, nothing);
  requests[0].get();
  EXPECT_TRUE(s.actors().empty());
  EXPECT_EQ(t->populated("a", {0, 4 * MiB}).size(), 1u) << "what it did is undone";
  EXPECT_EQ(t->populated("a", {0, 4 * MiB})[0].range, (Range{0, 16 * KiB}));
}

TEST(EmbeddedAgainRefuses, WhatWasNotRecordedAndWhatDidNotHappen)
{
  const auto t = make_embedded_target();
  t->create_object("a", 4 * MiB, {});
  EXPECT_THROW(t->go_back_to(0, nothing), Failure);
  t->journal()->record(true);
  t->populate("a", {0, 4 * KiB}, rights_rw, 0);
  const u64 last = t->journal()->read().records.back().sequence;
  EXPECT_THROW(t->go_back_to(last + 1, nothing), Failure);
  EXPECT_EQ(t->objects().size(), 1u) << "nothing was done";
}

TEST(EmbeddedAgainRefuses, NotEvenACrash)
{
  const auto t = make_embedded_target();
  for (const Operation& operation : beginning()) operation(*t);
  t->journal()->record(true);
  t->unmap("a", {0, 4 * KiB});
  const std::vector<u64> words = words_of(*t);
  const u64 here = t->journal()->read().records.back().sequence;
  t->inject({.point = SyncPoint::change, .action = MORSEL_FAULT_CRASH});
  EXPECT_THROW(t->unmap("a", {4 * KiB, 8 * KiB}), Failure);
  EXPECT_THROW(t->objects(), Failure);
  t->go_back_to(here, nothing);
  t->stepping()->run();
  EXPECT_EQ(words_of(*t), words);
  EXPECT_EQ(t->unmap("a", {4 * KiB, 8 * KiB}), 1u) << "the rule came later";
}

}  // namespace
}  // namespace morsel::sim
