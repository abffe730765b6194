// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include <QAbstractItemModelTester>

#include "gui/models/field_model.hpp"
#include "gui/models/object_model.hpp"

namespace morsel::gui {
namespace {

using session::ObjectState;
using Mode = QAbstractItemModelTester::FailureReportingMode;

ObjectState object(const char* name, u64 bytes)
{
  ObjectState o;
  o.name = name;
  o.bytes = bytes;
  return o;
}

TEST(ObjectModel, SortsByNameAndKeepsTheRowsThatStay)
{
  ObjectModel model;
  QAbstractItemModelTester tester(&model, Mode::Fatal);
  model.setObjects({object("b", 4096), object("a", 4096), object("d", 4096)});
  const QPersistentModelIndex b = model.index(1);
  EXPECT_EQ(b.data().toString().toStdString(), "b");
  model.setObjects({object("c", 4096), object("b", 8192), object("d", 4096)});
  ASSERT_TRUE(b.isValid());
  EXPECT_EQ(b.row(), 0);
  EXPECT_EQ(b.data(ObjectModel::summary_role).toString().toStdString(), "8 KiB · 0 views");
  EXPECT_EQ(model.rowCount(), 3);
  EXPECT_EQ(model.rowOfName("a"), -1);
  EXPECT_EQ(model.rowOfName("d"), 2);
  model.setObjects({});
  EXPECT_FALSE(b.isValid());
}

TEST(ObjectModel, SaysHowOftenAnObjectIsAttached)
{
  ObjectState o = object("a", u64{64} << 20);
  o.views.resize(1);
  o.attached = 2;
  EXPECT_EQ(objectSummary(o).toStdString(), "64 MiB · 1 view · attached 2×");
}

std::string cell(const FieldModel& model, int row, FieldModel::Column column)
{
  return model.index(row, column).data().toString().toStdString();
}

TEST(FieldModel, ShowsEveryFieldOfTheFormatFromBitZeroUp)
{
  FieldModel model;
  QAbstractItemModelTester tester(&model, Mode::Fatal);
  const u64 leaf = EptL4::make_leaf({0x7f001000}, 0, {rights_rw, true, false});
  model.setEntry(inspect::decode(*find_format(FormatId::ept), 0, leaf));
  EXPECT_EQ(cell(model, 0, FieldModel::name_column), "R");
  EXPECT_EQ(cell(model, 0, FieldModel::value_column), "1");
  EXPECT_EQ(cell(model, 2, FieldModel::name_column), "X");
  EXPECT_EQ(cell(model, 2, FieldModel::value_column), "0");
  EXPECT_FALSE(model.index(2, 0).data(FieldModel::set_role).toBool());
  const int frame = model.rowOfBit(20);
  EXPECT_EQ(cell(model, frame, FieldModel::name_column), "frame");
  EXPECT_EQ(cell(model, frame, FieldModel::bits_column), "51:12");
  EXPECT_EQ(cell(model, frame, FieldModel::value_column), "0x0000 7f00 1000");
  EXPECT_EQ(cell(model, model.rowOfBit(4), FieldModel::value_column), "0x6");
  for (int row = 0; row < model.rowCount(); ++row)
    EXPECT_FALSE(cell(model, row, FieldModel::source_column).empty()) << row;
}

TEST(FieldModel, IsEmptyWithoutAnEntry)
{
  FieldModel model;
  EXPECT_EQ(model.rowCount(), 0);
  EXPECT_EQ(model.rowOfBit(0), -1);
}

}  // namespace
}  // namespace morsel::gui
