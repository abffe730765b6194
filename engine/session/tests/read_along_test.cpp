// SPDX-License-Identifier: GPL-2.0-or-later
//
// A journal that forgets what is not read soon, and a session whose commands take long.
#include "engine/session/read_along.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>

#include "engine/session/session.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

constexpr std::size_t ring_records = 64;

// A ring: who writes waits a while for somebody to read, and then writes over the oldest.
class RingSource : public JournalSource {
 public:
  void record(bool on) override { on_ = on; }
  bool recording() const override { return on_; }
  bool fills_up() const override { return true; }
  JournalRead read() override
  {
    const std::lock_guard lock(mutex_);
    ++reads_;
    changed_.notify_all();
    if (failure_) std::rethrow_exception(failure_);
    JournalRead found{{ring_.begin(), ring_.end()}, std::exchange(lost_, 0), std::exchange(garbage, 0)};
    ring_.clear();
    changed_.notify_all();
    return found;
  }
  void lose(u64 records)
  {
    wait_until_read();
    const std::lock_guard lock(mutex_);
    last_ += records;
    lost_ += records;
  }
  void fail() { fail(std::make_exception_ptr(Failure(Exit::target_lost, "read the ring", "there is none"))); }
  void fail(std::exception_ptr how)
  {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(how);
  }
  void wait_until_read()
  {
    std::unique_lock lock(mutex_);
    const u64 reads = reads_;
    EXPECT_TRUE(changed_.wait_for(lock, limit, [&] { return reads_ > reads; }));
  }
  void write(std::size_t records, bool patiently = true)
  {
    for (std::size_t n = 0; n < records; ++n) {
      std::unique_lock lock(mutex_);
      if (patiently) patiently = changed_.wait_for(lock, limit, [this] { return ring_.size() < ring_records; });
      if (ring_.size() == ring_records) {
        ring_.pop_front();
        ++lost_;
      }
      morsel_journal_record r{};
      r.sequence = ++last_;
      r.point = MORSEL_POINT_enter;
      r.actor_kind = MORSEL_ACTOR_CALLER;
      ring_.push_back(r);
    }
  }
  u64 garbage = 0;

 private:
  static constexpr Milliseconds limit{20'000};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<morsel_journal_record> ring_;
  u64 last_ = 0, lost_ = 0, reads_ = 0;
  std::exception_ptr failure_;
  std::atomic<bool> on_{false};
};

// Its populate writes so many records more than fit.
class RingTarget : public ForwardingTarget {
 public:
  RingTarget() : ForwardingTarget(sim::make_embedded_target()) {}
  JournalSource* journal() override { return &source; }
  u64 populate(const std::string&, Range, Rights, Level) override { return source.write(records), 0; }

  std::vector<ObjectState> objects() override
  {
    if (lost) throw Failure(Exit::target_lost, "list the objects", "nobody answers");
    return ForwardingTarget::objects();
  }

