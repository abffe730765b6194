// SPDX-License-Identifier: GPL-2.0-or-later
//
// Leaves of 1 GiB: the operations of the primary, and what views make of them.
#include <set>

#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

class HugeLeaf : public testing::TestWithParam<FormatInfo> {
 protected:
  HugeLeaf() { EXPECT_EQ(f.populate({1 * GiB, 2 * GiB}, rights_rw, 2).error(), Error::none); }

  EngineFixture f{4 * GiB, 2, 3 * GiB};
  sim::EmbeddedPlatform p = f.platform();
  u64 frame() const { return f.primary(1 * GiB)->address; }
};
INSTANTIATE_TEST_SUITE_P(Formats, HugeLeaf, testing::ValuesIn(format_table),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(HugeLeaf, IsOneEntryAndOneFrame)
{
  EXPECT_EQ(f.o.tables, 1u);
  EXPECT_EQ(f.o.frames, 1 * GiB / page_bytes);
  EXPECT_EQ(frame() % GiB, 0u);
  EXPECT_EQ(lookup(p, SyncPoint::load, f.o.object.primary, 1 * GiB)->level, 2u);
  EXPECT_EQ(f.primary(2 * GiB - 1)->address, frame() + 1 * GiB - 1);
  EXPECT_FALSE(f.primary(1 * GiB - 1));
  EXPECT_EQ(*f.populate({1 * GiB, 2 * GiB}), 0u) << "it is mapped already";
}

TEST_P(HugeLeaf, IsMirroredByALeafOrASmallerOne)
{
  View& v = f.add(GetParam().id);
  const u64 offset = 1 * GiB + 5 * MiB + 8 * KiB;
  ASSERT_TRUE(f.fill(v, offset, right_write));
  const Level level = lookup(p, SyncPoint::load, v.tree, offset)->level;
  EXPECT_EQ(level, GetParam().levels[2].leaf_allowed ? 2u : 1u);
  EXPECT_EQ(f.translation(v.tree, offset)->address, frame() + 5 * MiB + 8 * KiB);
  EXPECT_EQ(*f.unmap({offset, offset + 4 * KiB}), 1u) << "the leaf is split down to pages";
  EXPECT_FALSE(f.translation(v.tree, offset));
  EXPECT_FALSE(f.primary(offset));
  EXPECT_EQ(f.primary(offset + 4 * KiB)->address, frame() + 5 * MiB + 12 * KiB);
  EXPECT_EQ(f.o.frames, 1 * GiB / page_bytes - 1);
  EXPECT_EQ(*f.fill(v, offset + 4 * KiB), FillOutcome::filled);
  EXPECT_EQ(f.translation(v.tree, offset + 4 * KiB)->address, frame() + 5 * MiB + 12 * KiB);
}

TEST_P(HugeLeaf, TellsWhatWasWrittenThroughIt)
{
  struct DirtyPages {
    u64 pages = 0;
    void accessed(Range) {}
    void dirty(Range r) { pages += r.bytes() / page_bytes; }
  } report, again;
  View& v = f.add(GetParam().id);
  ASSERT_TRUE(f.fill(v, 1 * GiB, right_write));
  const auto leaf = lookup(p, SyncPoint::load, v.tree, 1 * GiB);
  *leaf->entry.word |= GetParam().dirty_bit | GetParam().accessed_bit;
  ASSERT_TRUE(harvest(p, f.o.object, {1 * GiB, 2 * GiB}, report));
  EXPECT_EQ(report.pages, leaf->level == 2 ? 1 * GiB / page_bytes : 512u);
  ASSERT_TRUE(harvest(p, f.o.object, {1 * GiB, 2 * GiB}, again));
  EXPECT_EQ(again.pages, 0u);
}

class HugeLeafOnce : public HugeLeaf {};
INSTANTIATE_TEST_SUITE_P(Ept, HugeLeafOnce, testing::Values(*find_format(FormatId::ept)),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(HugeLeafOnce, SplitsAndMergesAgain)
{
  const Range all{1 * GiB, 2 * GiB};
  const u64 first = frame();
  ASSERT_TRUE(split(p, f.o.object, all, 1));
  EXPECT_EQ(lookup(p, SyncPoint::load, f.o.object.primary, 1 * GiB)->level, 1u);
  ASSERT_TRUE(split(p, f.o.object, {1 * GiB, 1 * GiB + 4 * MiB}, 0));
  EXPECT_EQ(f.o.tables, 4u);
  EXPECT_EQ(f.primary(1 * GiB + 3 * MiB)->address, first + 3 * MiB);
  EXPECT_EQ(*merge(p, f.o.object, all, 2), 0u) << "two of its entries are tables";
  EXPECT_EQ(*merge(p, f.o.object, all, 1), 2u);
  EXPECT_EQ(*merge(p, f.o.object, all, 2), 1u);
  EXPECT_EQ(lookup(p, SyncPoint::load, f.o.object.primary, 1 * GiB)->level, 2u);
  EXPECT_EQ(frame(), first);
  EXPECT_EQ(f.o.tables, 1u);
  EXPECT_EQ(f.o.frames, 1 * GiB / page_bytes);
}

TEST_P(HugeLeafOnce, ChangesItsRightsAsOneOrInPart)
{
  EXPECT_EQ(*f.protect({1 * GiB, 2 * GiB}, right_read), 1 * GiB / page_bytes);
  EXPECT_EQ(f.o.tables, 1u);
  EXPECT_EQ(*f.protect({1 * GiB, 1 * GiB + 2 * MiB}, rights_rw), 512u);
  EXPECT_EQ(f.o.tables, 2u);
  EXPECT_TRUE(f.primary(1 * GiB)->write);
  EXPECT_FALSE(f.primary(1 * GiB + 2 * MiB)->write);
}

TEST_P(HugeLeafOnce, OfAClonedObjectGivesOnePageWhenItIsWritten)
{
  ASSERT_TRUE(freeze(p, f.o.object));
  sim::EmbeddedObject copy;
  sim::EmbeddedPlatform q(f.machine, copy);
  ASSERT_TRUE(clone(q, f.o.object, copy.object));
  EXPECT_EQ(*break_copy(q, copy.object, 1 * GiB + 6 * MiB), BreakOutcome::copied);
  EXPECT_EQ(copy.frames, 1u);
  EXPECT_EQ(copy.tables, 3u) << "root, PMD, PTE";
  EXPECT_NE(f.translation(copy.object.primary, 1 * GiB + 6 * MiB)->address, frame() + 6 * MiB);
  EXPECT_EQ(f.translation(copy.object.primary, 1 * GiB + 8 * MiB)->address, frame() + 8 * MiB);
  destroy(q, copy.object);
  EXPECT_EQ(copy.frames, 0u);
}

TEST(HugeLeaves, NeedMemoryInOnePiece)
{
  EngineFixture f(4 * GiB, 2, 3 * GiB);
  ASSERT_TRUE(f.populate({0, 2 * GiB}, rights_rw, 2));
  EXPECT_EQ(f.populate({2 * GiB, 3 * GiB}, rights_rw, 2).error(), Error::no_memory) << "the root lies in the third";
  EXPECT_EQ(*f.unmap({0, 1 * GiB}), 1 * GiB / page_bytes);
  EXPECT_EQ(*f.populate({2 * GiB, 3 * GiB}, rights_rw, 2), 1 * GiB / page_bytes);
}

}  // namespace
}  // namespace morsel::testing_support
