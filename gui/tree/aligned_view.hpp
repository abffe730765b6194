// SPDX-License-Identifier: GPL-2.0-or-later
//
// The aligned tree on the screen. A row is selected as a whole, and one of its columns is the chosen entry. Arrow keys
// go as in every tree; Tab and Shift+Tab, or Ctrl+Left and Ctrl+Right, go from tree to tree. The range stays on the
// left when many views are scrolled sideways.
#pragma once
#include <QTreeView>
#include <vector>

#include "gui/models/tree_model.hpp"

class QLabel;

namespace morsel::gui {

class CellDelegate;

class AlignedView : public QTreeView {
  Q_OBJECT

 public:
  explicit AlignedView(TreeModel* model, QWidget* parent = nullptr);

  // Opens the way to the deepest row at `offset` and makes it current.
  bool goTo(u64 offset, int column);
  // As far as the trees go, unless that would be a very long list: then only what holds differences is opened.
  void openForReading();
  void fitColumns();
  // The opened rows, parents first; to be opened again after the columns changed.
  std::vector<session::AlignedRow> openRows() const;
  void open(const std::vector<session::AlignedRow>& rows);
  // Where the chip of a cell is, in viewport coordinates.
  QRect chipRectOf(const QModelIndex& index) const;
  QModelIndex indexAt(const QPoint& point) const override;
  void scrollTo(const QModelIndex& index, ScrollHint hint = EnsureVisible) override;

 signals:
  void entryChosen(const QModelIndex& index);
  void entryHovered(const QModelIndex& index);  // invalid: none any more

 protected:
  void currentChanged(const QModelIndex& current, const QModelIndex& previous) override;
  void keyPressEvent(QKeyEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void drawRow(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const override;
  void scrollContentsBy(int dx, int dy) override;
  void drawBranches(QPainter* painter, const QRect& rect, const QModelIndex& index) const override;
  bool focusNextPrevChild(bool next) override;
  void paintEvent(QPaintEvent* event) override;

 private:
  bool stepColumn(int step);
  bool rangeIsScrolledAway() const { return horizontalOffset() > 0; }
  int depthOf(const QModelIndex& index) const;

  TreeModel* model_;
  CellDelegate* delegate_;
  QLabel* range_title_;  // over the header, while the range's own is scrolled away
};

}  // namespace morsel::gui
