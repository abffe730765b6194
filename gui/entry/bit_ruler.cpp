// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/entry/bit_ruler.hpp"

#include <QHelpEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>

#include "gui/look/theme.hpp"
#include "gui/models/field_model.hpp"
#include "gui/models/text.hpp"

namespace morsel::gui {
namespace {

constexpr int title_width = 96;
constexpr int margin = 10;
constexpr double tick_top = 2, tick_height = 13;
constexpr double box_height = 24;
constexpr double hatch_distance = 5;
constexpr double bit_gap = 2, bit_height = 18;

void paintHatchedBox(QPainter& p, const QRectF& r, const QColor& ink)
{
  p.save();
  p.setClipRect(r);
  p.setPen(QPen(ink, 1));
  const int lines = static_cast<int>((r.width() + r.height()) / hatch_distance) + 1;
  for (int n = 0; n < lines; ++n) {
    const double x = r.left() - r.height() + n * hatch_distance;
    p.drawLine(QPointF(x, r.bottom()), QPointF(x + r.height(), r.top()));
  }
  p.restore();
}

}  // namespace

BitRuler::BitRuler(Ticks ticks, QWidget* parent) : QWidget(parent), ticks_(ticks)
{
  setMouseTracking(true);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
}

void BitRuler::setEntry(const QString& title, std::optional<inspect::DecodedEntry> entry)
{
  title_ = title;
  entry_ = std::move(entry);
  highlight_ = 0;
  update();
}

void BitRuler::setHighlight(u64 mask)
{
  if (mask == highlight_) return;
  highlight_ = mask;
  update();
}

double BitRuler::bitWidth() const { return (width() - title_width - 2 * margin) / 64.0; }

QRectF BitRuler::box(int high, int low, double top, double height) const
{
  const double left = margin + title_width + (63 - high) * bitWidth();
  return {left, top, (high - low + 1) * bitWidth(), height};
}

int BitRuler::bitAt(int x) const
{
  const double at = (x - margin - title_width) / bitWidth();
  return at < 0 || at >= 64 ? -1 : 63 - static_cast<int>(at);
}

void BitRuler::paintTicks(QPainter& p) const
{
  if (ticks_ == Ticks::hidden) return;
  p.setFont(smallFont());
  p.setPen(colors().muted);
  const double needed = QFontMetricsF(smallFont()).horizontalAdvance(QStringLiteral("00")) + 2;
  const bool every_bit = bitWidth() >= needed;
  for (int bit = 63; bit >= 0; --bit) {
    const bool edge = bit == 63 || bit % 4 == 0;
    if (every_bit || edge)
      p.drawText(box(bit, bit, tick_top, tick_height).adjusted(-4, 0, 4, 0), Qt::AlignCenter, QString::number(bit));
  }
}

void BitRuler::paintGaps(QPainter& p) const
{
  u64 defined = 0;
  for (const inspect::DecodedField& f : entry_->fields) defined |= f.mask;
  for (int high = 63; high >= 0;) {
    if (defined >> high & 1) {
      --high;
      continue;
    }
    int low = high;
    while (low > 0 && !(defined >> (low - 1) & 1)) --low;
    const QRectF r = box(high, low, boxTop(), box_height);
    const bool set = (entry_->word & bits(static_cast<unsigned>(high), static_cast<unsigned>(low))) != 0;
    paintHatchedBox(p, r, set ? colors().bad : colors().line);
    p.setPen(QPen(set ? colors().bad : colors().line, 1));
    p.setBrush(Qt::NoBrush);
    p.drawRect(r.adjusted(0.5, 0.5, -0.5, -0.5));
    high = low - 1;
  }
}

void BitRuler::paintFields(QPainter& p) const
{
  for (const inspect::DecodedField& f : entry_->fields) {
    const QRectF r = box(highestBit(f.mask), lowestBit(f.mask), boxTop(), box_height).adjusted(0.5, 0.5, -0.5, -0.5);
    const bool set = f.value != 0;
    p.setPen(QPen(colors().line, 1));
    p.setBrush(f.mask == highlight_ ? colors().accent : set ? colors().accent_soft : colors().base);
    p.drawRect(r);
    p.setFont(set ? textFont() : smallFont());
    p.setPen(f.mask == highlight_ ? colors().accent_text : set ? colors().text : colors().muted);
    QString name = fromView(f.name);
    if (p.fontMetrics().horizontalAdvance(name) > r.width() - 2) {
      p.setFont(smallFont());
      name = p.fontMetrics().elidedText(name, Qt::ElideRight, static_cast<int>(r.width()) + 1);
    }
    p.drawText(r, Qt::AlignCenter, name);
  }
}

void BitRuler::paintBits(QPainter& p) const
{
  QFont font = monoFont();
  QFont strong = font;
  strong.setBold(true);
  const double bit_top = boxTop() + box_height + bit_gap;
  for (int bit = 63; bit >= 0; --bit) {
    const bool set = entry_->word >> bit & 1;
    p.setFont(set ? strong : font);
    p.setPen(set ? colors().text : colors().muted);
    const QRectF r = box(bit, bit, bit_top, bit_height);
    p.drawText(r, Qt::AlignCenter, set ? QStringLiteral("1") : QStringLiteral("0"));
    if (bit % 4 == 0 && bit != 0) {
      p.setPen(colors().line);
      p.drawLine(QPointF(r.right(), bit_top + 3), QPointF(r.right(), bit_top + bit_height - 3));
    }
  }
}

// All zero: no field means anything.
void BitRuler::paintHole(QPainter& p) const
{
  const QRectF r = box(63, 0, boxTop(), box_height).adjusted(0.5, 0.5, -0.5, -0.5);
  p.setPen(QPen(colors().line, 1, Qt::DashLine));
  p.setBrush(Qt::NoBrush);
  p.drawRect(r);
  p.setFont(textFont());
  p.setPen(colors().muted);
  p.drawText(r, Qt::AlignCenter, QStringLiteral("hole: the word is zero, nothing is mapped"));
  paintBits(p);
}

void BitRuler::paintEvent(QPaintEvent*)
{
  QPainter p(this);
  QFont font = textFont();
  font.setBold(true);
  p.setFont(font);
  p.setPen(colors().text);
  const QRectF title(margin, boxTop(), title_width - 8, box_height);
  p.drawText(title, Qt::AlignLeft | Qt::AlignVCenter, title_);
  paintTicks(p);
  if (!entry_) {
    paintHatchedBox(p, box(63, 0, boxTop(), box_height), colors().line);
    return;
  }
  p.setRenderHint(QPainter::Antialiasing, false);
  if (entry_->kind == EntryKind::hole) return paintHole(p);
  paintGaps(p);
  paintFields(p);
  paintBits(p);
}

void BitRuler::mouseMoveEvent(QMouseEvent* event)
{
  const int bit = entry_ ? bitAt(event->position().toPoint().x()) : -1;
  emit bitHovered(bit);
}

void BitRuler::mousePressEvent(QMouseEvent* event)
{
  const int bit = entry_ ? bitAt(event->position().toPoint().x()) : -1;
  if (bit >= 0) emit bitClicked(bit);
}

void BitRuler::leaveEvent(QEvent* event)
{
  QWidget::leaveEvent(event);
  emit bitHovered(-1);
}

bool BitRuler::event(QEvent* event)
{
  if (event->type() != QEvent::ToolTip || !entry_) return QWidget::event(event);
  const auto* help = static_cast<QHelpEvent*>(event);
  const int bit = bitAt(help->pos().x());
  QString text;
  if (bit >= 0) text = QStringLiteral("bit %1: reserved, must be zero").arg(bit);
  for (const inspect::DecodedField& f : entry_->fields)
    if (bit >= 0 && (f.mask >> bit & 1))
      text = QStringLiteral("%1 [%2] = %3\n%4\n%5")
                 .arg(fromView(f.name), bitsText(f.mask), fieldValueText(f), fromView(f.meaning), fromView(f.source));
  QToolTip::showText(help->globalPos(), text, this);
  return true;
}

}  // namespace morsel::gui
