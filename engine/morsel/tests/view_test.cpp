// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

class SecondaryView : public testing::TestWithParam<FormatInfo> {
 protected:
  FormatId format() const { return GetParam().id; }
  u64 flushes_after_publishing() const { return GetParam().caches_non_present ? 1 : 0; }
};

INSTANTIATE_TEST_SUITE_P(All, SecondaryView, testing::ValuesIn(format_table),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(SecondaryView, IsFilledLazilyWithThePrimarysFrames)
{
  EngineFixture f(64 * MiB, 1);
  View& v = f.add(format());
  ASSERT_EQ(*f.populate({0, 64 * KiB}), 16u);
  EXPECT_FALSE(f.translation(v.tree, 0));
  ASSERT_EQ(*f.fill(v, 4 * KiB), FillOutcome::filled);
  ASSERT_EQ(*f.fill(v, 4 * KiB), FillOutcome::hit);
  ASSERT_EQ(*f.fill(v, 4 * KiB, right_write), FillOutcome::hit) << "a fill takes all rights that the primary gives";
  for (u64 offset = 0; offset < 64 * KiB; offset += 4 * KiB)
    EXPECT_EQ(f.translation(v.tree, offset).has_value(), offset == 4 * KiB) << offset;
  EXPECT_EQ(f.translation(v.tree, 4 * KiB + 8)->address, f.primary(4 * KiB + 8)->address);
}

TEST_P(SecondaryView, TakesLargeLeavesAndLosesThemAsAWhole)
{
  EngineFixture f(64 * MiB, 1);
  View& v = f.add(format());
  ASSERT_EQ(*f.populate({0, 4 * MiB}, rights_rw, 1), 1024u);
  ASSERT_EQ(*f.fill(v, 2 * MiB + 12 * KiB), FillOutcome::filled);
  const auto t = f.translation(v.tree, 2 * MiB + 12 * KiB);
  ASSERT_TRUE(t);
  EXPECT_EQ(t->level, 1);
  EXPECT_EQ(t->address, f.primary(2 * MiB + 12 * KiB)->address);
  ASSERT_EQ(*f.unmap({2 * MiB, 2 * MiB + 4 * KiB}), 1u);
  EXPECT_FALSE(f.translation(v.tree, 2 * MiB + 12 * KiB)) << "the entry that covers the range goes";
  ASSERT_EQ(*f.fill(v, 2 * MiB + 12 * KiB), FillOutcome::filled);
  EXPECT_EQ(f.translation(v.tree, 2 * MiB + 12 * KiB)->level, 0) << "never larger than the primary's leaf";
  EXPECT_EQ(f.fill(v, 2 * MiB).error(), Error::needs_populate);
}

TEST_P(SecondaryView, FollowsUnmapAndProtect)
{
  EngineFixture f(64 * MiB, 1);
  View& v = f.add(format());
  ASSERT_EQ(*f.populate({0, 16 * KiB}), 4u);
  for (u64 offset = 0; offset < 16 * KiB; offset += 4 * KiB) ASSERT_TRUE(f.fill(v, offset));
  ASSERT_EQ(*f.unmap({0, 4 * KiB}), 1u);
  EXPECT_FALSE(f.translation(v.tree, 0));
  EXPECT_EQ(f.fill(v, 0).error(), Error::needs_populate);
  ASSERT_EQ(*f.protect({4 * KiB, 8 * KiB}, right_read), 1u);
  EXPECT_EQ(f.fill(v, 4 * KiB, right_write).error(), Error::access_denied);
  ASSERT_EQ(*f.fill(v, 4 * KiB), FillOutcome::filled);
  EXPECT_FALSE(f.translation(v.tree, 4 * KiB)->write);
  EXPECT_TRUE(f.translation(v.tree, 8 * KiB)) << "what lies outside the range stays";
  EXPECT_EQ(v.tree.pending.value, 0u);
}

TEST_P(SecondaryView, AnUpgradeKeepsTheDirtyBit)
{
  EngineFixture f(4 * MiB, 1);
  View& v = f.add(format());
  ASSERT_EQ(*f.populate({0, 4 * KiB}, right_read), 1u);
  ASSERT_TRUE(f.fill(v, 0));
  auto p = f.platform();
  // As after a protect that another actor has finished in the primary but not yet in this view.
  *lookup(p, SyncPoint::load, f.o.object.primary, 0)->entry.word |= Amd64L4::writable;
  u64& word = *lookup(p, SyncPoint::load, v.tree, 0)->entry.word;
  word |= GetParam().dirty_bit;
  const u64 flushes = f.machine.flushes;
  ASSERT_EQ(*f.fill(v, 0, right_write), FillOutcome::filled);
  EXPECT_EQ(word & GetParam().dirty_bit, GetParam().dirty_bit);
  EXPECT_TRUE(f.translation(v.tree, 0)->write);
  EXPECT_EQ(f.machine.flushes, flushes + flushes_after_publishing()) << "a pure upgrade needs no flush";
  EXPECT_EQ(f.machine.is_dirty(PhysAddr{f.primary(0)->address}), GetParam().dirty_bit != 0)
      << "and the bit is carried besides";
}

TEST_P(SecondaryView, AReservationThatIsMetIsAdopted)
{
  EngineFixture f(4 * MiB, 1);
  View& v = f.add(format());
  ASSERT_EQ(*f.populate({0, 8 * KiB}), 2u);
  ASSERT_TRUE(f.fill(v, 0));
  auto p = f.platform();
  u64& neighbour = *(lookup(p, SyncPoint::load, v.tree, 0)->entry.word + 1);
  neighbour = software::make_reserved(77, software::Stale::yes);
  const u64 flushes = f.machine.flushes;
  ASSERT_EQ(*f.fill(v, 4 * KiB), FillOutcome::filled);
  EXPECT_TRUE(f.translation(v.tree, 4 * KiB));
  EXPECT_EQ(f.machine.flushes, flushes + 1 + flushes_after_publishing())
      << "what a stale reservation replaced may still be cached";
}

TEST_P(SecondaryView, DroppingItChangesNothingButCost)
{
  EngineFixture f(64 * MiB, 1);
  View& a = f.add(format());
  View& b = f.add(FormatId::ept);
  ASSERT_EQ(*f.populate({0, 4 * MiB}), 1024u);
  for (u64 offset = 0; offset < 4 * MiB; offset += 4 * KiB) {
    ASSERT_TRUE(f.fill(a, offset));
    ASSERT_TRUE(f.fill(b, offset));
  }
  const u64 tables = f.o.tables;
  f.drop(1);
  EXPECT_LT(f.o.tables, tables);
  EXPECT_EQ(f.o.frames, 1024u);
  EXPECT_TRUE(f.translation(b.tree, 0));
  View& again = f.add(format());
  EXPECT_EQ(again.tree.id, 1);
  EXPECT_TRUE(f.fill(again, 0));
}

TEST_P(SecondaryView, InvalidateEmptiesARangeOfOneView)
{
  EngineFixture f(64 * MiB, 1);
  View& v = f.add(format());
  ASSERT_EQ(*f.populate({0, 8 * MiB}), 2048u);
  for (u64 offset = 0; offset < 8 * MiB; offset += 4 * KiB) ASSERT_TRUE(f.fill(v, offset));
  auto p = f.platform();
  const u64 tables = f.o.tables;
  ASSERT_TRUE(invalidate(p, f.o.object, v, {2 * MiB, 4 * MiB + 4 * KiB}));
  EXPECT_EQ(f.o.tables, tables - 1) << "a table that lies wholly inside goes at once";
  EXPECT_TRUE(f.translation(v.tree, 2 * MiB - 4 * KiB));
  EXPECT_FALSE(f.translation(v.tree, 2 * MiB));
  EXPECT_FALSE(f.translation(v.tree, 4 * MiB));
  EXPECT_TRUE(f.translation(v.tree, 4 * MiB + 4 * KiB));
  EXPECT_TRUE(f.primary(2 * MiB));
  EXPECT_EQ(invalidate(p, f.o.object, v, {1, 2}).error(), Error::unaligned);
}

TEST_P(SecondaryView, AnAttachedViewKeepsItsTables)
{
  EngineFixture f(64 * MiB, 1);
  View& v = f.add(format());
  ASSERT_EQ(*f.populate({0, 2 * MiB}), 512u);
  ASSERT_TRUE(f.fill(v, 0));
  auto p = f.platform();
  v.tree.attached.value = 1;
  const Expected<PhysAddr> table = ensure_table(p, v.tree, 0, 0);
  ASSERT_TRUE(table);
  ASSERT_EQ(*f.unmap({0, 64 * MiB}), 512u);
  EXPECT_FALSE(f.translation(v.tree, 0));
  EXPECT_EQ(ensure_table(p, v.tree, 0, 0)->value, table->value);
}

TEST_P(SecondaryView, ARemovedDirtyBitIsCarriedAfterTheFlush)
{
  EngineFixture f(4 * MiB, 1);
  View& v = f.add(format());
  for (u64 i = 0; i < 512; ++i) {  // out of order, so that neighbouring pages have distant frames
    const u64 page = i * 197 % 512 * 4 * KiB;
    ASSERT_EQ(*f.populate({page, page + 4 * KiB}), 1u);
  }
  std::vector<PhysAddr> frames;
  auto p = f.platform();
  for (u64 offset = 0; offset < 2 * MiB; offset += 4 * KiB) {
    ASSERT_TRUE(f.fill(v, offset));
    *lookup(p, SyncPoint::load, v.tree, offset)->entry.word |= GetParam().dirty_bit;
    frames.push_back(PhysAddr{f.primary(offset)->address});
  }
  ASSERT_TRUE(invalidate(p, f.o.object, v, {0, 1 * MiB}));  // entry by entry: more than can be held at once
  ASSERT_TRUE(invalidate(p, f.o.object, v, {0, 2 * MiB}));  // as a table
  for (const PhysAddr frame : frames) EXPECT_TRUE(f.machine.is_dirty(frame));
}

TEST_P(SecondaryView, AFillOutsideTheObjectIsRefused)
{
  EngineFixture f(64 * KiB, 1);
  View& v = f.add(format());
  EXPECT_EQ(f.fill(v, 64 * KiB).error(), Error::out_of_range);
  EXPECT_EQ(f.fill(v, ~u64{0}).error(), Error::out_of_range);
  EXPECT_EQ(f.fill(v, 0, Rights{}).error(), Error::invalid);
  EXPECT_EQ(f.fill(v, 0).error(), Error::needs_populate);
}

TEST(Views, UpToSixteenAreKeptInStep)
{
  EngineFixture f(4 * MiB, 1);
  std::vector<View*> views;
  for (std::size_t i = 0; i < max_views; ++i) views.push_back(&f.add(format_table[i % format_table.size()].id));
  View extra;
  auto p = f.platform();
  EXPECT_EQ(add_view(p, f.o.object, extra, FormatId::ept, max_views + 1).error(), Error::invalid);
  EXPECT_EQ(add_view(p, f.o.object, extra, FormatId::ept, 1).error(), Error::exists);
  ASSERT_EQ(*f.populate({0, 4 * KiB}), 1u);
  for (View* v : views) ASSERT_TRUE(f.fill(*v, 0));
  ASSERT_EQ(*f.unmap({0, 4 * KiB}), 1u);
  for (View* v : views) EXPECT_FALSE(f.translation(v->tree, 0));
}

TEST(Views, OneFlushForEachViewThatHeldSomething)
{
  EngineFixture f(64 * MiB, 1);
  View& touched = f.add(FormatId::ept);
  f.add(FormatId::npt);
  ASSERT_EQ(*f.populate({0, 1 * MiB}), 256u);
  for (u64 offset = 0; offset < 1 * MiB; offset += 4 * KiB) ASSERT_TRUE(f.fill(touched, offset));
  const u64 flushes = f.machine.flushes;
  ASSERT_EQ(*f.unmap({0, 1 * MiB}), 256u);
  EXPECT_EQ(f.machine.flushes, flushes + 1);
}

TEST(Views, ADroppedInvalidationLeavesAStaleEntry)
{
  EngineFixture f(4 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_EQ(*f.populate({0, 8 * KiB}), 2u);
  ASSERT_TRUE(f.fill(v, 0));
  f.machine.faults().add({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_DROP});
  ASSERT_EQ(*f.unmap({0, 4 * KiB}), 1u);
  EXPECT_FALSE(f.primary(0));
  EXPECT_TRUE(f.translation(v.tree, 0)) << "this is what the fault is for";
  EXPECT_EQ(f.machine.faults().rules().front().fired, 1u);
}

}  // namespace
}  // namespace morsel::testing_support
