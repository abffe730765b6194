// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

Level leaf_level(EngineFixture& f, u64 offset)
{
  auto p = f.platform();
  return lookup(p, SyncPoint::load, f.o.object.primary, offset)->level;
}
Expected<u64> merge_all(EngineFixture& f, Range range, Level level = 1)
{
  auto p = f.platform();
  return merge(p, f.o.object, range, level);
}
Status split_all(EngineFixture& f, Range range, Level level = 0)
{
  auto p = f.platform();
  return split(p, f.o.object, range, level);
}

TEST(Split, ChangesTheSizeOfLeavesAndNothingElse)
{
  EngineFixture f(8 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_TRUE(f.populate({0, 4 * MiB}, rights_rw, 1));
  ASSERT_TRUE(f.fill(v, 0));
  const u64 frame = f.primary(12 * KiB)->address, tables = f.o.tables;
  ASSERT_TRUE(split_all(f, {0, 4 * KiB}));
  EXPECT_EQ(leaf_level(f, 0), 0);
  EXPECT_EQ(leaf_level(f, 2 * MiB), 1) << "outside the range";
  EXPECT_EQ(f.o.tables, tables + 1);
  EXPECT_EQ(f.primary(12 * KiB)->address, frame);
  EXPECT_TRUE(f.translation(v.tree, 12 * KiB)) << "a view keeps its larger leaf";
  ASSERT_TRUE(f.unmap({12 * KiB, 16 * KiB}));
  EXPECT_FALSE(f.translation(v.tree, 12 * KiB)) << "until something in it changes";
}

TEST(Split, OfAnAttachedPrimaryFlushesBeforeTheSmallLeavesAppear)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  f.o.object.primary.attached.value = 1;
  const u64 flushes = f.machine.flushes;
  ASSERT_TRUE(split_all(f, {0, 2 * MiB}));
  EXPECT_GT(f.machine.flushes, flushes);
  EXPECT_EQ(f.o.object.primary.pending.value, 0u);
  EXPECT_EQ(leaf_level(f, 0), 0);
}

TEST(Merge, IsTheInverseOfSplit)
{
  EngineFixture f(8 * MiB, 2);
  View& v = f.add(FormatId::npt);
  ASSERT_TRUE(f.populate({0, 4 * MiB}, rights_rw, 1));
  const u64 frame = f.primary(0)->address;
  ASSERT_TRUE(split_all(f, {0, 4 * MiB}));
  ASSERT_TRUE(f.fill(v, 4 * KiB));
  EXPECT_EQ(*merge_all(f, {0, 8 * MiB}), 2u);
  EXPECT_EQ(leaf_level(f, 0), 1);
  EXPECT_EQ(leaf_level(f, 2 * MiB), 1);
  EXPECT_EQ(f.primary(0)->address, frame);
  ASSERT_TRUE(f.fill(v, 4 * KiB));
  EXPECT_EQ(f.translation(v.tree, 4 * KiB)->address, frame + 4 * KiB);
  f.drop(1);
  EXPECT_EQ(f.o.tables, 2u) << "the root and one table of 2-MiB leaves";
}

TEST(Merge, KeepsADirtyBit)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  ASSERT_TRUE(split_all(f, {0, 2 * MiB}));
  auto p = f.platform();
  *lookup(p, SyncPoint::load, f.o.object.primary, 8 * KiB)->entry.word |= PrimaryFormat::dirty_bit;
  ASSERT_EQ(*merge_all(f, {0, 2 * MiB}), 1u);
  EXPECT_TRUE(lookup(p, SyncPoint::load, f.o.object.primary, 0)->word & PrimaryFormat::dirty_bit);
}

TEST(Merge, LeavesTablesAloneThatNoLeafCouldReplace)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 8 * MiB}, rights_rw, 1));
  ASSERT_TRUE(split_all(f, {0, 8 * MiB}));
  ASSERT_TRUE(f.unmap({0, 4 * KiB}));                                     // a hole
  ASSERT_TRUE(f.protect({2 * MiB, 2 * MiB + 4 * KiB}, right_read));       // other rights
  ASSERT_TRUE(f.unmap({4 * MiB, 4 * MiB + 4 * KiB}));
  ASSERT_TRUE(f.populate({4 * MiB, 4 * MiB + 4 * KiB}));                  // a frame that lies elsewhere
  EXPECT_EQ(*merge_all(f, {0, 8 * MiB}), 1u);
  for (const u64 o : {u64{0}, 2 * MiB, 4 * MiB}) EXPECT_EQ(leaf_level(f, o + 8 * KiB), 0) << o;
  EXPECT_EQ(leaf_level(f, 6 * MiB), 1);
}

