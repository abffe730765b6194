// SPDX-License-Identifier: GPL-2.0-or-later
//
// History against the embedded machine, and its limits.
#include "engine/session/history.hpp"

#include <gtest/gtest.h>

#include "engine/base/tests/sanitized.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/session/tests/random_history.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

constexpr u64 memory_bytes = u64{256} << 20, object_bytes = RandomOperations::object_bytes, most_pages = 1024;

void expect_history(u64 seed)
{
  SCOPED_TRACE("MORSEL_SEED=" + std::to_string(seed));
  const auto target = sim::make_embedded_target(memory_bytes);
  RandomOperations operations(*target, seed, most_pages);
  for (int n = 0; n < 20; ++n) operations.any();  // so that there is something to begin with
  Recorder recorder;
  recorder.start(*target);
  std::vector<Seen> seen;
  for (int n = 0; n < 150; ++n) {
    operations.any();
    seen.emplace_back(*target, recorder);
  }
  ASSERT_EQ(recorder.chronicle().history->size(), recorder.chronicle().journal.size());
  ASSERT_GT(recorder.chronicle().history->size(), 1000u);
  EXPECT_EQ(recorder.chronicle().journal.lost, 0u);
  expect_all_shown(seen, recorder, seed);
}

TEST(History, ShowsWhatStoodInTheMachine)
{
  constexpr u64 seeds = sanitized ? 3 : 12;
  for (u64 seed = first_seed(); seed < first_seed() + seeds; ++seed) ASSERT_NO_FATAL_FAILURE(expect_history(seed));
}

// Limits so narrow that the oldest go all the time: what is left is as before.
TEST(History, WhatIsTooMuchIsForgottenFromTheOldestOn)
{
  const auto machine = sim::make_embedded_target(memory_bytes);
  Target& target = *machine;
  RandomOperations operations(target, first_seed(), most_pages);
  target.journal()->record(true);
  constexpr HistoryLimits limits{.changes = 400, .object_states = 40};
  History history(target.memory(), target.objects(), limits);
  std::size_t forgotten = 0;
  for (int n = 0; n < 200; ++n) {
    operations.any();
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

// Also of what comes in one piece.
TEST(History, OneAppendDoesNotGrowBeyondItsLimitsEither)
{
  const auto machine = sim::make_embedded_target(memory_bytes);
  Target& target = *machine;
  RandomOperations operations(target, first_seed(), most_pages);
  target.journal()->record(true);
  constexpr HistoryLimits limits{.changes = 400, .object_states = 40};
  History history(target.memory(), target.objects(), limits);
  for (int n = 0; n < 100; ++n) operations.any();
  const std::vector<JournalRecord> records = target.journal()->read().records;
  const std::size_t forgotten = history.append(records, target.objects(), {}, target.memory());
  EXPECT_GT(forgotten, 0u);
  EXPECT_EQ(history.size() + forgotten, records.size());
  std::size_t changes = 0;
  for (std::size_t r = 0; r < history.size(); ++r) changes += history.changes(r).size();
  EXPECT_LE(changes, 2 * limits.changes + TableImage::words_per_page);
  EXPECT_EQ(history.position(), history.size());
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
