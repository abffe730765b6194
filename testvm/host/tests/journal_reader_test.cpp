// SPDX-License-Identifier: GPL-2.0-or-later
//
// The reader of the module's rings, on rings that a test writes: as the module would, and as a broken guest might.
#include "testvm/host/journal_reader.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <thread>

#include "engine/abi/morsel_points.h"

namespace morsel::testvm {
namespace {

constexpr u32 capacity_lg2 = 6;
constexpr u64 capacity = u64{1} << capacity_lg2, ring_bytes = page_bytes + capacity * sizeof(morsel_journal_record);
constexpr u64 memory_start = 0x10000;

class FakeGuest {
 public:
  explicit FakeGuest(u32 cpus) : bytes_(cpus * ring_bytes / sizeof(u64))
  {
    for (u32 cpu = 0; cpu < cpus; ++cpu)
      ring(cpu) = {MORSEL_JOURNAL_MAGIC, MORSEL_JOURNAL_VERSION, sizeof(morsel_journal_record), cpu, capacity_lg2, 0};
    memory_ =
        inspect::PhysicalMemory({{memory_start, cpus * ring_bytes, reinterpret_cast<const std::byte*>(bytes_.data())}});
  }

  morsel_journal_ring& ring(u32 cpu) { return *reinterpret_cast<morsel_journal_ring*>(base(cpu)); }
  morsel_journal_record& slot(u32 cpu, u64 n)
  {
    return reinterpret_cast<morsel_journal_record*>(base(cpu) + page_bytes)[n % capacity];
  }
  // As the module does: the record, then the counter.
  void write(u32 cpu) { write(cpu, ++sequence_); }
  void write(u32 cpu, u64 sequence)
  {
    const u64 n = ring(cpu).written;
    auto* const to = reinterpret_cast<u64*>(&slot(cpu, n));
    const morsel_journal_record record = record_of(cpu, sequence);
    u64 words[sizeof record / sizeof(u64)];
    std::memcpy(words, &record, sizeof record);
    for (u64 i = 0; i < std::size(words); ++i) std::atomic_ref(to[i]).store(words[i], std::memory_order_relaxed);
    std::atomic_ref(ring(cpu).written).store(n + 1, std::memory_order_release);
  }
  static morsel_journal_record record_of(u32 cpu, u64 sequence)
  {
    morsel_journal_record r{};
    r.sequence = sequence;
    r.before = r.after = ~sequence;
    r.point = MORSEL_POINT_load;
    r.actor_kind = MORSEL_ACTOR_CALLER;
    r.cpu = cpu;
    return r;
  }
  JournalReader reader(u64 next_sequence = 1)
  {
    sequence_ = next_sequence - 1;
    JournalRings rings{.rings = {}, .capacity_lg2 = capacity_lg2, .next_sequence = next_sequence};
    for (u64 at = 0; at < bytes_.size() * sizeof(u64); at += ring_bytes) rings.rings.push_back({memory_start + at});
    return {memory_, rings};
  }

 private:
  std::byte* base(u32 cpu) { return reinterpret_cast<std::byte*>(bytes_.data()) + cpu * ring_bytes; }

