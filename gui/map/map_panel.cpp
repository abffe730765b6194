// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/map/map_panel.hpp"

#include <QGridLayout>
#include <QLabel>

#include "gui/look/theme.hpp"
#include "gui/map/map_strip.hpp"

namespace morsel::gui {

QString countsText(const inspect::Diff& diff)
{
  QStringList parts;
  for (const StateStyle& style : stateStyles())
    if (style.state != inspect::DiffState::hole && diff.pages(style.state))
      parts << QStringLiteral("%1 %2").arg(diff.pages(style.state)).arg(stateName(style.state));
  if (parts.isEmpty()) return QStringLiteral("nothing mapped");
  return parts.join(QStringLiteral(" · "));
}

MapPanel::MapPanel(QWidget* parent) : QWidget(parent), grid_(new QGridLayout(this))
{
  grid_->setContentsMargins(10, 6, 10, 6);
  grid_->setHorizontalSpacing(12);
  grid_->setVerticalSpacing(2);
  grid_->setColumnStretch(1, 1);
}

void MapPanel::setRows(std::size_t count)
{
  while (strips_.size() > count) {
    for (QWidget* w : {static_cast<QWidget*>(names_.back()), static_cast<QWidget*>(strips_.back()),
                       static_cast<QWidget*>(counts_.back())})
      delete w;
    names_.pop_back();
    strips_.pop_back();
    counts_.pop_back();
  }
  while (strips_.size() < count) {
    const int row = static_cast<int>(strips_.size());
    names_.push_back(new QLabel(this));
    strips_.push_back(new MapStrip(this));
    counts_.push_back(new QLabel(this));
    counts_.back()->setObjectName(QStringLiteral("counts_%1").arg(row + 1));
    grid_->addWidget(names_.back(), row, 0);
    grid_->addWidget(strips_.back(), row, 1);
    grid_->addWidget(counts_.back(), row, 2);
    connect(strips_.back(), &MapStrip::offsetClicked, this, &MapPanel::offsetClicked);
    connect(strips_.back(), &MapStrip::hovered, this, &MapPanel::hovered);
  }
}

void MapPanel::showTree(const AlignedTreePtr& tree)
{
  setRows(tree ? tree->columns() - 1 : 0);
  setVisible(!strips_.empty());
  for (std::size_t n = 0; n < strips_.size(); ++n) {
    const inspect::Diff& diff = tree->diff(n + 1);
    names_[n]->setText(QString::fromStdString(tree->title(n + 1)));
    strips_[n]->showTree(tree, n + 1);
    const bool clean = diff.clean();
    counts_[n]->setText(QStringLiteral("%1   <span style='color:%2'>%3</span>")
                            .arg(countsText(diff), (clean ? colors().good : colors().bad).name(),
                                 clean ? QStringLiteral("✓ clean") : QStringLiteral("✗ not clean")));
  }
}

void MapPanel::setMarker(std::optional<Range> range)
{
  for (MapStrip* strip : strips_) strip->setMarker(range);
}

}  // namespace morsel::gui
