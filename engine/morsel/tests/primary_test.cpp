// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

TEST(Primary, MapsZeroedFramesAtEveryRootLevel)
{
  for (const auto& [root_level, bytes] : {std::pair<Level, u64>{0, 2 * MiB}, {1, 1 * GiB}, {2, 4 * GiB}}) {
    EngineFixture f(bytes, root_level);
    const u64 last = bytes - 4 * KiB;
    ASSERT_EQ(*f.populate({0, 8 * KiB}), 2u);
    ASSERT_EQ(*f.populate({last, bytes}), 1u);
    for (const u64 offset : {u64{0}, 4 * KiB, last}) {
      const auto t = f.primary(offset);
      ASSERT_TRUE(t) << offset;
      EXPECT_TRUE(t->read && t->write && !t->exec);
      for (u64 i = 0; i < 512; ++i) ASSERT_EQ(f.machine.arena().words(PhysAddr{t->address})[i], 0u);
    }
    EXPECT_FALSE(f.primary(8 * KiB));
    EXPECT_EQ(f.o.frames, 3u);
  }
}

TEST(Primary, RefusesWhatHasNoMeaning)
{
  EngineFixture f(8 * MiB, 1);
  EXPECT_EQ(f.populate({0, 100}).error(), Error::unaligned);
  EXPECT_EQ(f.populate({4 * KiB, 4 * KiB}).error(), Error::invalid);
  EXPECT_EQ(f.populate({8 * KiB, 4 * KiB}).error(), Error::invalid);
  EXPECT_EQ(f.populate({0, 16 * MiB}).error(), Error::out_of_range);
  EXPECT_EQ(f.populate({0, ~u64{0} & ~u64{4095}}).error(), Error::out_of_range);
  EXPECT_EQ(f.populate({0, 4 * KiB}, right_write).error(), Error::invalid);
  EXPECT_EQ(f.populate({0, 4 * KiB}, Rights{}).error(), Error::invalid);
  EXPECT_EQ(f.populate({0, 4 * KiB}, rights_rw, 1).error(), Error::unaligned);
  EXPECT_EQ(f.populate({0, 2 * MiB}, rights_rw, 2).error(), Error::invalid);
  EXPECT_EQ(f.unmap({0, 16 * MiB}).error(), Error::out_of_range);
  EXPECT_EQ(f.protect({0, 4 * KiB}, Rights{}).error(), Error::invalid);
  EXPECT_EQ(f.o.frames, 0u);

  EngineFixture small(2 * MiB, 0);
  EXPECT_EQ(small.populate({0, 2 * MiB}, rights_rw, 1).error(), Error::invalid) << "a PTE root has no 2-MiB leaves";
}

TEST(Primary, CreateRefusesSizesThatTheRootDoesNotCover)
{
  sim::Machine machine(16 * MiB);
  sim::EmbeddedObject o;
  sim::EmbeddedPlatform p(machine, o);
  EXPECT_EQ(create(p, o.object, 2 * MiB + 4 * KiB, 0).error(), Error::out_of_range);
  EXPECT_EQ(create(p, o.object, 1 * GiB + 4 * KiB, 1).error(), Error::out_of_range);
  EXPECT_EQ(create(p, o.object, 513 * GiB, 2).error(), Error::out_of_range);
  EXPECT_EQ(create(p, o.object, 100, 1).error(), Error::unaligned);
  EXPECT_EQ(create(p, o.object, 4 * KiB, 3).error(), Error::invalid);
  EXPECT_EQ(machine.arena().used_pages(), 0u);
}

TEST(Primary, PopulateKeepsWhatIsMapped)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_EQ(*f.populate({8 * KiB, 12 * KiB}, right_read), 1u);
  const u64 frame = f.primary(8 * KiB)->address;
  EXPECT_EQ(*f.populate({0, 16 * KiB}), 3u);
  EXPECT_EQ(f.primary(8 * KiB)->address, frame);
  EXPECT_FALSE(f.primary(8 * KiB)->write);
}

TEST(Primary, LargeLeavesAreAlignedAndSplitOnAPartialUnmap)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_EQ(*f.populate({2 * MiB, 6 * MiB}, rights_rw, 1), 1024u);
  const auto large = f.primary(2 * MiB);
  ASSERT_TRUE(large);
  EXPECT_EQ(large->level, 1);
  EXPECT_EQ(large->address % (2 * MiB), 0u);

  EXPECT_EQ(*f.unmap({2 * MiB + 4 * KiB, 2 * MiB + 12 * KiB}), 2u);
  EXPECT_FALSE(f.primary(2 * MiB + 4 * KiB));
  EXPECT_FALSE(f.primary(2 * MiB + 8 * KiB));
  for (const u64 distance : {u64{0}, 12 * KiB, 2 * MiB - 4 * KiB}) {
    const auto t = f.primary(2 * MiB + distance);
    ASSERT_TRUE(t);
    EXPECT_EQ(t->level, 0);
    EXPECT_EQ(t->address, large->address + distance) << "a split keeps the frames";
  }
  EXPECT_EQ(f.primary(4 * MiB)->level, 1) << "the neighbour stays large";
}

TEST(Primary, ProtectSplitsALargeLeafOnlyWhereItMust)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_EQ(*f.populate({0, 4 * MiB}, rights_rw, 1), 1024u);
  EXPECT_EQ(*f.protect({0, 2 * MiB + 4 * KiB}, right_read), 513u);
  EXPECT_EQ(f.primary(0)->level, 1);
  EXPECT_FALSE(f.primary(0)->write);
  EXPECT_FALSE(f.primary(2 * MiB)->write);
  EXPECT_TRUE(f.primary(2 * MiB + 4 * KiB)->write);
  EXPECT_EQ(*f.protect({0, 2 * MiB + 4 * KiB}, right_read), 0u) << "nothing to change";
}