TEST(Merge, LeavesNoMarkBehindAndLetsSmallChangesOn)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  ASSERT_TRUE(split_all(f, {0, 2 * MiB}));
  auto p = f.platform();
  const EntryRef upper = walk<PrimaryFormat>(p, SyncPoint::load, f.o.object.primary, 0, 1).entry;
  *upper.word |= software::merging_mask;  // a merge that waits
  EXPECT_EQ(*f.unmap({0, 4 * KiB}), 1u);
  EXPECT_EQ(*upper.word & software::merging_mask, 0u) << "the small change clears the mark";
}

TEST(Merge, RefusesWhatItMustNotTouch)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}));
  EXPECT_EQ(merge_all(f, {0, 2 * MiB}, 0).error(), Error::invalid);
  EXPECT_EQ(merge_all(f, {0, 2 * MiB}, 2).error(), Error::invalid) << "larger than the root's leaves";
  EXPECT_EQ(merge_all(f, {0, 4 * KiB}).error(), Error::unaligned);
  EXPECT_EQ(merge_all(f, {0, 16 * MiB}).error(), Error::out_of_range);
  f.o.object.primary.attached.value = 1;
  EXPECT_EQ(merge_all(f, {0, 2 * MiB}).error(), Error::busy);
  EXPECT_EQ(f.o.object.primary.pending.value, 0u);
  EXPECT_EQ(f.o.object.merging.value, 0u);
}

// Whose actor is killed while it waits for a grace period, after so many that it has lived through.
class KilledPlatform : public sim::EmbeddedPlatform {
 public:
  KilledPlatform(EngineFixture& f, int lives) : EmbeddedPlatform(f.machine, f.o), lives_(lives) {}
  bool wait_for_grace_period(SyncPoint) { return lives_-- > 0; }
  void discard_table_later(TreeId tree, Level level, PhysAddr table) { later.push_back({tree, {}, level, table}); }

  std::vector<RetiredTable> later;

 private:
  int lives_;
};

TEST(Merge, ThatIsKilledBeforeItHasBegunLeavesEverythingAsItWas)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * MiB}, rights_rw, 1));
  ASSERT_TRUE(split_all(f, {0, 4 * MiB}));
  KilledPlatform p(f, 0);
  EXPECT_EQ(merge(p, f.o.object, {0, 4 * MiB}, 1).error(), Error::interrupted);
  EXPECT_TRUE(p.later.empty());
  EXPECT_EQ(leaf_level(f, 0), 0);
  EXPECT_EQ(*merge_all(f, {0, 4 * MiB}), 2u) << "no mark is left, and nobody's turn";
}

TEST(Merge, ThatIsKilledWhenItIsDoneLeavesItsTablesToOthers)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * MiB}, rights_rw, 1));
  ASSERT_TRUE(split_all(f, {0, 4 * MiB}));
  KilledPlatform p(f, 1);
  EXPECT_EQ(merge(p, f.o.object, {0, 4 * MiB}, 1).error(), Error::interrupted);
  EXPECT_EQ(leaf_level(f, 0), 1);
  ASSERT_EQ(p.later.size(), 2u);
  for (const RetiredTable& table : p.later) p.discard_table(table.tree, table.level, table.table);
}

TEST(Harvest, ThatIsKilledLeavesWhatWasWrittenToTheNext)
{
  struct DirtyRanges {
    std::vector<Range> pages;
    void accessed(Range) {}
    void dirty(Range r) { pages.push_back(r); }
  } killed, next;
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * MiB}, rights_rw, 0));
  auto q = f.platform();
  *lookup(q, SyncPoint::load, f.o.object.primary, 8 * KiB)->entry.word |= PrimaryFormat::dirty_bit;
  KilledPlatform p(f, 0);
  EXPECT_EQ(harvest(p, f.o.object, {0, 4 * MiB}, killed).error(), Error::interrupted);
  EXPECT_TRUE(killed.pages.empty());
  ASSERT_TRUE(harvest(q, f.o.object, {0, 4 * MiB}, next));
  ASSERT_EQ(next.pages.size(), 1u);
  EXPECT_EQ(next.pages[0].start, 8 * KiB);
}

}  // namespace
}  // namespace morsel::testing_support
