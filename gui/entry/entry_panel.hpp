// SPDX-License-Identifier: GPL-2.0-or-later
//
// The chosen entry, decoded: what it says in one line, what its state means, the primary's word and the view's word as
// bit rulers below each other, and the fields of the chosen one with their manual sections.
#pragma once
#include <QWidget>

#include "gui/models/field_model.hpp"
#include "gui/models/tree_model.hpp"

class QLabel;
class QTableView;

namespace morsel::gui {

class BitRuler;

class EntryPanel : public QWidget {
  Q_OBJECT

 public:
  explicit EntryPanel(QWidget* parent = nullptr);

  // Column of the aligned tree; no tree: nothing is chosen.
  void showEntry(const AlignedTreePtr& tree, session::AlignedRow row, std::size_t column);
  void showNothing();
  QString headline() const;
  FieldModel* fields() const { return fields_; }

 signals:
  void hovered(const QString& text);

 private:
  void showFields(std::optional<inspect::DecodedEntry> entry);
  void showDecoded(const QString& title, const inspect::DecodedEntry& entry);
  void pointAt(int bit);

  QLabel* headline_;
  QLabel* explanation_;
  BitRuler* primary_ruler_;
  BitRuler* view_ruler_;
  QTableView* table_;
  QLabel* no_fields_;  // in place of an empty table
  FieldModel* fields_;
};

}  // namespace morsel::gui