  std::vector<u64> bytes_;
  inspect::PhysicalMemory memory_;
  u64 sequence_ = 0;
};

std::vector<u64> sequences(const session::JournalRead& read)
{
  std::vector<u64> result;
  for (const auto& record : read.records) result.push_back(record.sequence);
  return result;
}

TEST(JournalReader, MergesTheCpusBySequence)
{
  FakeGuest guest(3);
  JournalReader reader = guest.reader(100);
  for (const u32 cpu : {2, 2, 0, 1, 0, 2}) guest.write(cpu);
  const auto read = reader.read();
  EXPECT_EQ(sequences(read), (std::vector<u64>{100, 101, 102, 103, 104, 105}));
  EXPECT_EQ(read.records[3].cpu, 1u);
  EXPECT_EQ(read.lost + read.garbage, 0u);
  guest.write(1);
  EXPECT_EQ(sequences(reader.read()), std::vector<u64>{106});
  EXPECT_TRUE(reader.read().records.empty());
}

TEST(JournalReader, CountsWhatWasOverwritten)
{
  FakeGuest guest(2);
  JournalReader reader = guest.reader();
  guest.write(1);
  for (u64 i = 0; i < capacity + 10; ++i) guest.write(0);
  const auto read = reader.read();
  // One more than was overwritten: the slot that the guest writes next may be half written already.
  EXPECT_EQ(read.lost, 11u);
  ASSERT_EQ(read.records.size(), capacity);
  EXPECT_EQ(read.records[0].sequence, 1u);
  EXPECT_EQ(read.records[1].sequence, 13u);
  guest.write(1);
  EXPECT_EQ(sequences(reader.read()), std::vector<u64>{capacity + 12});
}

TEST(JournalReader, LosesOrShowsEveryRecordWholeWhileTheGuestWrites)
{
  FakeGuest guest(2);
  JournalReader reader = guest.reader();
  constexpr u64 total = 200'000;
  u64 seen = 0, lost = 0, last = 0;
  std::jthread writer([&] {
    std::minstd_rand random(7);
    for (u64 i = 0; i < total; ++i) guest.write(random() % 3 == 0);
  });
  while (seen + lost < total) {
    const auto read = reader.read();
    EXPECT_EQ(read.garbage, 0u);
    lost += read.lost;
    for (const auto& record : read.records) {
      EXPECT_GT(record.sequence, last);
      EXPECT_EQ(record.before, ~u64{record.sequence});
      EXPECT_EQ(record.after, ~u64{record.sequence});
      last = record.sequence;
      ++seen;
    }
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_EQ(seen + lost, total);
}

TEST(JournalReader, CountsSlotsThatHoldNoRecord)
{
  const std::function<void(morsel_journal_record&)> spoilers[] = {
      [](auto& r) { r.point = MORSEL_POINT_COUNT; },
      [](auto& r) { r.tree = 17; },
      [](auto& r) { r.level = 5; },
      [](auto& r) { r.actor_kind = 7; },
      [](auto& r) { r.fault_action = 7; },
      [](auto& r) { r.reserved = 1; },
      [](auto& r) { r.flags = 16; },
      [](auto& r) { r.cpu = 1; },
      [](auto& r) { r.sequence = 0; },
      [](auto& r) { r.sequence = 1; },          // was there before
      [](auto& r) { r.sequence = ~__u64{0}; },  // more than were written
  };
  for (const auto& spoil : spoilers) {
    FakeGuest guest(1);
    JournalReader reader = guest.reader();
    for (int i = 0; i < 3; ++i) guest.write(0);
    spoil(guest.slot(0, 1));
    const auto read = reader.read();
    EXPECT_EQ(read.garbage, 1u);
    EXPECT_EQ(sequences(read), (std::vector<u64>{1, 3}));
    guest.write(0);
    EXPECT_EQ(sequences(reader.read()), std::vector<u64>{4});
  }
}

TEST(JournalReader, GivesUpARingWhoseHeaderIsNotTheModules)
{
  const std::function<void(morsel_journal_ring&)> spoilers[] = {
      [](auto& r) { r.magic ^= 1; }, [](auto& r) { ++r.version; },         [](auto& r) { r.record_bytes = 32; },
      [](auto& r) { r.cpu = 9; },    [](auto& r) { r.capacity_lg2 = 63; }, [](auto& r) { r.capacity_lg2 = 64 + 6; },
  };
  for (const auto& spoil : spoilers) {
    FakeGuest guest(2);
    JournalReader reader = guest.reader();
    guest.write(1);
    guest.write(0);
    spoil(guest.ring(0));
    const auto read = reader.read();
    EXPECT_GT(read.garbage, 0u);
    EXPECT_EQ(sequences(read), std::vector<u64>{1});
  }
}

TEST(JournalReader, SurvivesACounterThatJumpsOrGoesBack)
{
  FakeGuest guest(1);
  JournalReader reader = guest.reader();
  for (int i = 0; i < 5; ++i) guest.write(0);
  EXPECT_EQ(reader.read().records.size(), 5u);
  guest.ring(0).written = ~u64{0} - 1;
  const auto jumped = reader.read();
  EXPECT_GT(jumped.lost, u64{1} << 60);
  EXPECT_TRUE(jumped.records.empty());
  guest.ring(0).written = 2;
  EXPECT_GT(reader.read().garbage, 0u);
  guest.write(0);
  EXPECT_EQ(sequences(reader.read()), std::vector<u64>{6});
}

TEST(JournalReader, TouchesNothingOutsideMemory)
{
  FakeGuest guest(1);
  const inspect::PhysicalMemory nothing;
  JournalReader reader(nothing, {.rings = {PhysAddr{0}, PhysAddr{~u64{7}}}, .capacity_lg2 = 60, .next_sequence = 1});
  const auto read = reader.read();
  EXPECT_TRUE(read.records.empty());
  EXPECT_GT(read.garbage, 0u);
}

// Bytes by chance, everywhere: nothing but counts may come of it, or records that could be ones.
TEST(JournalReader, SurvivesNoise)
{
  std::mt19937_64 random(2026);
  for (int round = 0; round < 200; ++round) {
    FakeGuest guest(2);
    JournalReader reader = guest.reader();
    for (int step = 0; step < 20; ++step) {
      for (int i = 0; i < 30; ++i) guest.write(static_cast<u32>(random() % 2));
      for (int i = 0; i < 5; ++i) {
        auto* const words = reinterpret_cast<u64*>(&guest.slot(static_cast<u32>(random() % 2), random()));
        words[random() % 8] = random() % 4 == 0 ? random() : random() % 300;
      }
      if (random() % 8 == 0) guest.ring(0).written = random() % 3 == 0 ? random() : random() % 400;
      u64 last = 0;
      for (const auto& record : reader.read().records) {
        EXPECT_GT(record.sequence, last);
        EXPECT_LT(record.point, MORSEL_POINT_COUNT);
        last = record.sequence;
      }
    }
  }
}

}  // namespace
}  // namespace morsel::testvm
