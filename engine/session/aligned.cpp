// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows are computed on demand from the snapshots: a row's children exist where any tree has a table at the row.
#include "engine/session/aligned.hpp"

#include <algorithm>
#include <bit>

namespace morsel::session {

using inspect::Diff;
using inspect::DiffState;
using inspect::EntryAt;
using inspect::Snapshot;

namespace {

Level highest_root(const ObjectState& object, const std::vector<AlignedView>& views)
{
  Level top = object.root_level;
  for (const AlignedView& v : views) top = std::max(top, v.state.root_level);
  return top;
}

}  // namespace

bool AlignedTree::is_shared(const Snapshot& tree, AlignedRow row)
{
  if (tree.source().maker == inspect::Maker::engine || row.level == 0) return false;
  const u32 table = tree.table_at(row.offset, static_cast<Level>(row.level - 1));
  return table != Snapshot::no_table && tree.table_offset(table) != row.offset;
}

// A table of this tree stands below the row. Above its root, the root does.
bool AlignedTree::has_table(const Snapshot& tree, AlignedRow row)
{
  if (row.level > tree.source().root_level) return true;
  if (row.level == 0 || tree.root() == Snapshot::no_table) return false;
  const EntryAt e = tree.entry(row.offset, row.level);
  return e.readable && e.level == row.level && e.kind == EntryKind::table && !is_shared(tree, row);
}

AlignedTree::AlignedTree(ObjectState object, Snapshot primary, std::vector<AlignedView> views, Range range)
    : object_(std::move(object)),
      primary_(std::move(primary)),
      views_(std::move(views)),
      range_(range),
      top_level_(highest_root(object_, views_))
{
}

AlignedTree AlignedTree::capture(const inspect::PhysicalMemory& memory, const ObjectState& object,
                                 std::optional<Range> range, std::optional<std::vector<TreeId>> views,
                                 inspect::SnapshotLimits limits)
{
  const Range clipped = range ? intersect(*range, object.range()) : object.range();
  // The views first: a page that is unmapped meanwhile then leaves the view before the primary is read, and does not
  // look stale only because of the order of reading.
  std::vector<AlignedView> columns;
  for (const ViewState& v : object.views)
    if (!views || std::find(views->begin(), views->end(), v.number) != views->end())
      columns.push_back({v, Snapshot::take(memory, v.source(), clipped, limits), {}});
  Snapshot primary = Snapshot::take(memory, object.source(), clipped, limits);
  for (AlignedView& v : columns) v.diff = Diff::compare(primary, v.snapshot, clipped);
  return AlignedTree(object, std::move(primary), std::move(columns), clipped);
}

const Snapshot& AlignedTree::snapshot(std::size_t column) const
{
  return column == 0 ? primary_ : views_[column - 1].snapshot;
}

const Diff& AlignedTree::diff(std::size_t column) const { return views_[column - 1].diff; }

TreeId AlignedTree::tree(std::size_t column) const
{
  return column == 0 ? primary_tree : views_[column - 1].state.number;
}

std::string AlignedTree::title(std::size_t column) const
{
  const std::string name(format(column).name);
  return column == 0 ? "primary " + name : "view " + std::to_string(tree(column)) + " " + name;
}

bool AlignedTree::clean() const
{
  return std::all_of(views_.begin(), views_.end(), [](const AlignedView& v) { return v.diff.clean(); });
}

Range AlignedTree::span(AlignedRow row) const { return {row.offset, row.offset + entry_bytes(row.level)}; }

Range AlignedTree::addresses(Range offsets) const
{
  if (object_.maker == inspect::Maker::engine || offsets.empty()) return offsets;
  const FormatInfo& format = primary_.format_info();
  return {inspect::address_of(format, offsets.start), inspect::address_of(format, offsets.end - 1) + 1};
}

u64 AlignedTree::count_at(Level level, Range within) const
{
  if (within.empty()) return 0;
  const u64 bytes = entry_bytes(level);
  return (within.end - 1) / bytes - within.start / bytes + 1;
}

AlignedRow AlignedTree::nth_at(Level level, Range within, u64 index) const
{
  return {level, align_down(within.start, entry_bytes(level)) + index * entry_bytes(level)};
}

u64 AlignedTree::child_count(AlignedRow row) const
{
  for (std::size_t c = 0; c < columns(); ++c)
    if (has_table(snapshot(c), row)) return count_at(static_cast<Level>(row.level - 1), intersect(span(row), range_));
  return 0;
}

AlignedRow AlignedTree::child(AlignedRow row, u64 index) const
{
  return nth_at(static_cast<Level>(row.level - 1), intersect(span(row), range_), index);
}

std::optional<AlignedRow> AlignedTree::parent(AlignedRow row) const
{
  if (row.level >= top_level_) return {};
  const Level up = static_cast<Level>(row.level + 1);
  return AlignedRow{up, align_down(row.offset, entry_bytes(up))};
}

u64 AlignedTree::index_in_parent(AlignedRow row) const
{
  const std::optional<AlignedRow> up = parent(row);
  const Range within = up ? intersect(span(*up), range_) : range_;
  return row.offset / entry_bytes(row.level) - within.start / entry_bytes(row.level);
}

AlignedRow AlignedTree::deepest(u64 offset) const
{
  AlignedRow row{top_level_, align_down(offset, entry_bytes(top_level_))};
  while (child_count(row) != 0) {
    const Level down = static_cast<Level>(row.level - 1);
    row = {down, align_down(offset, entry_bytes(down))};
  }
  return row;
}

AlignedCell AlignedTree::cell(AlignedRow row, std::size_t column) const
{
  const Snapshot& tree = snapshot(column);
  AlignedCell cell;
  cell.level = row.level;
  cell.offset = row.offset;
  cell.exists = row.level <= tree.source().root_level;
  if (cell.exists) {
    if (tree.root() == Snapshot::no_table) {
      cell.readable = false;
    } else {
      // A row may begin before the range that was read; its entry is the one that covers the range's first byte.
      const EntryAt e = tree.entry(std::max(row.offset, range_.start), row.level);
      cell.readable = e.readable;
      cell.kind = e.kind;
      cell.word = e.word;
      cell.level = e.level;
      cell.offset = e.offset;
    }
  }
  cell.worst = worst(row, column);
  return cell;
}

DiffState AlignedTree::worst(AlignedRow row, std::size_t column) const
{
  const Range within = intersect(span(row), range_);
  if (within.empty()) return DiffState::hole;
  if (column != 0) return diff(column).worst(within);
  if (row.level > primary_.source().root_level || primary_.root() == Snapshot::no_table) return DiffState::hole;
  return primary_.entry(within.start, row.level).kind == EntryKind::hole ? DiffState::hole : DiffState::same;
}

DiffState AlignedTree::worst_of_all(AlignedRow row) const
{
  DiffState state = DiffState::hole;
  for (std::size_t c = 1; c < columns(); ++c) state = std::max(state, worst(row, c));
  return state;
}

}  // namespace morsel::session
