// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/tree/aligned_view.hpp"

#include <QHeaderView>
#include <QKeyEvent>
#include <QLabel>
#include <QMouseEvent>
#include <QPainter>
#include <QScrollBar>
#include <algorithm>

#include "gui/look/theme.hpp"
#include "gui/models/differences.hpp"
#include "gui/tree/cell_delegate.hpp"

namespace morsel::gui {
namespace {

// Opening everything is instant far beyond this, but nobody reads more.
constexpr u64 tables_opened_at_most = 64;

}  // namespace

AlignedView::AlignedView(TreeModel* model, QWidget* parent)
    : QTreeView(parent),
      model_(model),
      delegate_(new CellDelegate(model, this)),
      range_title_(new QLabel(QStringLiteral("range"), header()))
{
  setObjectName(QStringLiteral("aligned_tree"));
  setModel(model);
  setItemDelegate(delegate_);
  setUniformRowHeights(true);
  setSelectionBehavior(SelectRows);
  setSelectionMode(SingleSelection);
  setAlternatingRowColors(true);
  setMouseTracking(true);
  setIndentation(20);
  setExpandsOnDoubleClick(true);
  setHorizontalScrollMode(ScrollPerPixel);
  header()->setStretchLastSection(true);
  header()->setSectionsMovable(false);
  header()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
  range_title_->setIndent(8);
  range_title_->setAutoFillBackground(true);
  range_title_->setBackgroundRole(QPalette::Button);
  range_title_->hide();
  connect(model, &QAbstractItemModel::modelReset, this, &AlignedView::fitColumns);
}

void AlignedView::fitColumns()
{
  for (int c = 0; c < model_->columnCount(); ++c)
    setColumnWidth(c,
                   c == TreeModel::range_column ? CellDelegate::rangeColumnWidth() : CellDelegate::treeColumnWidth(c));
}

bool AlignedView::goTo(u64 offset, int column)
{
  const QModelIndex index = model_->deepestAt(offset, column);
  if (!index.isValid()) return false;
  for (QModelIndex up = index.parent(); up.isValid(); up = up.parent()) expand(up);
  setCurrentIndex(index);
  scrollTo(index, PositionAtCenter);
  return true;
}

void AlignedView::openForReading()
{
  const AlignedTreePtr& tree = model_->tree();
  if (!tree) return;
  u64 tables = 0;
  for (std::size_t c = 0; c < tree->columns(); ++c) tables = std::max(tables, tree->snapshot(c).table_count());
  if (tables <= tables_opened_at_most) return expandAll();
  expandToDepth(0);
}

std::vector<session::AlignedRow> AlignedView::openRows() const
{
  std::vector<session::AlignedRow> rows;
  std::vector<QModelIndex> parents{QModelIndex()};
  for (std::size_t n = 0; n < parents.size(); ++n) {
    const QModelIndex parent = parents[n];
    for (int row = 0; row < model_->rowCount(parent); ++row) {
      const QModelIndex index = model_->index(row, 0, parent);
      if (!isExpanded(index)) continue;
      rows.push_back(model_->place(index));
      parents.push_back(index);
    }
  }
  return rows;
}

void AlignedView::open(const std::vector<session::AlignedRow>& rows)
{
  for (const session::AlignedRow row : rows) {
    const QModelIndex index = model_->indexOf(row);
    if (index.isValid() && model_->place(index) == row) expand(index);
  }
}

int AlignedView::depthOf(const QModelIndex& index) const
{
  int depth = 0;
  for (QModelIndex up = index.parent(); up.isValid(); up = up.parent()) ++depth;
  return depth;
}

// Once more over the scrolled cells: the range, where it stood before.
void AlignedView::drawRow(QPainter* painter, const QStyleOptionViewItem& option, const QModelIndex& index) const
{
  QTreeView::drawRow(painter, option, index);
  if (!rangeIsScrolledAway()) return;
  const QModelIndex range = index.siblingAtColumn(TreeModel::range_column);
  QStyleOptionViewItem sticky = option;
  sticky.rect = QRect(0, option.rect.top(), columnWidth(TreeModel::range_column), option.rect.height());
  const bool odd = option.features & QStyleOptionViewItem::Alternate;
  painter->fillRect(sticky.rect, odd ? colors().alternate : colors().base);
  sticky.state.setFlag(QStyle::State_Selected, selectionModel()->isSelected(range));
  const QRect whole = sticky.rect;
  const int indent = (depthOf(range) + 1) * indentation();
  sticky.rect.setLeft(indent);
  drawBranches(painter, QRect(whole.left(), whole.top(), indent, whole.height()), range);
  delegate_->paint(painter, sticky, range);
}

void AlignedView::scrollContentsBy(int dx, int dy)
{
  QTreeView::scrollContentsBy(dx, dy);
  if (dx == 0) return;
  viewport()->update();
  range_title_->setGeometry(0, 0, columnWidth(TreeModel::range_column) - 1, header()->height() - 1);
  range_title_->setVisible(rangeIsScrolledAway());
}

QModelIndex AlignedView::indexAt(const QPoint& point) const
{
  const bool on_range = rangeIsScrolledAway() && point.x() < columnWidth(TreeModel::range_column);
  return QTreeView::indexAt(on_range ? point - QPoint(horizontalOffset(), 0) : point);
}

void AlignedView::scrollTo(const QModelIndex& index, ScrollHint hint)
{
  QTreeView::scrollTo(index, hint);
  if (index.column() == TreeModel::range_column) return;
  const int hidden = columnWidth(TreeModel::range_column) - visualRect(index).left();
  if (hidden > 0) horizontalScrollBar()->setValue(horizontalScrollBar()->value() - hidden);
}

QRect AlignedView::chipRectOf(const QModelIndex& index) const { return CellDelegate::chipRect(visualRect(index)); }

void AlignedView::currentChanged(const QModelIndex& current, const QModelIndex& previous)
{
  delegate_->setCurrent(current);
  QTreeView::currentChanged(current, previous);
  emit entryChosen(current);
}

bool AlignedView::stepColumn(int step)
{
  const QModelIndex now = currentIndex();
  if (!now.isValid()) return false;
  const int column = now.column() + step;
  if (column < TreeModel::primary_column || column >= model_->columnCount()) return false;
  setCurrentIndex(now.siblingAtColumn(column));
  return true;
}

bool AlignedView::focusNextPrevChild(bool next)
{
  return stepColumn(next ? 1 : -1) || QTreeView::focusNextPrevChild(next);
}

void AlignedView::keyPressEvent(QKeyEvent* event)
{
  const bool control = event->modifiers() & Qt::ControlModifier;
  if (control && (event->key() == Qt::Key_Left || event->key() == Qt::Key_Right)) {
    stepColumn(event->key() == Qt::Key_Right ? 1 : -1);
    return;
  }
  // QTreeView forgets the column when a key opens or closes a row.
  const int column = currentIndex().column();
  const bool opens = event->key() == Qt::Key_Left || event->key() == Qt::Key_Right;
  QTreeView::keyPressEvent(event);
  if (opens && column > 0 && currentIndex().isValid() && currentIndex().column() != column)
    setCurrentIndex(currentIndex().siblingAtColumn(column));
}

void AlignedView::mouseMoveEvent(QMouseEvent* event)
{
  QTreeView::mouseMoveEvent(event);
  emit entryHovered(indexAt(event->position().toPoint()));
}

void AlignedView::leaveEvent(QEvent* event)
{
  QTreeView::leaveEvent(event);
  emit entryHovered({});
}

// A plain triangle, in both themes alike; the style's own marks vanish on dark ground.
void AlignedView::drawBranches(QPainter* painter, const QRect& rect, const QModelIndex& index) const
{
  if (selectionModel()->isSelected(index)) painter->fillRect(rect, colors().accent_soft);
  if (!model_->hasChildren(index)) return;
  const QPointF at(rect.right() - 9, rect.center().y() + 0.5);
  QPolygonF triangle;
  if (isExpanded(index))
    triangle << at + QPointF(-4, -2) << at + QPointF(4, -2) << at + QPointF(0, 3);
  else
    triangle << at + QPointF(-2, -4) << at + QPointF(-2, 4) << at + QPointF(3, 0);
  painter->save();
  painter->setRenderHint(QPainter::Antialiasing);
  painter->setPen(Qt::NoPen);
  painter->setBrush(colors().muted);
  painter->drawPolygon(triangle);
  painter->restore();
}

// Nothing to show explains itself.
void AlignedView::paintEvent(QPaintEvent* event)
{
  QTreeView::paintEvent(event);
  if (model_->rowCount() > 0) return;
  QPainter p(viewport());
  p.setFont(textFont());
  p.setPen(colors().muted);
  p.drawText(viewport()->rect().adjusted(40, 40, -40, -40), Qt::AlignCenter | Qt::TextWordWrap,
             property("empty_text").toString());
}

}  // namespace morsel::gui
