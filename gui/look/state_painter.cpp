// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/look/state_painter.hpp"

#include <QPainter>
#include <QPolygon>

#include "gui/look/theme.hpp"

namespace morsel::gui {
namespace {

QColor mixed(const QColor& a, const QColor& b, double part_of_b)
{
  const auto mix = [part_of_b](int x, int y) { return static_cast<int>(x + (y - x) * part_of_b); };
  return {mix(a.red(), b.red()), mix(a.green(), b.green()), mix(a.blue(), b.blue())};
}

// Away from the text's colour, so that the sign gains contrast instead of losing it.
QColor away(const QColor& fill, const QColor& text)
{
  return mixed(fill, text == Qt::white ? Qt::black : Qt::white, 0.35);
}

void paintHatch(QPainter& p, const QRect& r, const QColor& ink)
{
  p.setPen(QPen(ink, 1));
  for (int x = -r.height(); x < r.width(); x += 4)
    p.drawLine(r.left() + x, r.bottom(), r.left() + x + r.height(), r.top());
}

void paintPattern(QPainter& p, const QRect& r, Pattern pattern, const QColor& fill, const QColor& ink, Theme theme)
{
  switch (pattern) {
    case Pattern::hatch: paintHatch(p, r, away(fill, ink)); break;
    case Pattern::diagonal:
      p.setPen(QPen(away(fill, ink), 3));
      p.drawLine(r.left(), r.bottom(), r.right(), r.top());
      break;
    case Pattern::half_fill:
      p.fillRect(QRect(r.center().x() + 1, r.top(), r.right() - r.center().x(), r.height()), away(fill, ink));
      break;
    case Pattern::corner: {
      const QPoint top = r.topRight() + QPoint(1, 0);
      p.setPen(Qt::NoPen);
      p.setBrush(ink);
      p.drawPolygon(QPolygon({top, top - QPoint(6, 0), top + QPoint(0, 6)}));
      break;
    }
    case Pattern::thick_border:
      p.setPen(QPen(mixed(fill, theme == Theme::light ? Qt::black : Qt::white, 0.55), 2));
      p.setBrush(Qt::NoBrush);
      p.drawRect(r.adjusted(1, 1, -1, -1));
      break;
    case Pattern::dotted_outline:
      p.setPen(QPen(mixed(fill, ink, 0.6), 1, Qt::DotLine));
      p.setBrush(Qt::NoBrush);
      p.drawRect(r.adjusted(0, 0, -1, -1));
      break;
    case Pattern::plain:
    case Pattern::none: break;
  }
}

}  // namespace

void paintChip(QPainter& p, const QRect& rect, inspect::DiffState state, Theme theme)
{
  const StateStyle& style = styleOf(state);
  if (style.pattern == Pattern::none) return;
  const QColor fill = stateFill(state, theme);
  const QColor ink = stateText(state, theme);
  p.save();
  p.setClipRect(rect);
  p.setRenderHint(QPainter::Antialiasing, false);
  p.fillRect(rect, fill);
  paintPattern(p, rect, style.pattern, fill, ink, theme);
  p.setRenderHint(QPainter::Antialiasing, true);
  QFont font = monoFont();
  font.setPixelSize(rect.height() - 2);
  font.setBold(state != inspect::DiffState::same && state != inspect::DiffState::unfilled);
  p.setFont(font);
  p.setPen(ink);
  p.drawText(rect, Qt::AlignCenter, stateSign(state));
  p.restore();
}

QPoint chipFillPoint(const QRect& rect) { return {rect.left() + 3, rect.top() + 4}; }

}  // namespace morsel::gui
