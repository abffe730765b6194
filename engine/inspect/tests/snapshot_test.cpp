// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/tests/inspect_fixture.hpp"

namespace morsel::inspect {
namespace {

// A PMD root (page 0) with one PTE table (page 1) for its first 2 MiB.
TestMemory small_tree()
{
  TestMemory m;
  m.word(0, 0) = Amd64L4::make_table(m.page(1));
  m.word(0, 3) = Amd64L4::make_leaf(PhysAddr{64 * MiB}, 1, {rights_rw, true, false});
  m.word(1, 5) = Amd64L4::make_leaf(PhysAddr{0x7000}, 0, {right_read, true, false});
  return m;
}

TEST(Snapshot, CopiesTheTablesInRange)
{
  const TestMemory m = small_tree();
  const Snapshot s = Snapshot::take(m.memory(), {FormatId::amd64, m.page(0), 1}, {0, 8 * MiB});
  ASSERT_EQ(s.table_count(), 2u);
  EXPECT_TRUE(s.anomalies().empty());
  EXPECT_EQ(s.entry(5 * 4096 + 17, 0).kind, EntryKind::leaf);
  EXPECT_EQ(s.entry(5 * 4096, 0).level, 0);
  EXPECT_EQ(s.entry(4 * 4096, 0).kind, EntryKind::hole);
  EXPECT_EQ(s.entry(4 * 4096, 1).kind, EntryKind::table);
  EXPECT_EQ(s.entry(6 * MiB + 4096, 0).level, 1) << "a large leaf governs what is below";
  EXPECT_EQ(s.entry(4 * MiB, 0).level, 1) << "so does a hole";
  EXPECT_EQ(s.table_at(0, 0), 1u);
  EXPECT_EQ(s.table_at(2 * MiB, 0), Snapshot::no_table);
}

TEST(Snapshot, LeavesOutWhatIsOutsideTheRange)
{
  const TestMemory m = small_tree();
  const Snapshot s = Snapshot::take(m.memory(), {FormatId::amd64, m.page(0), 1}, {2 * MiB, 8 * MiB});
  EXPECT_EQ(s.table_count(), 1u);
}

TEST(Snapshot, StaysTheSameWhenMemoryChanges)
{
  TestMemory m = small_tree();
  const Snapshot s = Snapshot::take(m.memory(), {FormatId::amd64, m.page(0), 1}, {0, 8 * MiB});
  m.word(1, 5) = 0;
  EXPECT_EQ(s.entry(5 * 4096, 0).kind, EntryKind::leaf);
}

TEST(Snapshot, ALoopEndsAndIsNamed)
{
  TestMemory m;
  for (u64 i = 0; i < 512; ++i) m.word(0, i) = Amd64L4::make_table(m.page(0));
  const Snapshot s = Snapshot::take(m.memory(), {FormatId::amd64, m.page(0), 3}, {0, u64{1} << 48});
  EXPECT_EQ(s.table_count(), 1u);
  ASSERT_EQ(s.anomaly_count(), 512u);
  EXPECT_EQ(s.anomalies()[0].kind, AnomalyKind::table_seen_twice);
  EXPECT_EQ(s.anomalies()[7].offset, u64{7} << 39);
  EXPECT_FALSE(s.entry(0, 0).readable);
}

TEST(Snapshot, ATableOutsideMemoryIsNamed)
{
  TestMemory m;
  for (const u64 address : {u64{0}, u64{0x40000000}, TestMemory::start + 256 * page_bytes, bits(51, 12)}) {
    m.word(0, 0) = Amd64L4::make_table(PhysAddr{address});
    const Snapshot s = Snapshot::take(m.memory(), {FormatId::amd64, m.page(0), 1}, {0, 2 * MiB});
    ASSERT_EQ(s.anomalies().size(), 1u) << address;
    EXPECT_EQ(s.anomalies()[0].kind, AnomalyKind::outside_memory);
  }
}

TEST(Snapshot, RootsThatAreNoneAreNamed)
{
  const TestMemory m;
  const auto kind_of = [&](PhysAddr root) {
    const Snapshot s = Snapshot::take(m.memory(), {FormatId::ept, root, 3}, {0, 2 * MiB});
    EXPECT_EQ(s.root(), Snapshot::no_table);
    EXPECT_FALSE(s.entry(0, 0).readable);
    return s.anomalies().at(0).kind;
  };
  EXPECT_EQ(kind_of(m.page(0) + 8), AnomalyKind::root_unaligned);
  EXPECT_EQ(kind_of({0}), AnomalyKind::outside_memory);
  EXPECT_EQ(kind_of({~u64{0} & ~u64{4095}}), AnomalyKind::outside_memory);
}

TEST(Snapshot, AnomaliesHaveNames)
{
  EXPECT_EQ(anomaly_name(AnomalyKind::outside_memory), "table outside memory");
  EXPECT_EQ(anomaly_name(AnomalyKind::table_seen_twice), "table reached twice");
  EXPECT_EQ(anomaly_name(AnomalyKind::too_many_tables), "too many tables");
  EXPECT_EQ(anomaly_name(AnomalyKind::malformed_entry), "malformed entry");
  EXPECT_EQ(anomaly_name(AnomalyKind::root_unaligned), "root not aligned");
  EXPECT_EQ(anomaly_name(static_cast<AnomalyKind>(99)), "unknown");
}

TEST(Snapshot, TablesInEachSegmentOfMemoryAreSeenOnce)
{
  TestMemory low(8), high(8);
  constexpr u64 high_start = u64{1} << 32;
  const PhysicalMemory memory({{TestMemory::start, 8 * page_bytes, reinterpret_cast<const std::byte*>(&low.word(0, 0))},
                               {high_start, 8 * page_bytes, reinterpret_cast<const std::byte*>(&high.word(0, 0))}});
  low.word(0, 0) = low.word(0, 1) = Amd64L4::make_table(PhysAddr{high_start});
  const Snapshot s = Snapshot::take(memory, {FormatId::amd64, low.page(0), 1}, {0, 4 * MiB});
  EXPECT_EQ(s.table_count(), 2u);
  ASSERT_EQ(s.anomalies().size(), 1u);
  EXPECT_EQ(s.anomalies()[0].kind, AnomalyKind::table_seen_twice);
  EXPECT_EQ(s.anomalies()[0].offset, 2 * MiB);
}

TEST(Snapshot, TheLimitsHold)
{
  TestMemory m(600);
  for (u64 i = 0; i < 512; ++i) m.word(0, i) = Amd64L4::make_table(m.page(1 + i));
  const Snapshot s = Snapshot::take(m.memory(), {FormatId::amd64, m.page(0), 1}, {0, 1024 * MiB}, {10, 3});
  EXPECT_EQ(s.table_count(), 10u);
  EXPECT_EQ(s.anomalies().size(), 3u);
  EXPECT_EQ(s.anomaly_count(), 512u - 9u);
  EXPECT_EQ(s.anomalies()[0].kind, AnomalyKind::too_many_tables);
}

TEST(Snapshot, AgreesWithTheSlowWalkerOnRandomMemory)
{
  std::mt19937_64 random(3);
  for (int round = 0; round < 40; ++round) {
    TestMemory m(64);
    for (u64& w : m.words()) switch (random() % 4) {
        case 0: w = (random() & bits(63, 52)) | m.page(random() % 64).value | 7 | (random() & bits(11, 3)); break;
        case 1: w = random(); break;
        default: w = 0;
      }
    for (const FormatInfo& format : format_table) {
      const auto top = static_cast<Level>(format.levels.size() - 1);
      const Snapshot s = Snapshot::take(m.memory(), {format.id, m.page(0), top}, {0, u64{1} << 57});
      for (int probe = 0; probe < 200; ++probe) {
        const u64 offset = random() & bits(top == 4 ? 56 : 47, 12);
        const EntryAt e = s.entry(offset, 0);
        if (!e.readable) continue;  // a table seen twice or outside memory
        const auto t = slow::walk(std::string(format.name), m.page(0).value, top, offset,
                                  [&](u64 table, u64 index) { return m.read(table, index); });
        ASSERT_EQ(e.kind == EntryKind::leaf, t.has_value()) << format.name << " offset " << offset;
        if (t) {
          ASSERT_EQ(format.address(e.word, e.level).value + (offset - e.offset), t->address);
        }
      }
    }
  }
}

}  // namespace
}  // namespace morsel::inspect