  bool lost = false;
  static constexpr std::size_t records = 50 * ring_records;
  RingSource source;
};

TEST(ReadAlong, ASessionLosesNothingOfALongCommand)
{
  auto target = std::make_unique<RingTarget>();
  Session session(std::move(target));
  session.execute_line("object create o 4M");
  session.execute_line("journal on");
  session.execute_line("object populate o 0..4K");
  const Json status = session.execute_line("journal status").facts;
  EXPECT_EQ(status["lost"], 0);
  EXPECT_EQ(status["records"], RingTarget::records);
  EXPECT_EQ(status["last"], RingTarget::records);
  session.execute_line("journal off");
}

TEST(ReadAlong, WhatIsLostAllTheSameStaysInItsPlace)
{
  RingSource source;
  ReadAlong reader(source, 10'000);
  source.write(2 * ring_records);
  source.lose(5);
  source.write(ring_records);
  source.lose(7);
  source.write(ring_records);
  Journal journal;
  for (u64 records = 0; records < 4 * ring_records;)
    for (const JournalRead& part : reader.take()) records += journal.append(part).size();
  EXPECT_EQ(journal.lost, 12u);
  EXPECT_EQ(journal.size(), 4 * ring_records);
  ASSERT_EQ(journal.gaps().size(), 2u);
  EXPECT_EQ(journal.gaps()[0].before, 2 * ring_records);
  EXPECT_EQ(journal.gaps()[0].lost, 5u);
  EXPECT_EQ(journal.gaps()[1].before, 3 * ring_records);
  EXPECT_EQ(journal.gaps()[1].lost, 7u);
}

// Nobody takes, and every look finds only that something was lost.
TEST(ReadAlong, LossesWithoutRecordsTakeUpNoRoom)
{
  RingSource source;
  ReadAlong reader(source, 1000);
  for (int n = 0; n < 5; ++n) {
    source.lose(3);
    source.wait_until_read();
  }
  source.write(1);
  source.wait_until_read();
  const std::vector<JournalRead> parts = reader.take();
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].lost, 15u);
  EXPECT_EQ(parts[0].records.size(), 1u);
}

TEST(ReadAlong, WhatWasReadBeforeAFailureIsGivenOutBeforeIt)
{
  RingSource source;
  ReadAlong reader(source, 1000);
  source.write(3);
  source.wait_until_read();
  source.fail();
  const std::vector<JournalRead> parts = reader.take();
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].records.size(), 3u);
  EXPECT_THROW(reader.take(), Failure);
}

// Its objects cannot be told any more, its last records can.
TEST(ReadAlong, TheLastRecordsOfAMachineThatIsLostAreKept)
{
  RingTarget target;
  Recorder recorder;
  recorder.start(target);
  target.source.write(3);
  target.lost = true;
  recorder.sync(target);
  EXPECT_FALSE(recorder.on());
  EXPECT_NE(recorder.ended().find("nobody answers"), std::string::npos) << recorder.ended();
  EXPECT_EQ(recorder.chronicle().journal.size(), 3u);
  EXPECT_EQ(recorder.chronicle().history->size(), 3u);
}

// Whatever reading throws: nobody else sees it.
TEST(ReadAlong, AnyExceptionEndsTheRecording)
{
  RingTarget target;
  Recorder recorder;
  recorder.start(target);
  target.source.fail(std::make_exception_ptr(std::length_error("too long")));
  recorder.sync(target);
  EXPECT_FALSE(recorder.on());
  EXPECT_EQ(recorder.ended(), "too long");
}

TEST(ReadAlong, WhatNobodyTakesIsLostFromTheOldestOnAndCounted)
{
  constexpr std::size_t most = 100 * ring_records;
  RingSource source;
  ReadAlong reader(source, most);
  source.write(2 * most);
  Journal journal;
  for (const JournalRead& part : reader.take()) journal.append(part);
  EXPECT_LE(journal.size(), most);
  EXPECT_GT(journal.size(), most / 2);
  EXPECT_EQ(journal.size() + journal.lost, 2 * most);
  EXPECT_EQ(journal.records().back().sequence, 2 * most);
}

TEST(ReadAlong, GarbageIsCounted)
{
  RingSource source;
  source.garbage = 7;
  ReadAlong reader(source, 1000);
  source.write(1);
  u64 garbage = 0;
  for (u64 records = 0; records == 0;)
    for (const JournalRead& part : reader.take()) records += part.records.size(), garbage += part.garbage;
  EXPECT_EQ(garbage, 7u);
}

TEST(ReadAlong, AFailureIsToldToWhoeverTakes)
{
  RingSource source;
  source.fail();
  ReadAlong reader(source, 1000);
  EXPECT_THROW(reader.take(), Failure);
  EXPECT_THROW(reader.take(), Failure);
}

}  // namespace
}  // namespace morsel::session
