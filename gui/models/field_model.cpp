// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/field_model.hpp"

#include <bit>

#include "gui/models/text.hpp"

namespace morsel::gui {

int lowestBit(u64 mask) { return std::countr_zero(mask); }
int highestBit(u64 mask) { return 63 - std::countl_zero(mask); }

QString bitsText(u64 mask)
{
  const int high = highestBit(mask), low = lowestBit(mask);
  return high == low ? QString::number(high) : QStringLiteral("%1:%2").arg(high).arg(low);
}

QString fieldValueText(const inspect::DecodedField& field)
{
  const int width = std::popcount(field.mask);
  if (width == 1) return QString::number(field.value);
  if (field.name == "frame" || field.name == "table") return QStringLiteral("0x") + groupedHex(field.value, 12);
  return QStringLiteral("0x%1").arg(field.value, 0, 16);
}

FieldModel::FieldModel(QObject* parent) : QAbstractTableModel(parent) {}

void FieldModel::setEntry(std::optional<inspect::DecodedEntry> entry)
{
  beginResetModel();
  entry_ = std::move(entry);
  endResetModel();
}

// The decoder lists them from bit 63 down.
const inspect::DecodedField& FieldModel::field(int row) const
{
  return entry_->fields[entry_->fields.size() - 1 - static_cast<std::size_t>(row)];
}

int FieldModel::rowOfBit(int bit) const
{
  if (!entry_) return -1;
  for (std::size_t n = 0; n < entry_->fields.size(); ++n)
    if (field(static_cast<int>(n)).mask >> bit & 1) return static_cast<int>(n);
  return -1;
}

int FieldModel::rowCount(const QModelIndex& parent) const
{
  return parent.isValid() || !entry_ ? 0 : static_cast<int>(entry_->fields.size());
}

int FieldModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : column_count; }

QVariant FieldModel::data(const QModelIndex& index, int role) const
{
  if (!index.isValid() || !entry_) return {};
  const inspect::DecodedField& shown = field(index.row());
  if (role == Qt::TextAlignmentRole && (index.column() == bits_column || index.column() == value_column))
    return static_cast<int>(Qt::AlignRight | Qt::AlignVCenter);
  if (role == set_role) return shown.value != 0;
  if (role != Qt::DisplayRole && role != Qt::ToolTipRole) return {};
  switch (index.column()) {
    case name_column: return fromView(shown.name);
    case bits_column: return bitsText(shown.mask);
    case value_column: return fieldValueText(shown);
    case meaning_column: return fromView(shown.meaning);
    case source_column: return fromView(shown.source);
    default: return {};
  }
}

QVariant FieldModel::headerData(int section, Qt::Orientation orientation, int role) const
{
  static constexpr const char* names[column_count] = {"field", "bits", "value", "meaning", "manual"};
  if (orientation != Qt::Horizontal || section < 0 || section >= column_count) return {};
  if (role == Qt::DisplayRole) return QString::fromLatin1(names[section]);
  if (role == Qt::TextAlignmentRole)
    return static_cast<int>((section == bits_column || section == value_column ? Qt::AlignRight : Qt::AlignLeft) |
                            Qt::AlignVCenter);
  return {};
}

}  // namespace morsel::gui