TEST(Primary, UnmapDropsWholeTablesAndGivesEverythingBack)
{
  EngineFixture f(1 * GiB, 1);
  ASSERT_EQ(*f.populate({0, 16 * MiB}), 4096u);
  ASSERT_EQ(f.o.tables, 1u + 8u);
  EXPECT_EQ(*f.unmap({0, 16 * MiB}), 4096u);
  EXPECT_EQ(f.o.tables, 1u);
  EXPECT_EQ(f.o.frames, 0u);
  EXPECT_EQ(*f.unmap({0, 1 * GiB}), 0u);
}

TEST(Primary, AnAttachedTreeKeepsItsTables)
{
  EngineFixture f(1 * GiB, 1);
  f.o.object.primary.attached.value = 1;
  ASSERT_EQ(*f.populate({0, 4 * MiB}), 1024u);
  EXPECT_EQ(*f.unmap({0, 1 * GiB}), 1024u);
  EXPECT_EQ(f.o.tables, 3u);
  EXPECT_EQ(f.o.frames, 0u);
  EXPECT_GT(f.machine.flushes, 0u) << "hardware may walk the primary";
  EXPECT_EQ(f.o.object.primary.pending.value, 0u);
}

TEST(Primary, SplittingAnAttachedLargeLeafFlushesInBetween)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_EQ(*f.populate({0, 2 * MiB}, rights_rw, 1), 512u);
  f.o.object.primary.attached.value = 1;
  const u64 before = f.machine.flushes;
  EXPECT_EQ(*f.unmap({0, 4 * KiB}), 1u);
  EXPECT_EQ(f.machine.flushes, before + 2) << "break before make, then the unmap's own";
  EXPECT_EQ(f.primary(4 * KiB)->level, 0);
}

TEST(Primary, ResizeUnmapsTheTail)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_EQ(*f.populate({0, 8 * MiB}), 2048u);
  auto p = f.platform();
  ASSERT_TRUE(resize(p, f.o.object, 4 * KiB));
  EXPECT_EQ(f.o.frames, 1u);
  EXPECT_EQ(f.populate({4 * KiB, 8 * KiB}).error(), Error::out_of_range);
  ASSERT_TRUE(resize(p, f.o.object, 1 * GiB));
  EXPECT_FALSE(f.primary(4 * KiB));
  EXPECT_EQ(*f.populate({4 * KiB, 8 * KiB}), 1u);
  EXPECT_EQ(resize(p, f.o.object, 2 * GiB).error(), Error::out_of_range);
  EXPECT_EQ(resize(p, f.o.object, 100).error(), Error::unaligned);
}

TEST(Primary, TheDirtyBitOfAnUnmappedPageReachesTheFramesState)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_EQ(*f.populate({0, 8 * KiB}), 2u);
  const PhysAddr frame{f.primary(0)->address};
  const PhysAddr clean{f.primary(4 * KiB)->address};
  auto p = f.platform();
  *lookup(p, SyncPoint::load, f.o.object.primary, 0)->entry.word |= Amd64L4::dirty_bit;
  ASSERT_EQ(*f.unmap({0, 8 * KiB}), 2u);
  EXPECT_TRUE(f.machine.is_dirty(frame));
  EXPECT_FALSE(f.machine.is_dirty(clean));
}

TEST(Primary, AMoveInTheWayIsCancelledAndAnUnmapTakesItsFrame)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_EQ(*f.populate({0, 8 * KiB}), 2u);
  auto p = f.platform();
  for (const u64 offset : {u64{0}, 4 * KiB}) {
    const Leaf leaf = *lookup(p, SyncPoint::load, f.o.object.primary, offset);
    *leaf.entry.word = software::make_moving({leaf.frame, leaf.rights, 5});
  }
  EXPECT_EQ(*f.protect({0, 4 * KiB}, right_read), 1u);
  EXPECT_FALSE(f.primary(0)->write);
  EXPECT_EQ(*f.unmap({4 * KiB, 8 * KiB}), 1u);
  EXPECT_EQ(f.o.frames, 1u);
}

TEST(Primary, AMergesMarkIsClearedByASmallChange)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_EQ(*f.populate({0, 4 * KiB}), 1u);
  u64& upper = f.machine.arena().words(f.o.object.primary.root)[0];
  upper |= u64{3} << 52;
  ASSERT_EQ(*f.populate({4 * KiB, 8 * KiB}), 1u);
  EXPECT_EQ(upper & software::merging_mask, 0u);
}

TEST(Primary, ACorruptWordIsReportedAndTheRestStaysUsable)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_EQ(*f.populate({0, 12 * KiB}), 3u);
  auto p = f.platform();
  u64& word = *lookup(p, SyncPoint::load, f.o.object.primary, 4 * KiB)->entry.word;
  const u64 good = word;
  word = bit(62);
  EXPECT_EQ(f.unmap({0, 12 * KiB}).error(), Error::corrupt);
  EXPECT_EQ(f.populate({4 * KiB, 8 * KiB}).error(), Error::corrupt);
  word = good;
  EXPECT_EQ(*f.unmap({0, 12 * KiB}), 2u);
}

}  // namespace
}  // namespace morsel::testing_support
