// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/tree_model.hpp"

#include <algorithm>

#include "engine/inspect/decode.hpp"
#include "gui/models/state_style.hpp"
#include "gui/models/text.hpp"

namespace morsel::gui {
namespace {

using session::AlignedCell;
using session::AlignedRow;
using session::AlignedTree;

constexpr int level_shift = 60;
constexpr quint64 forest_id = ~quint64{0};  // level 15: no row has it

quint64 idOf(AlignedRow row)
{
  return static_cast<quint64>(row.level) << level_shift | row.offset / AlignedTree::entry_bytes(row.level);
}

AlignedRow rowOf(quint64 id)
{
  const auto level = static_cast<Level>(id >> level_shift);
  return {level, (id & bits(level_shift - 1, 0)) * AlignedTree::entry_bytes(level)};
}

QString leafNote(const FormatInfo& format, u64 word, Level level)
{
  QString note = fromView(inspect::rights_text(format.access(word, level)));
  note += QLatin1Char(' ');
  note += QLatin1Char(format.accessed_bit && (word & format.accessed_bit) ? 'A' : '-');
  note += QLatin1Char(format.dirty_bit && (word & format.dirty_bit) ? 'D' : '-');
  return note;
}

// The entry that decides stands in a table further up.
QString governedNote(const AlignedCell& cell)
{
  const QString size = sizeText(AlignedTree::entry_bytes(cell.level));
  switch (cell.kind) {
    case EntryKind::leaf: return QStringLiteral("part of a %1 leaf").arg(size);
    case EntryKind::hole: return QStringLiteral("hole at level %1").arg(cell.level);
    default: return QStringLiteral("%1 at level %2").arg(fromView(inspect::kind_name(cell.kind))).arg(cell.level);
  }
}

QString ownNote(const AlignedCell& cell, const FormatInfo& format)
{
  if (cell.kind == EntryKind::leaf) return leafNote(format, cell.word, cell.level);
  if (cell.kind == EntryKind::reserved && software::is_stale(cell.word)) return QStringLiteral("reserved, stale");
  return fromView(inspect::kind_name(cell.kind));
}

}  // namespace

TreeModel::TreeModel(QObject* parent) : QAbstractItemModel(parent) {}

void TreeModel::setTree(AlignedTreePtr tree)
{
  const bool same_shape = tree_ && tree && tree_->columns() == tree->columns() &&
                          tree_->top_level() == tree->top_level() && tree_->object().name == tree->object().name &&
                          tree_->range() == tree->range();
  if (same_shape) {
    bool same_trees = true;
    for (std::size_t c = 0; c < tree->columns(); ++c)
      same_trees = same_trees && tree_->tree(c) == tree->tree(c) && tree_->format(c).id == tree->format(c).id;
    if (same_trees) return replaceInPlace(std::move(tree));
  }
  beginResetModel();
  tree_ = std::move(tree);
  runs_.clear();
  endResetModel();
}

// Rows keep their identity (internalId): persistent indexes, and with them selection and expansion, follow.
void TreeModel::replaceInPlace(AlignedTreePtr tree)
{
  emit layoutAboutToBeChanged();
  const QModelIndexList before = persistentIndexList();
  tree_ = std::move(tree);
  runs_.clear();
  QModelIndexList after;
  after.reserve(before.size());
  for (const QModelIndex& i : before) {
    const AlignedRow row = rowOf(i.internalId());
    const QModelIndex now = indexOf(row, i.column());
    after.append(now.isValid() && place(now).level == row.level ? now : QModelIndex());
  }
  changePersistentIndexList(before, after);
  emit layoutChanged();
}

void TreeModel::setEmptyRuns(EmptyRuns runs)
{
  if (runs == empty_runs_) return;
  empty_runs_ = runs;
  if (tree_) replaceInPlace(tree_);
}

AlignedRow TreeModel::place(const QModelIndex& index) const { return rowOf(index.internalId()); }

u64 TreeModel::foldedCount(const QModelIndex& index) const
{
  return runsUnder(index.parent())[static_cast<std::size_t>(index.row())].count;
}

Range TreeModel::spanOf(const QModelIndex& index) const
{
  const AlignedRow row = place(index);
  return {row.offset, row.offset + foldedCount(index) * AlignedTree::entry_bytes(row.level)};
}

AlignedRow TreeModel::childOf(quint64 parent_id, u64 number) const
{
  return parent_id == forest_id ? tree_->root(number) : tree_->child(rowOf(parent_id), number);
}

bool TreeModel::emptyEverywhere(AlignedRow row) const
{
  for (std::size_t c = 0; c < tree_->columns(); ++c) {
    const AlignedCell cell = tree_->cell(row, c);
    if (cell.exists && (!cell.readable || cell.kind != EntryKind::hole)) return false;
  }
  return true;
}

TreeModel::Runs TreeModel::findRuns(quint64 parent_id) const
{
  const u64 count = parent_id == forest_id ? tree_->root_count() : tree_->child_count(rowOf(parent_id));
  Runs runs;
  bool last_empty = false;
  for (u64 n = 0; n < count; ++n) {
    const bool empty = empty_runs_ == EmptyRuns::folded && emptyEverywhere(childOf(parent_id, n));
    if (empty && last_empty)
      ++runs.back().count;
    else
      runs.push_back({static_cast<u32>(n), 1});
    last_empty = empty;
  }
  return runs;
}

const TreeModel::Runs& TreeModel::runsUnder(quint64 parent_id) const
{
  const auto found = runs_.find(parent_id);
  if (found != runs_.end()) return found->second;
  return runs_.emplace(parent_id, findRuns(parent_id)).first->second;
}

const TreeModel::Runs& TreeModel::runsUnder(const QModelIndex& parent) const
{
  return runsUnder(parent.isValid() ? parent.internalId() : forest_id);
}

QModelIndex TreeModel::indexOf(AlignedRow row, int column) const
{
  if (!tree_ || row.level > tree_->top_level() || !tree_->range().overlaps(tree_->span(row))) return {};
  const auto parent = tree_->parent(row);
  const quint64 parent_id = parent ? idOf(*parent) : forest_id;
  if (parent && tree_->child_count(*parent) == 0) return {};
  const u64 number = tree_->index_in_parent(row);
  const Runs& runs = runsUnder(parent_id);
  const auto after = std::ranges::upper_bound(runs, number, {}, &Run::first);
  if (after == runs.begin()) return {};
  const auto run = after - 1;
  if (number - run->first >= run->count) return {};
  return createIndex(static_cast<int>(run - runs.begin()), column, idOf(childOf(parent_id, run->first)));
}

QModelIndex TreeModel::deepestAt(u64 offset, int column) const
{
  if (!tree_ || !tree_->range().contains(offset)) return {};
  return indexOf(tree_->deepest(offset), column);
}

QModelIndex TreeModel::index(int row, int column, const QModelIndex& parent) const
{
  if (!hasIndex(row, column, parent)) return {};
  const quint64 parent_id = parent.isValid() ? parent.internalId() : forest_id;
  const u32 number = runsUnder(parent_id)[static_cast<std::size_t>(row)].first;
  return createIndex(row, column, idOf(childOf(parent_id, number)));
}

QModelIndex TreeModel::parent(const QModelIndex& child) const
{
  if (!child.isValid() || !tree_) return {};
  const auto up = tree_->parent(place(child));
  return up ? indexOf(*up) : QModelIndex();
}

int TreeModel::rowCount(const QModelIndex& parent) const
{
  if (!tree_ || parent.column() > 0 || !hasChildren(parent)) return 0;
  return static_cast<int>(runsUnder(parent).size());
}

int TreeModel::columnCount(const QModelIndex&) const
{
  return tree_ ? primary_column + static_cast<int>(tree_->columns()) : 0;
}

bool TreeModel::hasChildren(const QModelIndex& parent) const
{
  if (!tree_ || parent.column() > 0) return false;
  return parent.isValid() ? tree_->child_count(place(parent)) > 0 : tree_->root_count() > 0;
}

QString TreeModel::rangeText(const QModelIndex& index) const
{
  const Range range = spanOf(index);
  const int digits = tree_->range().end > u64{1} << 32 ? 12 : 8;
  return QStringLiteral("%1 + %2").arg(groupedHex(range.start, digits), sizeText(range.bytes()));
}

CellFacts TreeModel::facts(const QModelIndex& index) const
{
  CellFacts f;
  const std::size_t column = treeColumn(index.column());
  const AlignedRow row = place(index);
  const AlignedCell cell = tree_->cell(row, column);
  if (!cell.exists) {
    f.muted = true;
    f.note = QStringLiteral("begins at level %1").arg(tree_->snapshot(column).source().root_level);
    return f;
  }
  f.has_state = column > 0;
  f.state = cell.worst;
  if (!cell.readable) {
    f.note = QStringLiteral("its table cannot be read");
  } else if (cell.level > row.level) {
    f.muted = true;
    f.note = governedNote(cell);
  } else {
    f.muted = cell.kind == EntryKind::hole;
    f.has_frame = cell.kind == EntryKind::leaf || cell.kind == EntryKind::table;
    if (!f.muted) f.word = groupedHex(cell.word);
    f.note = ownNote(cell, tree_->format(column));
  }
  return f;
}

QString TreeModel::toolTip(const QModelIndex& index) const
{
  if (index.column() == range_column) return rangeText(index);
  const CellFacts f = facts(index);
  if (!f.has_state) return f.note;
  return QStringLiteral("%1: %2").arg(stateName(f.state), QString::fromUtf8(styleOf(f.state).meaning));
}

QVariant TreeModel::data(const QModelIndex& index, int role) const
{
  if (!index.isValid() || !tree_) return {};
  if (role == Qt::ToolTipRole) return toolTip(index);
  if (index.column() == range_column) {
    if (role == Qt::DisplayRole) return rangeText(index);
    return {};
  }
  if (role != Qt::DisplayRole && role != state_role && role != word_role) return {};
  const CellFacts f = facts(index);
  if (role == state_role) return f.has_state ? QVariant(static_cast<int>(f.state)) : QVariant();
  if (role == word_role) return f.word;
  QStringList parts;
  if (f.has_state && !stateSign(f.state).isEmpty()) parts << stateSign(f.state);
  if (!f.word.isEmpty()) parts << f.word;
  parts << f.note;
  return parts.join(QLatin1Char(' '));
}

QVariant TreeModel::headerData(int section, Qt::Orientation orientation, int role) const
{
  if (orientation != Qt::Horizontal || role != Qt::DisplayRole || !tree_ || section >= columnCount()) return {};
  if (section == range_column) return QStringLiteral("range");
  return QString::fromStdString(tree_->title(treeColumn(section)));
}

}  // namespace morsel::gui
