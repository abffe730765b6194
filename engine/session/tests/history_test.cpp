// SPDX-License-Identifier: GPL-2.0-or-later
//
// History against the machine: operations by chance on the embedded machine, real snapshots on the way, and the tables
// as they were at those places, entry by entry, in whichever order they are gone to.
#include "engine/session/history.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "engine/session/recorder.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

constexpr u64 memory_bytes = u64{256} << 20, object_bytes = u64{8} << 20, large_bytes = u64{2} << 20;

// All trees of all objects as they stood in the machine.
struct Seen {
  std::size_t position = 0;
  std::vector<ObjectState> objects;
  std::vector<inspect::Snapshot> trees;
};

std::vector<inspect::Snapshot> trees_of(const inspect::PhysicalMemory& memory, const std::vector<ObjectState>& objects)
{
  std::vector<inspect::Snapshot> trees;
  for (const ObjectState& o : objects) {
    trees.push_back(inspect::Snapshot::take(memory, o.source(), o.range()));
    for (const ViewState& v : o.views) trees.push_back(inspect::Snapshot::take(memory, v.source(), o.range()));
  }
  return trees;
}

void expect_same(const inspect::Snapshot& was, const inspect::Snapshot& shown)
{
  const u64 compared = ~hardware_bits(was.format());
  ASSERT_EQ(shown.table_count(), was.table_count());
  for (u32 t = 0; t < was.table_count(); ++t) {
    ASSERT_EQ(shown.table_address(t), was.table_address(t));
    for (std::size_t i = 0; i < was.words(t).size(); ++i)
      ASSERT_EQ(shown.words(t)[i] & compared, was.words(t)[i] & compared)
          << "entry " << i << " of the level-" << int{was.table_level(t)} << " table at " << was.table_offset(t);
  }
}

class RandomOperations {
 public:
  explicit RandomOperations(u64 seed) : random_(seed), target_(sim::make_embedded_target(memory_bytes)) {}
  Target& target() { return *target_; }

  void one()
  {
    try {
      perform(random_() % 14);
    } catch (const Failure&) {  // refused: of no object, no view, a frozen base, …; also recorded
    }
  }

 private:
  u64 number(u64 below) { return random_() % below; }
  const ObjectState& some(const std::vector<ObjectState>& objects) { return objects[number(objects.size())]; }
  Range pages()
  {
    const u64 first = number(object_bytes / page_bytes), count = 1 + number(number(4) == 0 ? 1024 : 16);
    return intersect({first * page_bytes, (first + count) * page_bytes}, {0, object_bytes});
  }
  Range larges()
  {
    const u64 first = number(object_bytes / large_bytes);
    return {first * large_bytes, object_bytes};
  }

  void perform(u64 which)
  {
    const std::vector<ObjectState> objects = target_->objects();
    if (objects.empty() || (which == 0 && objects.size() < 3)) {
      const Level root = number(2) == 0 ? 1 : 2;
      target_->create_object("o" + std::to_string(++made_), object_bytes, root);
      return;
    }
    const ObjectState object = some(objects);
    const TreeId view = object.views.empty() ? primary_tree : object.views[number(object.views.size())].number;
    switch (which) {
      case 1: target_->add_view(object.name, format_table[number(format_table.size())].id); break;
      case 2: target_->populate(object.name, pages(), rights_rw, 0); break;
      case 3: target_->populate(object.name, larges(), rights_rw, 1); break;
      case 4: target_->unmap(object.name, pages()); break;
      case 5: target_->protect(object.name, pages(), number(2) == 0 ? right_read : rights_rw); break;
      case 6: target_->split(object.name, pages(), 0); break;
      case 7: target_->merge(object.name, {0, object_bytes}, 1); break;
      case 8: target_->migrate(object.name, pages()); break;
      case 9: target_->harvest(object.name, {0, object_bytes}); break;
      case 10:
        if (objects.size() < 4) target_->clone_object(object.name, "c" + std::to_string(++made_));
        break;
      case 11:
        if (number(3) == 0) target_->drop_view(object.name, view);
        break;
      case 12:
        if (number(6) == 0) target_->destroy_object(object.name);
        break;
      default:
        for (int n = 0; n < 8; ++n)
          target_->access({object.name, view, number(object_bytes / 8) * 8, number(2) == 0 ? right_read : right_write});
    }
  }

  std::mt19937_64 random_;
  std::unique_ptr<Target> target_;
  u64 made_ = 0;
};

u64 first_seed()
{
  const char* given = std::getenv("MORSEL_SEED");
  return given ? std::strtoull(given, nullptr, 0) : 20261120;
}

