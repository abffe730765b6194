// SPDX-License-Identifier: GPL-2.0-or-later
//
// Paints the cells of the aligned tree: chip, word in groups of four with the frame's digits standing out, note. The
// column under the keyboard's focus has a frame of its own, because one column of the row is the chosen entry.
#pragma once
#include <QStyledItemDelegate>

#include "gui/models/tree_model.hpp"

namespace morsel::gui {

class CellDelegate : public QStyledItemDelegate {
  Q_OBJECT

 public:
  explicit CellDelegate(const TreeModel* model, QObject* parent = nullptr);

  void setCurrent(const QModelIndex& index) { current_ = index; }
  void paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
  QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;

  // Wide enough that nothing in an ordinary cell is elided.
  static int rangeColumnWidth();
  static int treeColumnWidth(int column);
  static QRect chipRect(const QRect& cell);

 private:
  void paintRange(QPainter& painter, const QRect& cell, const QModelIndex& index) const;
  void paintEntry(QPainter& painter, const QRect& cell, const QModelIndex& index) const;

  const TreeModel* model_;
  QPersistentModelIndex current_;
};

}  // namespace morsel::gui
