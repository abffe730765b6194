// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fields of one decoded entry as a table: name, bits, value, meaning, manual section. From bit 0 up, as the manuals
// list them.
#pragma once
#include <QAbstractTableModel>
#include <optional>

#include "engine/inspect/decode.hpp"

namespace morsel::gui {

class FieldModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { name_column, bits_column, value_column, meaning_column, source_column, column_count };

  enum Role { set_role = Qt::UserRole };  // bool: the field is not zero

  explicit FieldModel(QObject* parent = nullptr);

  // Empty: no entry is chosen.
  void setEntry(std::optional<inspect::DecodedEntry> entry);
  const std::optional<inspect::DecodedEntry>& entry() const { return entry_; }
  const inspect::DecodedField& field(int row) const;
  // The row of the field that bit `bit` belongs to; -1 if the format defines nothing there.
  int rowOfBit(int bit) const;

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::optional<inspect::DecodedEntry> entry_;
};

int lowestBit(u64 mask);
int highestBit(u64 mask);
// "51:12", "63"
QString bitsText(u64 mask);
// One bit as 0 or 1; addresses in groups of four; other numbers in hex.
QString fieldValueText(const inspect::DecodedField& field);

}  // namespace morsel::gui