void expect_history(u64 seed)
{
  SCOPED_TRACE("MORSEL_SEED=" + std::to_string(seed));
  RandomOperations operations(seed);
  for (int n = 0; n < 20; ++n) operations.one();  // so that there is something to begin with
  Target& target = operations.target();
  Recorder recorder;
  recorder.start(target);
  std::vector<Seen> seen;
  for (int n = 0; n < 150; ++n) {
    operations.one();
    recorder.sync(target);
    const std::vector<ObjectState> objects = target.objects();
    seen.push_back({recorder.chronicle().journal.size(), objects, trees_of(target.memory(), objects)});
  }
  History& history = *recorder.chronicle().history;
  ASSERT_EQ(history.size(), recorder.chronicle().journal.size());
  ASSERT_GT(history.size(), 1000u);
  EXPECT_EQ(recorder.chronicle().journal.lost, 0u);
  const auto check = [&](const Seen& s) {
    SCOPED_TRACE("position " + std::to_string(s.position));
    history.go_to(s.position);
    EXPECT_TRUE(history.is_exact(s.position));
    ASSERT_EQ(history.objects(), s.objects);
    const auto shown = trees_of(history.memory(), s.objects);
    for (std::size_t t = 0; t < shown.size(); ++t) ASSERT_NO_FATAL_FAILURE(expect_same(s.trees[t], shown[t]));
  };
  for (auto s = seen.rbegin(); s != seen.rend(); ++s) ASSERT_NO_FATAL_FAILURE(check(*s));
  for (const Seen& s : seen) ASSERT_NO_FATAL_FAILURE(check(s));
  std::mt19937_64 random(seed);
  for (int n = 0; n < 50; ++n) ASSERT_NO_FATAL_FAILURE(check(seen[random() % seen.size()]));
}

TEST(History, ShowsWhatStoodInTheMachine)
{
  for (u64 seed = first_seed(); seed < first_seed() + 12; ++seed) ASSERT_NO_FATAL_FAILURE(expect_history(seed));
}

// Limits so narrow that the oldest go all the time: what is left is as before.
TEST(History, WhatIsTooMuchIsForgottenFromTheOldestOn)
{
  RandomOperations operations(first_seed());
  Target& target = operations.target();
  target.journal()->record(true);
  constexpr HistoryLimits limits{.changes = 400, .object_states = 40};
  History history(target.memory(), target.objects(), limits);
  std::size_t forgotten = 0;
  for (int n = 0; n < 200; ++n) {
    operations.one();
    std::vector<JournalRecord> records;
    for (const morsel_journal_record& r : target.journal()->read().records) records.push_back(r);
    history.append(records, target.objects(), {}, target.memory());
    const std::size_t surplus = history.surplus();
    history.forget(surplus);
    forgotten += surplus;
    EXPECT_EQ(history.surplus(), 0u);
    std::size_t states = 0;
    for (const ObjectsSince& since : history.objects_since()) states += since.objects.size();
    EXPECT_LE(states, std::max(limits.object_states, target.objects().size()));
  }
  EXPECT_GT(forgotten, 1000u);
  history.go_to(0);
  history.go_to(history.size());
  const auto now = trees_of(target.memory(), target.objects()), shown = trees_of(history.memory(), target.objects());
  for (std::size_t t = 0; t < shown.size(); ++t) ASSERT_NO_FATAL_FAILURE(expect_same(now[t], shown[t]));
}

// A source that records once more before it is off.
class LateSource : public JournalSource {
 public:
  explicit LateSource(Target& target) : target_(target) {}
  void record(bool on) override
  {
    if (!on) target_.unmap("a", {0, page_bytes});
    target_.journal()->record(on);
  }
  bool recording() const override { return target_.journal()->recording(); }
  JournalRead read() override { return target_.journal()->read(); }

 private:
  Target& target_;
};
class LateTarget : public ForwardingTarget {
 public:
  explicit LateTarget(Target& target) : ForwardingTarget(nullptr), target_(target), source_(target) {}
  JournalSource* journal() override { return &source_; }
  const inspect::PhysicalMemory& memory() const override { return target_.memory(); }
  std::vector<ObjectState> objects() override { return target_.objects(); }

 private:
  Target& target_;
  LateSource source_;
};

TEST(Recorder, WhatIsRecordedWhileItIsSwitchedOffBelongsToThatRecording)
{
  Recorder recorder;
  auto target = sim::make_embedded_target(memory_bytes);
  target->create_object("a", object_bytes, {});
  target->populate("a", {0, 2 * page_bytes}, rights_rw, 0);
  recorder.start(*target);
  LateTarget late(*target);
  recorder.stop(late);
  EXPECT_GT(recorder.chronicle().journal.size(), 0u);
  EXPECT_TRUE(target->journal()->read().records.empty());
}

}  // namespace
}  // namespace morsel::session
