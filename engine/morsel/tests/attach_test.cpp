// SPDX-License-Identifier: GPL-2.0-or-later
//
// Tables that are attached: made where they are missing, kept while they may be attached, refused where something else
// stands; and by which hardware they can be walked.
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

class Attach : public testing::Test {
 protected:
  Expected<PhysAddr> attach(const Tree& tree, u64 offset, Level level)
  {
    auto p = f.platform();
    return table_to_attach(p, f.o.object, tree, offset, level);
  }
  u64& entry(const Tree& tree, u64 offset, Level level)
  {
    auto p = f.platform();
    return *AllFormats::dispatch(tree.format, static_cast<u64*>(nullptr), [&]<class F>() {
      return const_cast<u64*>(walk<F>(p, SyncPoint::load, tree, offset, level).entry.word);
    });
  }

  EngineFixture f{2 * GiB, 2};
  View& view = f.add(FormatId::ept);
  const Tree& primary = f.o.object.primary;
};

// NPT needs the user bit in each entry, and has it; what other formats would read there is something else.
TEST(WalksPrimary, OnlyHardwareThatTakesEveryEntryForWhatItIs)
{
  std::string able;
  AllFormats::for_each([&]<class F>() {
    if (walks_primary<F>()) able += std::string(F::name) + " ";
  });
  EXPECT_EQ(able, "amd64 amd64_l5 npt ");
}

TEST_F(Attach, MakesTheTablesThatAreMissing)
{
  for (const Tree* const tree : {&primary, static_cast<const Tree*>(&view.tree)}) {
    const u64 before = f.o.tables;
    const Expected<PhysAddr> table = attach(*tree, 1 * GiB + 6 * MiB, 0);
    ASSERT_TRUE(table) << error_name(table.error());
    EXPECT_EQ(f.o.tables, before + tree->root_level) << "one for each level on the way";
    EXPECT_EQ(attach(*tree, 1 * GiB + 7 * MiB, 0)->value, table->value) << "the same 2 MiB";
    EXPECT_NE(attach(*tree, 1 * GiB + 8 * MiB, 0)->value, table->value);
  }
  EXPECT_EQ(attach(primary, 0, 2)->value, primary.root.value);
  ASSERT_TRUE(f.populate({1 * GiB + 6 * MiB, 1 * GiB + 6 * MiB + 4 * KiB}));
  EXPECT_TRUE(f.primary(1 * GiB + 6 * MiB)) << "in the table that was attached";
}

// At each level a table can be attached at: somebody else's tables point to it, and see what the tree's own root shows,
// as long as they do. To detach is to take the count back: from then on changes unlink the table, as any.
TEST_F(Attach, AnAttachedTableStaysAndFollowsEveryChangeUntilItIsDetached)
{
  constexpr u64 page = 1 * GiB + 6 * MiB, other = page + 3 * page_bytes;
  for (Tree* const tree : {&f.o.object.primary, &view.tree})
    for (Level level = 0; level <= 2; ++level) {
      SCOPED_TRACE(testing::Message() << "tree " << int{tree->id} << ", level " << int{level});
      const bool is_root = level == tree->root_level;
      const PhysAddr table = *attach(*tree, page, level);
      Tree as_seen = *tree;
      as_seen.root = table;
      as_seen.root_level = level;
      tree->attached.value = 1;
      for (const u64 at : {page, other}) {
        ASSERT_TRUE(f.populate({at, at + page_bytes}));
        ASSERT_TRUE(f.fill(view, at));
        EXPECT_EQ(f.translation(as_seen, at)->address, f.primary(at)->address);
        ASSERT_TRUE(f.protect({0, 2 * GiB}, right_read));
        ASSERT_TRUE(f.fill(view, at));
        EXPECT_FALSE(f.translation(as_seen, at)->write);
        ASSERT_TRUE(f.unmap({0, 2 * GiB}));
        EXPECT_FALSE(f.translation(as_seen, at)) << "seen from the table, too";
        EXPECT_EQ(attach(*tree, page, level)->value, table.value) << "it is still there";
      }
      tree->attached.value = 0;
      ASSERT_TRUE(f.populate({page, page + page_bytes}));
      ASSERT_TRUE(f.fill(view, page));
      const u64 tables = f.o.tables;
      ASSERT_TRUE(f.unmap({0, 2 * GiB}));
      if (!is_root) {
        EXPECT_LT(f.o.tables, tables) << "nobody keeps it any more";
      }
    }
}

TEST_F(Attach, SaysThatALargerLeafStandsThere)
{
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  EXPECT_EQ(attach(primary, 0, 0).error(), Error::exists);
  ASSERT_TRUE(f.fill(view, 0));
  EXPECT_EQ(attach(view.tree, 0, 0).error(), Error::exists);
}

TEST_F(Attach, GivesWayToAMoveAndAFillUnderWay)
{
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  f.machine.faults().add({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL});
  auto p = f.platform();
  EXPECT_EQ(*migrate(p, f.o.object, {0, 2 * MiB}), 0u);
  EXPECT_EQ(attach(primary, 0, 0).error(), Error::busy);
  ASSERT_TRUE(f.protect({0, 2 * MiB}, right_read)) << "puts the leaf back";
  ASSERT_TRUE(f.fill(view, 0));
  const u64 leaf = std::exchange(entry(view.tree, 0, 1), software::make_reserved(1, software::Stale::no));
  EXPECT_EQ(attach(view.tree, 0, 0).error(), Error::busy);
  entry(view.tree, 0, 1) = leaf;
}

TEST_F(Attach, RefusesADamagedTable)
{
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  ASSERT_TRUE(f.fill(view, 0));
  const u64 leaf = std::exchange(entry(view.tree, 0, 1), u64{2});  // write without read: EPT misconfigured
  EXPECT_EQ(attach(view.tree, 0, 0).error(), Error::corrupt);
  entry(view.tree, 0, 1) = leaf;
}

// Others may change an entry of a table that stays, while a mutator looks at it: then it looks again.
TEST_F(Attach, AMutatorThatLosesARaceInAnAttachedTableLooksAgain)
{
  ASSERT_TRUE(f.populate({0, 8 * KiB}));
  ASSERT_TRUE(f.fill(view, 0));
  view.tree.attached.value = 1;
  f.machine.faults().add({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_FAIL});
  EXPECT_EQ(*f.unmap({0, 8 * KiB}), 2u);
  EXPECT_EQ(f.machine.faults().rules().front().fired, 1u);
  EXPECT_FALSE(f.translation(view.tree, 0));
  view.tree.attached.value = 0;
}

}  // namespace
}  // namespace morsel::testing_support
