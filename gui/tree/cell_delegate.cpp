// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/tree/cell_delegate.hpp"

#include <QPainter>

#include "gui/look/state_painter.hpp"
#include "gui/look/theme.hpp"
#include "gui/models/text.hpp"

namespace morsel::gui {
namespace {

constexpr int row_height = 23;
constexpr int padding = 8;
constexpr int gap = 10;
constexpr int badge_width = 22;
// Digits 3 to 12 of the 16: bits 51 to 12. In the grouped text they are characters 3..4, 5..8, ...
constexpr qsizetype frame_first = 3;
constexpr qsizetype frame_last = 15;

int monoWidth(qsizetype characters)
{
  return static_cast<int>(characters) * QFontMetrics(monoFont()).horizontalAdvance(QLatin1Char('0'));
}

bool isUnclean(inspect::DiffState state) { return state >= inspect::DiffState::rights; }

// The frame's significant digits are written in full ink, flags and leading zeros muted: frames are what is compared.
void paintWord(QPainter& p, QPoint baseline, const QString& word, bool has_frame)
{
  const QColor muted = colors().muted;
  if (!has_frame) {
    p.setPen(colors().text);
    p.drawText(baseline, word);
    return;
  }
  qsizetype first = frame_first;
  while (first < frame_last && (word[first] == QLatin1Char('0') || word[first] == QLatin1Char(' '))) ++first;
  const QFontMetricsF metrics(p.font());
  const auto piece = [&](qsizetype from, qsizetype to, const QColor& ink) {
    p.setPen(ink);
    p.drawText(QPointF(baseline) + QPointF(metrics.horizontalAdvance(word.left(from)), 0), word.mid(from, to - from));
  };
  piece(0, first, muted);
  piece(first, frame_last + 1, colors().text);
  piece(frame_last + 1, word.size(), muted);
}

}  // namespace

CellDelegate::CellDelegate(const TreeModel* model, QObject* parent) : QStyledItemDelegate(parent), model_(model) {}

QRect CellDelegate::chipRect(const QRect& cell)
{
  return {cell.left() + padding, cell.top() + (cell.height() - chip_height) / 2, chip_width, chip_height};
}

int CellDelegate::rangeColumnWidth() { return 3 * 20 + badge_width + monoWidth(24) + 2 * padding; }

int CellDelegate::treeColumnWidth(int column)
{
  const int chip = column > TreeModel::primary_column ? chip_width + gap : 0;
  return chip + monoWidth(19) + gap + QFontMetrics(textFont()).horizontalAdvance(QStringLiteral("malformed ")) +
         2 * padding;
}

QSize CellDelegate::sizeHint(const QStyleOptionViewItem&, const QModelIndex& index) const
{
  return {index.column() == TreeModel::range_column ? rangeColumnWidth() : treeColumnWidth(index.column()), row_height};
}

void CellDelegate::paint(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
  QPainter& p = *painter;
  p.save();
  if (option.state & QStyle::State_Selected) p.fillRect(option.rect, colors().accent_soft);
  if (index.column() == TreeModel::range_column)
    paintRange(p, option.rect, index);
  else
    paintEntry(p, option.rect, index);
  p.setPen(colors().line);
  p.drawLine(option.rect.topRight(), option.rect.bottomRight());
  if (current_ == index && index.column() != TreeModel::range_column) {
    p.setPen(QPen(colors().accent, 2));
    p.drawRect(option.rect.adjusted(1, 1, -2, -1));
  }
  p.restore();
}

void CellDelegate::paintRange(QPainter& p, const QRect& cell, const QModelIndex& index) const
{
  const session::AlignedRow row = model_->place(index);
  const bool folded = model_->foldedCount(index) > 1;
  p.setFont(smallFont());
  p.setPen(colors().muted);
  const QRect badge(cell.left() + 2, cell.top(), badge_width, cell.height());
  p.drawText(badge, Qt::AlignLeft | Qt::AlignVCenter, QStringLiteral("L%1").arg(row.level));
  p.setFont(monoFont());
  const QString text = model_->rangeText(index);
  const qsizetype plus = text.indexOf(QLatin1Char('+'));
  const QRect rest = cell.adjusted(badge_width, 0, -2, 0);
  p.setPen(folded ? colors().muted : colors().text);
  p.drawText(rest, Qt::AlignLeft | Qt::AlignVCenter, text.left(plus));
  p.setPen(colors().muted);
  p.drawText(rest.adjusted(monoWidth(plus), 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter, text.mid(plus));
}

void CellDelegate::paintEntry(QPainter& p, const QRect& cell, const QModelIndex& index) const
{
  const CellFacts f = model_->facts(index);
  int x = cell.left() + padding;
  if (f.has_state && isUnclean(f.state)) {
    p.fillRect(cell, colors().base);
    QColor tint = stateFill(f.state, currentTheme());
    tint.setAlphaF(0.13f);
    p.fillRect(cell, tint);
  }
  if (index.column() > TreeModel::primary_column) {
    if (f.has_state) paintChip(p, chipRect(cell), f.state, currentTheme());
    x += chip_width + gap;
  }
  const QFontMetrics mono(monoFont());
  const int baseline = cell.top() + (cell.height() + mono.ascent() - mono.descent()) / 2;
  p.setFont(monoFont());
  if (!f.word.isEmpty()) {
    paintWord(p, {x, baseline}, f.word, f.has_frame);
    x += monoWidth(19) + gap;
  }
  const bool rights = f.has_frame && f.note.size() == 6;
  p.setFont(rights ? monoFont() : textFont());
  p.setPen(f.muted || (f.has_frame && !rights) ? colors().muted : colors().text);
  const QRect note(x, cell.top(), cell.right() - padding - x, cell.height());
  p.drawText(note, Qt::AlignLeft | Qt::AlignVCenter, p.fontMetrics().elidedText(f.note, Qt::ElideRight, note.width()));
}

}  // namespace morsel::gui
