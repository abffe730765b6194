// SPDX-License-Identifier: GPL-2.0-or-later
//
// Stepping, grace periods, journal and faults of the embedded machine, through the target's interface.
#include "engine/sim/baton.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <thread>

#include "engine/inspect/diff.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::sim {
namespace {

using session::AccessOutcome;
using session::ActorState;
using session::ActorWaits;
using session::Failure;
using session::Milliseconds;
constexpr u64 KiB = 1024, MiB = 1024 * KiB;
constexpr Milliseconds limit{20'000};  // a hang guard

struct SteppedTarget : testing::Test {
  SteppedTarget()
  {
    t->create_object("a", 4 * MiB, {});
    t->add_view("a", FormatId::ept);
    t->populate("a", {0, 16 * KiB}, rights_rw, 0);
    t->access({"a", 1, 0, right_write, 7, false});
  }
  // A request that waits at its first point; its number.
  template <class Request>
  std::pair<u32, std::future<void>> begin(Request&& request)
  {
    const std::size_t before = s.actors().size();
    auto done = std::async(std::launch::async, std::forward<Request>(request));
    while (s.actors().size() == before && done.wait_for(Milliseconds(0)) != std::future_status::ready)
      std::this_thread::yield();
    const auto all = s.actors();
    return {all.size() > before ? all.back().id : 0, std::move(done)};
  }
  ActorState step_to(u32 actor, SyncPoint point)
  {
    for (ActorState a = state_of(actor);; a = s.step(actor, limit))
      if (a.waits == ActorWaits::finished || a.next.point == point) return a;
  }
  ActorState state_of(u32 actor)
  {
    for (ActorState& a : s.actors())
      if (a.id == actor) return a;
    return {};
  }
  ActorState finish(u32 actor)
  {
    ActorState a = state_of(actor);
    while (a.waits == ActorWaits::at_point) a = s.step(actor, limit);
    return a;
  }
  inspect::DiffState state_at(u64 offset)
  {
    const auto o = t->object("a");
    const auto p = inspect::Snapshot::take(t->memory(), o.source(), o.range());
    const auto v = inspect::Snapshot::take(t->memory(), o.views[0].source(), o.range());
    return inspect::Diff::compare(p, v, {offset, offset + page_bytes}).at(offset);
  }
  void expect_nothing_is_left()
  {
    t->destroy_object("a");
    const session::Counters c = t->counters();
    EXPECT_EQ(c.objects + c.views + c.tables + c.frames, 0u);
  }

  std::unique_ptr<session::Target> t = make_embedded_target(u64{64} * MiB);
  session::Stepping& s = *t->stepping();
  session::JournalSource& journal = *t->journal();
};

TEST_F(SteppedTarget, AnUnmapStandsBetweenChangeAndInvalidation)
{
  s.stop(limit);
  auto [actor, done] = begin([&] { t->unmap("a", {0, 4 * KiB}); });
  EXPECT_EQ(state_of(actor).next.point, SyncPoint::read_size);
  EXPECT_EQ(state_of(actor).who, "unmap 0x0..0x1000 of a");
  const ActorState at = step_to(actor, SyncPoint::invalidate);
  EXPECT_EQ(at.next.tree, 1u);
  EXPECT_EQ(at.next.offset, 0u);
  EXPECT_NE(at.next.word, 0u);
  EXPECT_EQ(at.next.desired, 0u);
  EXPECT_EQ(state_at(0), inspect::DiffState::stale);
  s.step(actor, limit);
  EXPECT_NE(state_at(0), inspect::DiffState::stale);
  EXPECT_EQ(finish(actor).waits, ActorWaits::finished);
  done.get();
  EXPECT_TRUE(s.actors().empty());
  s.run();
  expect_nothing_is_left();
}

// The unmap looks into the view after the fill has reserved, so the fill loses its reservation.
TEST_F(SteppedTarget, AFillThatRacesAnUnmapPublishesNothing)
{
  s.stop(limit);
  AccessOutcome outcome = AccessOutcome::hit;
  auto [filler, filled] = begin([&] { outcome = t->access({"a", 1, 4 * KiB, right_read, 0, false}).outcome; });
  step_to(filler, SyncPoint::publish);
  auto [mutator, unmapped] = begin([&] { t->unmap("a", {4 * KiB, 8 * KiB}); });
  EXPECT_EQ(finish(mutator).waits, ActorWaits::finished);
  EXPECT_EQ(finish(filler).waits, ActorWaits::finished);
  filled.get();
  unmapped.get();
  EXPECT_EQ(outcome, AccessOutcome::denied);
  s.run();
  expect_nothing_is_left();
}

TEST_F(SteppedTarget, AHarvestWaitsForThoseInsideAndNamesThem)
{
  s.stop(limit);
  auto [inside, filled] = begin([&] { t->access({"a", 1, 4 * KiB, right_read, 0, false}); });
  step_to(inside, SyncPoint::publish);
  session::HarvestReply report;
  auto [harvester, harvested] = begin([&] { report = t->harvest("a", {0, 16 * KiB}); });
  const ActorState waiting = finish(harvester);
  ASSERT_EQ(waiting.waits, ActorWaits::for_grace);
  EXPECT_EQ(waiting.waits_for, std::vector<u32>{inside});
  EXPECT_THROW(s.step(harvester, limit), Failure);
  EXPECT_EQ(finish(inside).waits, ActorWaits::finished);
  EXPECT_EQ(state_of(harvester).waits, ActorWaits::at_point);  // it went on by itself
  finish(harvester);
  filled.get();
  harvested.get();
  EXPECT_EQ(report.dirty, (std::vector<Range>{{0, 4 * KiB}}));
  s.run();
  expect_nothing_is_left();
}

TEST_F(SteppedTarget, WhatIsRetiredStaysUntilTheLastWhoWasInsideHasLeft)
{
  const u64 frames = t->object("a").frames;
  s.stop(limit);
  auto [inside, filled] = begin([&] { t->access({"a", 1, 4 * KiB, right_read, 0, false}); });
  step_to(inside, SyncPoint::publish);
  auto [mutator, unmapped] = begin([&] { t->unmap("a", {8 * KiB, 12 * KiB}); });
  EXPECT_EQ(finish(mutator).waits, ActorWaits::finished);
  EXPECT_EQ(t->object("a").frames, frames);
  finish(inside);
  EXPECT_EQ(t->object("a").frames, frames - 1);
  filled.get();
  unmapped.get();
  s.run();
  expect_nothing_is_left();
}

TEST_F(SteppedTarget, AViewMayBeDroppedAndAddedWhileItIsFilled)
{
  s.stop(limit);
  auto [filler, filled] = begin([&] { EXPECT_THROW(t->access({"a", 1, 4 * KiB, right_read, 0, false}), Failure); });
  step_to(filler, SyncPoint::publish);
  auto [dropper, dropped] = begin([&] { t->drop_view("a", 1); });
  EXPECT_EQ(finish(dropper).waits, ActorWaits::finished);
  EXPECT_TRUE(t->object("a").views.empty());
  auto [adder, added] = begin([&] { EXPECT_EQ(t->add_view("a", FormatId::npt).number, 2u); });
  EXPECT_EQ(finish(adder).waits, ActorWaits::finished);
  finish(filler);
  filled.get();
  dropped.get();
  added.get();
  s.run();
  EXPECT_EQ(t->add_view("a", FormatId::amd64).number, 1u);
  expect_nothing_is_left();
}

TEST_F(SteppedTarget, ADestroyWaitsForTheRequestsOfItsObject)
{
  s.stop(limit);
  auto [mutator, unmapped] = begin([&] { t->unmap("a", {0, 4 * KiB}); });
  step_to(mutator, SyncPoint::invalidate);
  auto [destroyer, destroyed] = begin([&] { t->destroy_object("a"); });
  EXPECT_EQ(state_of(destroyer).waits, ActorWaits::for_grace);
  EXPECT_EQ(state_of(destroyer).waits_for, std::vector<u32>{mutator});
  s.run();
  unmapped.get();
  destroyed.get();
  const session::Counters c = t->counters();
  EXPECT_EQ(c.objects + c.views + c.tables + c.frames, 0u);
}

TEST_F(SteppedTarget, UntilStopsWhereTheConditionIsMetForTheNthTime)
{
  s.stop(limit);
  auto [actor, done] = begin([&] { t->unmap("a", {0, 16 * KiB}); });
  session::StopCondition third{.point = SyncPoint::find, .nth = 3};
  const auto met = s.until(third, limit).met;
  ASSERT_TRUE(met);
  EXPECT_EQ(met->id, actor);
  EXPECT_EQ(met->next.point, SyncPoint::find);
  EXPECT_TRUE(s.stopped());
  EXPECT_TRUE(s.until({.point = SyncPoint::install}, limit).finished);
  done.get();
  EXPECT_TRUE(s.stopped());
  s.run();
  EXPECT_THROW(s.step(99, limit), Failure);
}

TEST_F(SteppedTarget, TheJournalTellsEachAccessInOrderAndTheSameAgain)
{
  const auto records_of = [](session::Target& target) {
    target.journal()->record(true);
    target.create_object("j", 4 * MiB, {});
    target.populate("j", {0, 8 * KiB}, rights_rw, 0);
    target.unmap("j", {0, 4 * KiB});
    target.journal()->record(false);
    target.unmap("j", {4 * KiB, 8 * KiB});
    return target.journal()->read();
  };
  const auto first = make_embedded_target(u64{64} * MiB), second = make_embedded_target(u64{64} * MiB);
  const session::JournalRead read = records_of(*first), again = records_of(*second);
  ASSERT_GT(read.records.size(), 20u);
  ASSERT_EQ(read.records.size(), again.records.size());
  EXPECT_EQ(read.lost + read.garbage, 0u);
  u64 words = 0, tables = 0, changes = 0;
  for (std::size_t i = 0; i < read.records.size(); ++i) {
    const morsel_journal_record& r = read.records[i];
    EXPECT_EQ(std::memcmp(&r, &again.records[i], sizeof r), 0) << "record " << i;
    EXPECT_EQ(r.sequence, i + 1);
    words += (r.flags & MORSEL_RECORD_PRIVATE) != 0;
    tables += (r.flags & MORSEL_RECORD_TABLE) != 0;
    if (r.point != static_cast<u16>(SyncPoint::change) || (r.flags & MORSEL_RECORD_PRIVATE)) continue;
    ++changes;
    EXPECT_NE(r.before, 0u);
    EXPECT_EQ(r.after, 0u);
  }
  EXPECT_EQ(words, 2u);
  EXPECT_EQ(tables, 2u);  // the root and the table below it
  EXPECT_EQ(changes, 1u);
  EXPECT_TRUE(first->journal()->read().records.empty());
}

TEST_F(SteppedTarget, ADelayedInvalidationHappensAtItsPoint)
{
  t->inject({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_DELAY, .until = SyncPoint::flush});
  journal.record(true);
  t->unmap("a", {0, 4 * KiB});
  journal.record(false);
  std::vector<SyncPoint> order;
  for (const auto& r : journal.read().records)
    if (const auto at = static_cast<SyncPoint>(r.point); at == SyncPoint::invalidate || at == SyncPoint::flush)
      if (r.before != r.after || at == SyncPoint::flush) order.push_back(at);
  EXPECT_EQ(order, (std::vector<SyncPoint>{SyncPoint::flush, SyncPoint::invalidate}));
  EXPECT_NE(state_at(0), inspect::DiffState::stale);
  expect_nothing_is_left();
}

TEST_F(SteppedTarget, ACorruptedPublicationStoresOtherBits)
{
  t->inject({.point = SyncPoint::publish, .action = MORSEL_FAULT_CORRUPT, .bits = u64{1} << 12});
  t->access({"a", 1, 4 * KiB, right_read, 0, false});
  EXPECT_EQ(state_at(4 * KiB), inspect::DiffState::frame);
}

TEST_F(SteppedTarget, RulesAreThinnedOutByRangeIntervalAndChance)
{
  const auto fired = [&](session::InjectRule rule) {
    rule.point = SyncPoint::change;
    rule.action = MORSEL_FAULT_FAIL;
    rule.times = 1000;
    t->clear_injected();
    t->inject(rule);
    t->populate("a", {1 * MiB, 2 * MiB}, rights_rw, 0);
    t->unmap("a", {1 * MiB, 2 * MiB});
    return t->injected().front().fired;
  };
  EXPECT_EQ(fired({.range = Range{3 * MiB, 4 * MiB}}), 0u);
  EXPECT_EQ(fired({.actor = 9999}), 0u);
  const u64 every_tenth = fired({.interval = 10});
  EXPECT_GT(every_tenth, 20u);
  const u64 some = fired({.probability = 30, .seed = 5});
  EXPECT_GT(some, 20u);
  EXPECT_EQ(fired({.probability = 30, .seed = 5}), some);
}

TEST_F(SteppedTarget, ARuleMayBeAboutOneObject)
{
  t->create_object("b", 4 * MiB, {});
  EXPECT_THROW(t->inject({.object = "nobody"}), Failure);
  t->inject({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL, .object = "b"});
  EXPECT_EQ(t->populate("a", {2 * MiB, 2 * MiB + 4 * KiB}, rights_rw, 0), 1u);
  EXPECT_THROW(t->populate("b", {0, 4 * KiB}, rights_rw, 0), Failure);
  EXPECT_EQ(t->injected().front().fired, 1u);
  EXPECT_EQ(t->injected().front().object, "b");
  t->destroy_object("b");
  EXPECT_EQ(t->injected().front().object, "");
}

TEST_F(SteppedTarget, UntilThatNobodyMeetsTellsThatTheGateIsClosed)
{
  u32 stops = 0;
  t->listen([&](const session::Event& e) { stops += e.kind == session::Event::Kind::stopped && e.actor == 0; });
  EXPECT_TRUE(s.until({.point = SyncPoint::install}, limit).finished);
  EXPECT_EQ(stops, 1u);
  s.stop(limit);
  EXPECT_EQ(stops, 1u);
  t->listen({});
}

TEST_F(SteppedTarget, AfterACrashNothingIsThereAnyMore)
{
  std::vector<session::Event::Kind> heard;
  t->listen([&](const session::Event& e) { heard.push_back(e.kind); });
  t->inject({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_CRASH});
  const auto lost = [](auto&& request) {
    try {
      request();
    } catch (const Failure& f) {
      return f.code() == session::Exit::target_lost;
    }
    return false;
  };
  EXPECT_TRUE(lost([&] { t->unmap("a", {0, 4 * KiB}); }));
  EXPECT_TRUE(lost([&] { t->objects(); }));
  EXPECT_TRUE(lost([&] { t->create_object("b", 4 * KiB, {}); }));
  EXPECT_EQ(heard, (std::vector{session::Event::Kind::fault_fired, session::Event::Kind::target_lost}));
}

TEST_F(SteppedTarget, ATargetThatEndsLetsItsActorsFinish)
{
  s.stop(limit);
  auto [one, first] = begin([&] { t->unmap("a", {0, 4 * KiB}); });
  auto [two, second] = begin([&] { t->populate("a", {1 * MiB, 2 * MiB}, rights_rw, 0); });
  t.reset();
  first.get();
  second.get();
}

}  // namespace
}  // namespace morsel::sim
