// SPDX-License-Identifier: GPL-2.0-or-later
//
// The strips of all views below each other, each with its view's name and what was counted; under them the legend.
#pragma once
#include <QWidget>
#include <optional>
#include <vector>

#include "gui/models/tree_model.hpp"

class QGridLayout;
class QLabel;

namespace morsel::gui {

class MapStrip;

class MapPanel : public QWidget {
  Q_OBJECT

 public:
  explicit MapPanel(QWidget* parent = nullptr);

  void showTree(const AlignedTreePtr& tree);
  void setMarker(std::optional<Range> range);
  const std::vector<MapStrip*>& strips() const { return strips_; }

 signals:
  void offsetClicked(quint64 offset, int column);
  void hovered(const QString& text);

 private:
  void setRows(std::size_t count);

  QGridLayout* grid_;
  std::vector<QLabel*> names_, counts_;
  std::vector<MapStrip*> strips_;
};

// "24 same · 3 unfilled · 1 stale", worst last; "nothing mapped" when there is nothing to count.
QString countsText(const inspect::Diff& diff);

}  // namespace morsel::gui
