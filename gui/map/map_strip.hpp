// SPDX-License-Identifier: GPL-2.0-or-later
//
// One view of the whole object as a strip: each pixel is the worst state of the pages under it, never an average, so
// that one stale page of a million is seen. A row of pixels is made once per reading and stretched. A click goes there.
#pragma once
#include <QImage>
#include <QWidget>
#include <optional>

#include "gui/models/tree_model.hpp"

namespace morsel::gui {

class MapStrip : public QWidget {
  Q_OBJECT

 public:
  explicit MapStrip(QWidget* parent = nullptr);

  // `column` of the aligned tree, 1 and up.
  void showTree(AlignedTreePtr tree, std::size_t column);
  void setMarker(std::optional<Range> range);
  std::size_t treeColumn() const { return column_; }
  inspect::DiffState stateAtPixel(int x) const;
  QSize sizeHint() const override { return {400, 22}; }
  QSize minimumSizeHint() const override { return {80, 22}; }

 signals:
  void offsetClicked(quint64 offset, int column);
  void hovered(const QString& text);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void mousePressEvent(QMouseEvent* event) override;
  void mouseMoveEvent(QMouseEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void changeEvent(QEvent* event) override;

 private:
  QRect bar() const { return rect().adjusted(1, 3, -1, -3); }
  u64 offsetAt(int x) const;
  Range rangeAt(int x) const;
  void rebuild();

  AlignedTreePtr tree_;
  std::size_t column_ = 1;
  std::vector<inspect::DiffState> worst_;  // per pixel
  QImage row_;
  std::optional<Range> marker_;
};

}  // namespace morsel::gui
