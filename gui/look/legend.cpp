// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/look/legend.hpp"

#include <QHelpEvent>
#include <QPainter>
#include <QToolTip>

#include "gui/look/state_painter.hpp"
#include "gui/look/theme.hpp"

namespace morsel::gui {
namespace {

constexpr int gap = 6;
constexpr int between = 18;

// Calls visit(style, rectangle) for every state that has a chip.
template <class V>
void layOut(int height, V&& visit)
{
  const QFontMetrics metrics(textFont());
  int x = 10;
  for (const StateStyle& style : stateStyles()) {
    if (style.pattern == Pattern::none) continue;
    const int width = chip_width + gap + metrics.horizontalAdvance(stateName(style.state));
    visit(style, QRect(x, 0, width, height));
    x += width + between;
  }
}

}  // namespace

Legend::Legend(QWidget* parent) : QWidget(parent) { setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed); }

QSize Legend::sizeHint() const
{
  int right = 0;
  layOut(height(), [&right](const StateStyle&, const QRect& r) { right = r.right(); });
  return {right + 10, chip_height + 12};
}

void Legend::paintEvent(QPaintEvent*)
{
  QPainter p(this);
  layOut(height(), [&p](const StateStyle& style, const QRect& r) {
    const QRect chip(r.left(), r.center().y() - chip_height / 2 + 1, chip_width, chip_height);
    paintChip(p, chip, style.state, currentTheme());
    p.setFont(textFont());
    p.setPen(colors().muted);
    p.drawText(r.adjusted(chip_width + gap, 0, 2, 0), Qt::AlignLeft | Qt::AlignVCenter, stateName(style.state));
  });
}

bool Legend::event(QEvent* event)
{
  if (event->type() != QEvent::ToolTip) return QWidget::event(event);
  const auto* help = static_cast<QHelpEvent*>(event);
  QString text;
  layOut(height(), [&](const StateStyle& style, const QRect& r) {
    if (r.contains(help->pos())) text = QString::fromUtf8(style.meaning);
  });
  QToolTip::showText(help->globalPos(), text, this);
  return true;
}

}  // namespace morsel::gui
