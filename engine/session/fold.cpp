// SPDX-License-Identifier: GPL-2.0-or-later
//
// Folding: runs of sibling rows that say the same become one. A run is cut into pieces whose addresses advance in
// step; if that leaves more than `few_pieces` (frames that an allocator handed out in no order), the run stays whole
// and is marked as scattered: a list of thousands of unrelated addresses tells a reader less than their number.
#include "engine/session/aligned.hpp"

namespace morsel::session {

namespace {

constexpr std::size_t few_pieces = 4;

bool has_address(const AlignedCell& c)
{
  return c.exists && c.readable && (c.kind == EntryKind::leaf || c.kind == EntryKind::table);
}

// Everything but the address.
u64 attributes(const FormatInfo& format, const AlignedCell& c)
{
  if (!has_address(c)) return c.word;
  return c.word & ~format.address(c.word, c.level).value;
}

class Folder {
 public:
  Folder(const AlignedTree& tree, FoldOptions options) : tree_(tree), options_(options) {}

  std::vector<FoldedRow> run()
  {
    siblings({}, 0);
    return std::move(rows_);
  }

 private:
  // The children of `parent`, or the roots.
  void siblings(std::optional<AlignedRow> parent, unsigned depth)
  {
    std::vector<FoldedRow> pieces;  // of the run of rows alike that is being collected
    const u64 count = parent ? tree_.child_count(*parent) : tree_.root_count();
    for (u64 i = 0; i < count; ++i) {
      FoldedRow row = make_row(parent ? tree_.child(*parent, i) : tree_.root(i), depth);
      if (row.expanded) {
        finish(pieces);
        const AlignedRow expanded = row.first;
        rows_.push_back(std::move(row));
        siblings(expanded, depth + 1);
        continue;
      }
      if (!pieces.empty() && !alike(pieces.back(), row)) finish(pieces);
      if (!pieces.empty() && options_.folding != Folding::none && in_step(pieces.back(), row))
        ++pieces.back().count;
      else
        pieces.push_back(std::move(row));
    }
    finish(pieces);
  }

  FoldedRow make_row(AlignedRow at, unsigned depth) const
  {
    FoldedRow row;
    row.first = at;
    row.depth = depth;
    row.expanded = depth < options_.max_depth && tree_.child_count(at) != 0;
    for (std::size_t c = 0; c < tree_.columns(); ++c) row.cells.push_back(tree_.cell(at, c));
    row.scattered.assign(tree_.columns(), false);
    return row;
  }

  bool alike(const FoldedRow& a, const FoldedRow& b) const
  {
    for (std::size_t c = 0; c < a.cells.size(); ++c) {
      const AlignedCell &x = a.cells[c], &y = b.cells[c];
      if (x.exists != y.exists || x.readable != y.readable || x.worst != y.worst) return false;
      if (!x.exists || !x.readable) continue;
      if (x.kind != y.kind || x.level != y.level) return false;
      // A reservation's token is its own: two reservations are alike, but never the same word.
      if (x.kind == EntryKind::reserved) {
        if (software::is_stale(x.word) != software::is_stale(y.word)) return false;
      } else if (attributes(tree_.format(c), x) != attributes(tree_.format(c), y)) {
        return false;
      }
    }
    return true;
  }

  bool cell_in_step(std::size_t column, const FoldedRow& run, const FoldedRow& next) const
  {
    const AlignedCell &first = run.cells[column], &cell = next.cells[column];
    if (!has_address(first) || !has_address(cell)) return true;
    if (first.level > run.first.level) return first.offset == cell.offset && first.word == cell.word;
    const FormatInfo& format = tree_.format(column);
    const u64 step = first.kind == EntryKind::table ? page_bytes : AlignedTree::entry_bytes(first.level);
    return format.address(cell.word, cell.level).value ==
           format.address(first.word, first.level).value + run.count * step;
  }

  bool in_step(const FoldedRow& run, const FoldedRow& next) const
  {
    for (std::size_t c = 0; c < run.cells.size(); ++c)
      if (!cell_in_step(c, run, next)) return false;
    return true;
  }

  void finish(std::vector<FoldedRow>& pieces)
  {
    if (options_.folding == Folding::like && pieces.size() > few_pieces) {
      FoldedRow whole = pieces.front();
      for (std::size_t n = 1; n < pieces.size(); ++n) {
        for (std::size_t c = 0; c < whole.cells.size(); ++c)
          if (!cell_in_step(c, whole, pieces[n])) whole.scattered[c] = true;
        whole.count += pieces[n].count;
      }
      pieces.clear();
      pieces.push_back(std::move(whole));
    }
    for (FoldedRow& piece : pieces) rows_.push_back(std::move(piece));
    pieces.clear();
  }

  const AlignedTree& tree_;
  FoldOptions options_;
  std::vector<FoldedRow> rows_;
};

}  // namespace

std::vector<FoldedRow> fold(const AlignedTree& tree, FoldOptions options) { return Folder(tree, options).run(); }

}  // namespace morsel::session
