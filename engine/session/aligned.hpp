// SPDX-License-Identifier: GPL-2.0-or-later
//
// The aligned tree: the primary and its views side by side, as data. A row is a place (level, offset): the entries of
// every tree that stand at this level and cover the span that begins at this offset. A tree that ends higher up (a
// large leaf, a hole, a reservation) is governed by that entry in all rows below it, so rows stay aligned whatever the
// trees' shapes. Command line and window draw from here; nothing is stored per row, so millions of rows cost nothing.
//
// Thread safety: immutable after construction; may be handed from one thread to another and read by several.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/inspect/diff.hpp"
#include "engine/inspect/snapshot.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

// Column 0 is the primary, column n the nth view given to the constructor (not the view's number).
struct AlignedCell {
  bool exists = true;    // false: the row stands above this tree's root
  bool readable = true;  // false: the entry's table could not be read; nothing else is meaningful
  EntryKind kind = EntryKind::hole;
  u64 word = 0;
  Level level = 0;                                      // of the governing entry: the row's, or above it
  u64 offset = 0;                                       // start of the governing entry's span
  inspect::DiffState worst = inspect::DiffState::hole;  // of all pages in the row's span
};

struct AlignedRow {
  Level level = 0;
  u64 offset = 0;  // start of the span
  bool operator==(const AlignedRow&) const = default;
};

struct AlignedView {
  ViewState state;
  inspect::Snapshot snapshot;
  inspect::Diff diff;
};

class AlignedTree {
 public:
  AlignedTree() = default;
  // All snapshots cover `range`. Rows outside it are not shown.
  AlignedTree(ObjectState object, inspect::Snapshot primary, std::vector<AlignedView> views, Range range);

  // Reads the trees out of memory: the views numbered in `views`, or all of them. `range` is clipped to the object.
  static AlignedTree capture(const inspect::PhysicalMemory& memory, const ObjectState& object,
                             std::optional<Range> range = {}, std::optional<std::vector<TreeId>> views = {},
                             inspect::SnapshotLimits limits = {});

  const ObjectState& object() const { return object_; }
  Range range() const { return range_; }
  std::size_t columns() const { return 1 + views_.size(); }
  const inspect::Snapshot& snapshot(std::size_t column) const;
  const FormatInfo& format(std::size_t column) const { return snapshot(column).format_info(); }
  TreeId tree(std::size_t column) const;                // primary_tree or the view's number
  const inspect::Diff& diff(std::size_t column) const;  // column 1 and up
  std::string title(std::size_t column) const;          // "primary amd64", "view 1 ept"
  bool clean() const;                                   // every diff is

  // The forest: its roots are the entries of the highest root table among the trees.
  Level top_level() const { return top_level_; }
  u64 root_count() const { return count_at(top_level_, range_); }
  AlignedRow root(u64 index) const { return nth_at(top_level_, range_, index); }
  u64 child_count(AlignedRow row) const;  // 0 if no tree has a table here
  AlignedRow child(AlignedRow row, u64 index) const;
  std::optional<AlignedRow> parent(AlignedRow row) const;  // empty for a root
  u64 index_in_parent(AlignedRow row) const;
  Range span(AlignedRow row) const;
  // As the tree's owner writes them: in a foreign tree, sign-extended where hardware wants it (and then 0 for 2^64).
  Range addresses(Range offsets) const;

  // In a foreign tree: the row's table is reached by an earlier row, too, below which it is shown.
  bool shown_before(AlignedRow row, std::size_t column) const { return is_shared(snapshot(column), row); }
  AlignedCell cell(AlignedRow row, std::size_t column) const;
  // Worst state of the row's span in one view; for the primary `same` or `hole`, by its entry.
  inspect::DiffState worst(AlignedRow row, std::size_t column) const;
  inspect::DiffState worst_of_all(AlignedRow row) const;
  // The deepest row that exists at `offset`.
  AlignedRow deepest(u64 offset) const;

  static u64 entry_bytes(Level level) { return u64{1} << (page_lg2 + 9u * level); }

 private:
  static bool is_shared(const inspect::Snapshot& tree, AlignedRow row);
  static bool has_table(const inspect::Snapshot& tree, AlignedRow row);
  u64 count_at(Level level, Range within) const;
  AlignedRow nth_at(Level level, Range within, u64 index) const;

  ObjectState object_;
  inspect::Snapshot primary_;
  std::vector<AlignedView> views_;
  Range range_;
  Level top_level_ = 0;
};

// A run of sibling rows that say the same: one line of text.
struct FoldedRow {
  AlignedRow first;
  u64 count = 1;
  unsigned depth = 0;              // distance from the roots
  bool expanded = false;           // its children follow
  std::vector<AlignedCell> cells;  // of the first row
  std::vector<bool> scattered;     // per column: the addresses do not advance in step
  Range span() const { return {first.offset, first.offset + count * AlignedTree::entry_bytes(first.level)}; }
};

enum class Folding : u8 {
  none,  // one line per row
  step,  // rows alike whose addresses advance in step
  like,  // as step; but where that leaves more than a few pieces of a run of rows alike, the whole run
};

struct FoldOptions {
  Folding folding = Folding::like;
  unsigned max_depth = ~0u;  // levels below the roots
};

// Rows are alike if in every column kind, state, and all bits of the word but the address agree. Rows whose children
// are shown stay alone.
std::vector<FoldedRow> fold(const AlignedTree& tree, FoldOptions options = {});

}  // namespace morsel::session
