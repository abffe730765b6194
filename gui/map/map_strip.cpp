// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/map/map_strip.hpp"

#include <QMouseEvent>
#include <QPainter>
#include <algorithm>

#include "gui/look/theme.hpp"
#include "gui/models/text.hpp"

namespace morsel::gui {

using inspect::DiffState;

namespace {

// A single wrong page is seen without looking for it.
constexpr int least_width = 3;

}  // namespace

MapStrip::MapStrip(QWidget* parent) : QWidget(parent)
{
  setMouseTracking(true);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  setCursor(Qt::PointingHandCursor);
}

void MapStrip::showTree(AlignedTreePtr tree, std::size_t column)
{
  tree_ = std::move(tree);
  column_ = column;
  rebuild();
}

void MapStrip::setMarker(std::optional<Range> range)
{
  marker_ = range;
  update();
}

// Runs and pixels both ascend: one pass over both.
void MapStrip::rebuild()
{
  const int width = std::max(1, bar().width());
  worst_.assign(static_cast<std::size_t>(width), DiffState::hole);
  row_ = QImage(width, 1, QImage::Format_RGB32);
  if (tree_ && column_ < tree_->columns())
    for (const inspect::DiffRun& run : tree_->diff(column_).runs()) {
      const double scale = static_cast<double>(width) / static_cast<double>(tree_->range().bytes());
      const auto first = static_cast<int>(static_cast<double>(run.range.start - tree_->range().start) * scale);
      auto last = static_cast<int>(static_cast<double>(run.range.end - 1 - tree_->range().start) * scale);
      if (!inspect::is_clean(run)) last = std::max(last, first + least_width - 1);
      for (int x = std::max(0, first); x <= std::min(last, width - 1); ++x) {
        DiffState& pixel = worst_[static_cast<std::size_t>(x)];
        pixel = std::max(pixel, run.state);
      }
    }
  for (int x = 0; x < width; ++x) {
    const DiffState state = worst_[static_cast<std::size_t>(x)];
    QColor fill = state == DiffState::hole ? colors().base : stateFill(state, currentTheme());
    // Unfilled is the ground's own colour: dotted, as its chip is.
    if (state == DiffState::unfilled && x % 2 == 0) fill = colors().muted;
    row_.setPixel(x, 0, fill.rgb());
  }
  update();
}

DiffState MapStrip::stateAtPixel(int x) const
{
  const int at = std::clamp(x - bar().left(), 0, static_cast<int>(worst_.size()) - 1);
  return worst_.empty() ? DiffState::hole : worst_[static_cast<std::size_t>(at)];
}

Range MapStrip::rangeAt(int x) const
{
  const double bytes_per_pixel = static_cast<double>(tree_->range().bytes()) / std::max(1, bar().width());
  const int at = std::clamp(x - bar().left(), 0, bar().width() - 1);
  const auto offset = [&](int pixel) {
    return tree_->range().start + align_down(static_cast<u64>(pixel * bytes_per_pixel), page_bytes);
  };
  return {offset(at), std::max(offset(at + 1), offset(at) + page_bytes)};
}

u64 MapStrip::offsetAt(int x) const
{
  const Range range = rangeAt(x);
  for (const inspect::DiffRun& run : tree_->diff(column_).runs())
    if (run.range.overlaps(range) && run.state == stateAtPixel(x)) return std::max(run.range.start, range.start);
  return range.start;
}

void MapStrip::paintEvent(QPaintEvent*)
{
  QPainter p(this);
  p.drawImage(bar(), row_);
  p.setPen(colors().line);
  p.setBrush(Qt::NoBrush);
  p.drawRect(bar().adjusted(-1, -1, 0, 0));
  if (!marker_ || !tree_) return;
  const double scale = static_cast<double>(bar().width()) / static_cast<double>(tree_->range().bytes());
  const double left = bar().left() + static_cast<double>(marker_->start - tree_->range().start) * scale;
  const double width = std::max<double>(least_width, static_cast<double>(marker_->bytes()) * scale);
  // Beside the bar, so that the colour under it stays visible.
  p.fillRect(QRectF(left, 0, width, 2), colors().accent);
  p.fillRect(QRectF(left, height() - 2, width, 2), colors().accent);
}

void MapStrip::resizeEvent(QResizeEvent* event)
{
  QWidget::resizeEvent(event);
  rebuild();
}

void MapStrip::changeEvent(QEvent* event)
{
  QWidget::changeEvent(event);
  if (event->type() == QEvent::PaletteChange) rebuild();
}

void MapStrip::mousePressEvent(QMouseEvent* event)
{
  if (!tree_ || event->button() != Qt::LeftButton) return;
  emit offsetClicked(offsetAt(event->position().toPoint().x()), static_cast<int>(column_) + TreeModel::primary_column);
}

void MapStrip::mouseMoveEvent(QMouseEvent* event)
{
  if (!tree_) return;
  const int x = event->position().toPoint().x();
  const Range range = rangeAt(x);
  emit hovered(QStringLiteral("0x%1 + %2: %3 at worst")
                   .arg(groupedHex(range.start, 8), sizeText(range.bytes()), stateName(stateAtPixel(x))));
}

void MapStrip::leaveEvent(QEvent* event)
{
  QWidget::leaveEvent(event);
  emit hovered({});
}

}  // namespace morsel::gui
