// SPDX-License-Identifier: GPL-2.0-or-later
//
// Trees written by hand into a small memory, so that every cell is known.
#include "engine/session/tests/hand_made_trees.hpp"

namespace morsel::session {
namespace {

using inspect::DiffState;

using AlignedTreeTest = HandMadeTrees;

TEST_F(AlignedTreeTest, StartsAtTheHighestRootAndOpensOntoTheShallowerTree)
{
  const AlignedTree t = tree();
  EXPECT_EQ(t.columns(), 2u);
  EXPECT_EQ(t.title(0), "primary amd64");
  EXPECT_EQ(t.title(1), "view 1 ept");
  EXPECT_EQ(t.top_level(), 3);
  ASSERT_EQ(t.root_count(), 1u);
  EXPECT_FALSE(t.cell(t.root(0), 0).exists);
  EXPECT_EQ(t.cell(t.root(0), 1).kind, EntryKind::table);
  const AlignedRow pud = t.child(t.root(0), 0);
  EXPECT_EQ(t.child_count(t.root(0)), 1u);
  EXPECT_EQ(t.child_count(pud), 2u);
  const AlignedRow second = t.child(pud, 1);
  EXPECT_EQ(second, (AlignedRow{1, mib2}));
  EXPECT_EQ(t.child_count(second), 0u);
  EXPECT_EQ(t.index_in_parent(second), 1u);
  EXPECT_EQ(t.parent(second), pud);
  EXPECT_FALSE(t.parent(t.root(0)));
  EXPECT_EQ(t.deepest(0x3008), (AlignedRow{0, 0x3000}));
  EXPECT_EQ(t.deepest(mib2 + 8), second);
}

TEST_F(AlignedTreeTest, OpensTheShallowerTreeEvenUnderAHoleOfTheDeeper)
{
  memory_.word(10, 0, 0);
  const AlignedTree t = tree();
  const AlignedRow leaf = t.deepest(0);
  EXPECT_EQ(leaf.level, 0);
  EXPECT_EQ(t.cell(leaf, 0).kind, EntryKind::leaf);
  EXPECT_EQ(t.cell(leaf, 1).kind, EntryKind::hole);
  EXPECT_EQ(t.cell(leaf, 1).level, 3);
  EXPECT_EQ(t.cell(leaf, 1).worst, DiffState::unfilled);
}

TEST_F(AlignedTreeTest, SaysTheWorstStateOfASpan)
{
  memory_.word(2, 2, 0);                 // the primary forgets page 2: the view is stale there
  memory_.leaf<EptL4>(13, 3, 0x777000);  // and maps another frame at page 3
  const AlignedTree t = tree();
  EXPECT_EQ(t.worst({0, 0x0}, 1), DiffState::same);
  EXPECT_EQ(t.worst({0, 0x2000}, 1), DiffState::stale);
  EXPECT_EQ(t.worst({0, 0x3000}, 1), DiffState::frame);
  EXPECT_EQ(t.worst({0, 0x4000}, 1), DiffState::unfilled);
  EXPECT_EQ(t.worst({0, 0x9000}, 1), DiffState::hole);
  EXPECT_EQ(t.worst({1, 0}, 1), DiffState::stale);
  EXPECT_EQ(t.worst_of_all({1, 0}), DiffState::stale);
  EXPECT_EQ(t.worst({1, mib2}, 1), DiffState::hole);
  EXPECT_EQ(t.worst({0, 0x1000}, 0), DiffState::same);
  EXPECT_EQ(t.worst({0, 0x2000}, 0), DiffState::hole);
  EXPECT_FALSE(t.clean());
}

TEST_F(AlignedTreeTest, KeepsLargeLeavesBesideSmallOnes)
{
  memory_.word(1, 1, Amd64L4::make_leaf(PhysAddr{2 * mib2}, 1, {rights_rw}));
  memory_.table<EptL4>(12, 1, 14);
  memory_.leaf<EptL4>(14, 5, 2 * mib2 + 5 * page_bytes);
  const AlignedTree t = tree();
  const AlignedRow row{0, mib2 + 5 * page_bytes};
  EXPECT_EQ(t.child_count({1, mib2}), 512u);
  EXPECT_EQ(t.cell(row, 0).level, 1);
  EXPECT_EQ(t.cell(row, 0).offset, mib2);
  EXPECT_EQ(t.cell(row, 1).level, 0);
  EXPECT_EQ(t.cell(row, 1).worst, DiffState::same);
}

TEST_F(AlignedTreeTest, ClipsRowsToTheRange)
{
  const AlignedTree t = tree(Range{0x2000, 0x5000});
  ASSERT_EQ(t.child_count({1, 0}), 3u);
  EXPECT_EQ(t.child({1, 0}, 0), (AlignedRow{0, 0x2000}));
  EXPECT_EQ(t.index_in_parent({0, 0x4000}), 2u);
  EXPECT_EQ(t.cell({1, 0}, 0).kind, EntryKind::table);
}

TEST_F(AlignedTreeTest, SaysWhatCannotBeRead)
{
  memory_.table<EptL4>(12, 0, 1000);  // outside memory
  const AlignedTree t = tree();
  EXPECT_EQ(t.snapshot(1).anomaly_count(), 1u);
  EXPECT_FALSE(t.cell({0, 0}, 1).readable);
  EXPECT_EQ(t.cell({0, 0}, 1).worst, DiffState::format);
  EXPECT_TRUE(t.cell({0, 0}, 0).readable);
}

TEST_F(AlignedTreeTest, FoldsRowsAlikeWhoseAddressesAdvanceInStep)
{
  const std::vector<FoldedRow> rows = fold(tree());
  ASSERT_EQ(rows.size(), 7u);
  EXPECT_TRUE(rows[0].expanded && rows[1].expanded && rows[2].expanded);
  EXPECT_EQ(rows[2].depth, 2u);
  EXPECT_EQ(rows[3].span(), (Range{0, 0x4000}));  // in both
  EXPECT_EQ(rows[3].count, 4u);
  EXPECT_FALSE(rows[3].scattered[0] || rows[3].scattered[1]);
  EXPECT_EQ(rows[4].span(), (Range{0x4000, 0x8000}));  // unfilled
  EXPECT_EQ(rows[5].count, 504u);                      // holes
  EXPECT_EQ(rows[6].span(), (Range{mib2, 2 * mib2}));
}

// Six more full tables beside each other: a 16-MiB object whose entries 1 to 6 lead to tables in pages 20 to 25.
class FullTablesTest : public AlignedTreeTest {
 protected:
  FullTablesTest()
  {
    object_.bytes = 8 * mib2;
    object_.views.clear();
    for (u32 t = 0; t < 6; ++t) {
      memory_.table<Amd64L4>(1, 1 + t, 20 + t);
      for (u32 n = 0; n < 512; ++n) memory_.leaf<Amd64L4>(20 + t, n, 0x1000000 + (t * 512 + n) * page_bytes);
    }
  }
  std::vector<std::pair<Range, u64>> spans(FoldOptions options = {}) const
  {
    std::vector<std::pair<Range, u64>> found;
    for (const FoldedRow& row : fold(tree(), options)) found.emplace_back(row.span(), row.count);
    return found;
  }
};

TEST_F(FullTablesTest, FoldsManyTablesAlikeTogetherWithWhatTheyHold)
{
  const std::vector<FoldedRow> rows = fold(tree());
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[2].span(), (Range{0x8000, mib2}));
  EXPECT_EQ(rows[3].span(), (Range{mib2, 7 * mib2}));
  EXPECT_EQ(rows[3].count, 6u);
  EXPECT_TRUE(rows[3].expanded);
  EXPECT_FALSE(rows[3].scattered[0]);
  EXPECT_EQ(rows[4].span(), (Range{mib2, 7 * mib2}));
  EXPECT_EQ(rows[4].count, 6u * 512u);
  EXPECT_EQ(rows[4].depth, 1u);
  EXPECT_FALSE(rows[4].scattered[0]);
  EXPECT_EQ(rows[5].span(), (Range{7 * mib2, 8 * mib2}));
  EXPECT_EQ(spans({Folding::step}).size(), 3u + 6u * 2u + 1u);
}

TEST_F(FullTablesTest, SaysThatFoldedTablesAreScattered)
{
  memory_.table<Amd64L4>(1, 2, 23);
  memory_.table<Amd64L4>(1, 4, 21);
  const std::vector<FoldedRow> rows = fold(tree());
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_TRUE(rows[3].scattered[0]);
  EXPECT_TRUE(rows[4].scattered[0]);
}

TEST_F(FullTablesTest, NeverFoldsATableThatDiffersInOneEntry)
{
  memory_.word(25, 511, 0);
  const auto found = spans();
  ASSERT_EQ(found.size(), 9u);
  EXPECT_EQ(found[3], (std::pair<Range, u64>({mib2, 6 * mib2}, 5)));
  EXPECT_EQ(found[4], (std::pair<Range, u64>({mib2, 6 * mib2}, 5 * 512)));
  EXPECT_EQ(found[5], (std::pair<Range, u64>({6 * mib2, 7 * mib2}, 1)));
  EXPECT_EQ(found[6], (std::pair<Range, u64>({6 * mib2, 7 * mib2 - page_bytes}, 511)));
}

TEST_F(FullTablesTest, LeavesAFewTablesApart)
{
  memory_.word(1, 3, 0);  // two tables, a hole, three tables
  EXPECT_EQ(spans().size(), 3u + 2u * 2u + 1u + 3u * 2u + 1u);
}

TEST_F(AlignedTreeTest, FoldsNothingOnRequest) { EXPECT_EQ(fold(tree(), {Folding::none}).size(), 3u + 512u + 1u); }

TEST_F(AlignedTreeTest, StopsAtTheDepth)
{
  EXPECT_EQ(fold(tree(), {Folding::like, 0}).size(), 1u);
  const std::vector<FoldedRow> rows = fold(tree(), {Folding::like, 2});
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_FALSE(rows[2].expanded);
}

TEST_F(AlignedTreeTest, NeverFoldsOverADifference)
{
  memory_.leaf<EptL4>(13, 2, 0x777000);                                                     // another frame
  memory_.leaf<Amd64L4>(2, 6, 0x100000 + 6 * page_bytes, 0, right_read);                    // other rights
  memory_.word(2, 5, Amd64L4::make_leaf(PhysAddr{0x105000}, 0, {rights_rw, true, false}));  // accessed
  std::vector<Range> spans;
  for (const FoldedRow& row : fold(tree()))
    if (row.first.level == 0) spans.push_back(row.span());
  EXPECT_EQ(spans, (std::vector<Range>{{0, 0x2000},
                                       {0x2000, 0x3000},
                                       {0x3000, 0x4000},
                                       {0x4000, 0x5000},
                                       {0x5000, 0x6000},
                                       {0x6000, 0x7000},
                                       {0x7000, 0x8000},
                                       {0x8000, mib2}}));
}

TEST_F(AlignedTreeTest, FoldsSmallLeavesBesideALargeOne)
{
  memory_.word(1, 1, Amd64L4::make_leaf(PhysAddr{2 * mib2}, 1, {rights_rw}));
  memory_.table<EptL4>(12, 1, 14);
  for (u32 n = 0; n < 512; ++n) memory_.leaf<EptL4>(14, n, 2 * mib2 + n * page_bytes);
  const std::vector<FoldedRow> rows = fold(tree());
  EXPECT_EQ(rows.back().span(), (Range{mib2, 2 * mib2}));
  EXPECT_EQ(rows.back().count, 512u);
  EXPECT_FALSE(rows.back().scattered[0] || rows.back().scattered[1]);
}

TEST_F(AlignedTreeTest, FoldsReservationsThatAreStaleAlike)
{
  for (u32 n = 0; n < 4; ++n)
    memory_.word(13, n, software::make_reserved(n + 1, n < 2 ? software::Stale::no : software::Stale::yes));
  std::vector<Range> spans;
  for (const FoldedRow& row : fold(tree()))
    if (row.first.level == 0 && row.first.offset < 0x4000) spans.push_back(row.span());
  EXPECT_EQ(spans, (std::vector<Range>{{0, 0x2000}, {0x2000, 0x4000}}));
}

TEST_F(AlignedTreeTest, SaysThatARootCannotBeRead)
{
  object_.views[0].root = PhysAddr{1000 * page_bytes};
  const AlignedTree t = tree();
  EXPECT_FALSE(t.cell(t.root(0), 1).readable);
  EXPECT_EQ(t.cell({0, 0}, 1).worst, DiffState::format);
  EXPECT_FALSE(t.clean());
}

TEST_F(AlignedTreeTest, FoldsManyScatteredFramesAndSaysSo)
{
  for (u32 n = 0; n < 8; ++n) memory_.leaf<Amd64L4>(2, n, 0x100000 + (n ^ 1) * page_bytes);
  for (u32 n = 0; n < 4; ++n) memory_.word(13, n, 0);
  const std::vector<FoldedRow> rows = fold(tree());
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[3].span(), (Range{0, 0x8000}));
  EXPECT_TRUE(rows[3].scattered[0]);
  EXPECT_FALSE(rows[3].scattered[1]);
  EXPECT_EQ(fold(tree(), {Folding::step}).size(), 5u + 8u);
}

TEST_F(AlignedTreeTest, KeepsAFewPiecesApartRatherThanCallThemScattered)
{
  for (u32 n = 4; n < 8; ++n) memory_.leaf<Amd64L4>(2, n, 0x300000 + n * page_bytes);
  for (u32 n = 0; n < 4; ++n) memory_.word(13, n, 0);
  const std::vector<FoldedRow> rows = fold(tree());
  ASSERT_EQ(rows.size(), 7u);
  EXPECT_EQ(rows[3].count, 4u);
  EXPECT_EQ(rows[4].count, 4u);
  EXPECT_FALSE(rows[4].scattered[0]);
}

}  // namespace
}  // namespace morsel::session
