// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/tree_model.hpp"

#include <gtest/gtest.h>

#include <QAbstractItemModelTester>
#include <QSignalSpy>

#include "gui/models/differences.hpp"
#include "gui/tests/fake_target.hpp"

namespace morsel::gui {
namespace {

using inspect::DiffState;
using session::AlignedRow;
using Mode = QAbstractItemModelTester::FailureReportingMode;

class TreeModelTest : public testing::Test {
 protected:
  void SetUp() override
  {
    target.addDemo();
    model.setTree(capture(target));
  }
  QModelIndex page(u64 number, int column) const { return model.indexOf(AlignedRow{0, number * page_bytes}, column); }
  DiffState state(u64 number) const
  {
    return static_cast<DiffState>(page(number, 2).data(TreeModel::state_role).toInt());
  }
  std::string text(const QModelIndex& index) const { return index.data().toString().toStdString(); }

  FakeTarget target;
  TreeModel model;
};

TEST_F(TreeModelTest, KeepsTheRulesOfItemModels)
{
  QAbstractItemModelTester tester(&model, Mode::Fatal);
  model.setTree(capture(target));
  model.setEmptyRuns(EmptyRuns::shown);
  model.setEmptyRuns(EmptyRuns::folded);
  model.setTree(nullptr);
  EXPECT_EQ(model.rowCount(), 0);
  EXPECT_EQ(model.columnCount(), 0);
}

TEST_F(TreeModelTest, HasAColumnForTheRangeThePrimaryAndEachView)
{
  ASSERT_EQ(model.columnCount(), 3);
  EXPECT_EQ(model.headerData(0, Qt::Horizontal, Qt::DisplayRole).toString().toStdString(), "range");
  EXPECT_EQ(model.headerData(1, Qt::Horizontal, Qt::DisplayRole).toString().toStdString(), "primary amd64");
  EXPECT_EQ(model.headerData(2, Qt::Horizontal, Qt::DisplayRole).toString().toStdString(), "view 1 ept");
}

TEST_F(TreeModelTest, TellsTheStateOfEveryPage)
{
  const DiffState expected[] = {DiffState::same,   DiffState::unfilled, DiffState::reserved, DiffState::rights,
                                DiffState::rights, DiffState::format,   DiffState::frame,    DiffState::stale};
  for (u64 n = 0; n < 8; ++n) EXPECT_EQ(state(n), expected[n]) << "page " << n;
  EXPECT_FALSE(page(0, TreeModel::primary_column).data(TreeModel::state_role).isValid());
}

TEST_F(TreeModelTest, TablesShowTheWorstStateBelowThem)
{
  const QModelIndex root = model.index(0, 2);
  EXPECT_EQ(root.data(TreeModel::state_role).toInt(), static_cast<int>(DiffState::stale));
}

TEST_F(TreeModelTest, WritesWordsInGroupsOfFourWithRightsAndFlags)
{
  EXPECT_EQ(text(page(0, 1)), "8000 0000 7f00 0027 rw- A-");
  EXPECT_EQ(text(page(0, 2)), "= 0000 0000 7f00 0333 rw- AD");
  EXPECT_EQ(text(page(1, 2)), "· hole");
  EXPECT_EQ(text(page(7, 1)), "hole");
  EXPECT_EQ(text(page(7, 2)), "↻ 0000 0000 7f00 7033 rw- --");
}

TEST_F(TreeModelTest, FoldsRunsThatAreEmptyInEveryTree)
{
  const QModelIndex rest = page(8, 0);
  EXPECT_EQ(model.foldedCount(rest), 504u);
  EXPECT_EQ(text(rest), "0000 8000 + 2016 KiB");
  EXPECT_EQ(model.rowCount(rest.parent()), 9);
  EXPECT_EQ(page(400, 0), rest);
  model.setEmptyRuns(EmptyRuns::shown);
  EXPECT_EQ(model.rowCount(page(8, 0).parent()), 512);
}

TEST_F(TreeModelTest, RowsAboveARootSayWhereTheTreeBegins) { EXPECT_EQ(text(model.index(0, 1)), "begins at level 1"); }

TEST_F(TreeModelTest, IndexesSurviveANewReading)
{
  const QPersistentModelIndex stale = page(7, 2);
  const QPersistentModelIndex rest = page(8, 0);
  QSignalSpy resets(&model, &QAbstractItemModel::modelReset);
  target.put<Amd64L4>(target.demo(), 0, 100 * page_bytes, 0,
                      Amd64L4::make_leaf({FakeTarget::frame(100)}, 0, {rights_rw}));
  model.setTree(capture(target));
  EXPECT_EQ(resets.count(), 0);
  ASSERT_TRUE(stale.isValid());
  EXPECT_EQ(model.place(stale), (AlignedRow{0, 7 * page_bytes}));
  ASSERT_TRUE(rest.isValid());
  EXPECT_EQ(model.foldedCount(rest), 92u);
  EXPECT_EQ(model.rowCount(rest.parent()), 11);
}

TEST_F(TreeModelTest, IndexesOfRowsThatAreGoneBecomeInvalid)
{
  const QPersistentModelIndex leaf = page(0, 2);
  const QPersistentModelIndex table = model.indexOf(AlignedRow{1, 0});
  target.put<Amd64L4>(target.demo(), 0, 0, 1, 0);
  target.put<EptL4>(target.demo(), 1, 0, 1, 0);
  model.setTree(capture(target));
  EXPECT_FALSE(leaf.isValid());
  EXPECT_TRUE(table.isValid());
}

TEST_F(TreeModelTest, AnotherViewIsAnotherShape)
{
  target.addView<Npt>(target.demo());
  QSignalSpy resets(&model, &QAbstractItemModel::modelReset);
  model.setTree(capture(target));
  EXPECT_EQ(resets.count(), 1);
  EXPECT_EQ(model.columnCount(), 4);
  EXPECT_EQ(text(page(0, 3)), "· hole at level 3");
}

TEST_F(TreeModelTest, SmallRowsUnderALargeLeafNameIt)
{
  target.put<EptL4>(target.demo(), 1, 2 << 20, 1, EptL4::make_leaf({u64{2} << 20}, 1, {rights_rw}));
  target.put<Amd64L4>(target.demo(), 0, 2 << 20, 0, Amd64L4::make_leaf({FakeTarget::frame(9)}, 0, {rights_rw}));
  model.setTree(capture(target));
  EXPECT_EQ(text(page(512, 2)), "≠ part of a 2 MiB leaf");
}

TEST_F(TreeModelTest, AnUnreadableTableIsSaid)
{
  target.put<EptL4>(target.demo(), 1, 2 << 20, 1, EptL4::make_table(PhysAddr{u64{1} << 40}));
  target.put<Amd64L4>(target.demo(), 0, 2 << 20, 0, Amd64L4::make_leaf({FakeTarget::frame(9)}, 0, {rights_rw}));
  const auto tree = capture(target);
  model.setTree(tree);
  EXPECT_EQ(tree->snapshot(1).anomaly_count(), 1u);
  EXPECT_EQ(text(page(512, 2)), "◆ its table cannot be read");
}

TEST_F(TreeModelTest, DifferencesAreVisitedInOrderAndWrapAround)
{
  const auto& tree = *model.tree();
  std::optional<DifferencePlace> at;
  for (u64 expected : {4, 5, 6, 7}) {
    at = nextDifference(tree, at);
    ASSERT_TRUE(at);
    EXPECT_EQ(at->offset / page_bytes, expected);
    EXPECT_FALSE(at->wrapped);
  }
  at = nextDifference(tree, at);
  EXPECT_EQ(*at, (DifferencePlace{4 * page_bytes, 1, true}));
  at = previousDifference(tree, DifferencePlace{4 * page_bytes, 1});
  EXPECT_EQ(*at, (DifferencePlace{7 * page_bytes, 1, true}));
  EXPECT_EQ(uncleanPages(tree.diff(1)), 4u);
}

}  // namespace
}  // namespace morsel::gui
