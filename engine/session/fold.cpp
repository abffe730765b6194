// SPDX-License-Identifier: GPL-2.0-or-later
//
// Folding: runs of sibling rows that say the same become one. A run is cut into pieces whose addresses advance in
// step; if that leaves more than `few_pieces` (frames that an allocator handed out in no order), the run stays whole
// and is marked as scattered: a list of thousands of unrelated addresses tells a reader less than their number.
// In the same way, tables that each unfold into the same single rows (a chain: full tables, level by level) become one
// chain if there are more than `few_pieces` of them beside each other.
// In foreign trees, bits that change behind one's back (inspect::volatile_bits) do not make a difference; a run shows
// those that all of it have. Words that are not present are alike, whatever their owner keeps in them.
#include "engine/session/aligned.hpp"

namespace morsel::session {

namespace {

constexpr std::size_t few_pieces = 4;

bool has_address(const AlignedCell& c)
{
  return c.exists && c.readable && (c.kind == EntryKind::leaf || c.kind == EntryKind::table);
}

bool is_absent(const AlignedCell& c) { return c.kind == EntryKind::hole && c.word != 0; }

// Everything but the address, and but `ignored`.
u64 attributes(const FormatInfo& format, const AlignedCell& c, u64 ignored)
{
  if (is_absent(c)) return 1;
  if (!has_address(c)) return c.word;
  return c.word & ~(format.address_bits(c.word, c.level) | ignored);
}

class Folder {
 public:
  Folder(const AlignedTree& tree, FoldOptions options) : tree_(tree), options_(options)
  {
    for (std::size_t c = 0; c < tree.columns(); ++c)
      ignored_.push_back(is_foreign() ? inspect::volatile_bits(tree.format(c)) : 0);
    if (is_foreign()) boundary_ = inspect::sign_boundary(tree.format(0));
  }

  std::vector<FoldedRow> run()
  {
    siblings({}, 0);
    return std::move(rows_);
  }

 private:
  bool is_foreign() const { return tree_.object().maker == inspect::Maker::foreign; }

  // Chains alike that stand one after the other at the end of rows_.
  struct ChainRun {
    std::size_t start = 0;   // of the first chain, in rows_
    std::size_t length = 0;  // rows of one chain
    std::size_t count = 0;   // chains; 0: none
    std::size_t end() const { return start + length * count; }
  };

  // The children of `parent`, or the roots.
  void siblings(std::optional<AlignedRow> parent, unsigned depth)
  {
    std::vector<FoldedRow> pieces;  // of the run of rows alike that is being collected
    ChainRun chains;
    const u64 count = parent ? tree_.child_count(*parent) : tree_.root_count();
    for (u64 i = 0; i < count; ++i) {
      FoldedRow row = make_row(parent ? tree_.child(*parent, i) : tree_.root(i), depth);
      if (boundary_ != 0 && row.first.offset == boundary_) finish(pieces);
      if (row.expanded) {
        finish(pieces);
        const AlignedRow expanded = row.first;
        const std::size_t at = rows_.size();
        rows_.push_back(std::move(row));
        siblings(expanded, depth + 1);
        chains = continue_chains(chains, at);
        continue;
      }
      if (!pieces.empty() && !alike(pieces.back(), row)) finish(pieces);
      if (!pieces.empty() && options_.folding != Folding::none && in_step(pieces.back(), row)) {
        ++pieces.back().count;
        keep_common(pieces.back(), row);
      } else {
        pieces.push_back(std::move(row));
      }
    }
    finish(pieces);
    close_chains(chains);
  }

  // The rows from `at` on are one sibling and all below it: do they continue the chains before them?
  ChainRun continue_chains(ChainRun chains, std::size_t at)
  {
    const std::size_t length = rows_.size() - at;
    const bool chain = options_.folding == Folding::like && is_chain(at);
    if (chain && chains.count != 0 && chains.end() == at && chains.length == length) {
      bool same = true;
      for (std::size_t n = 0; n < length; ++n) same = same && alike(rows_[chains.start + n], rows_[at + n]);
      if (same) {
        ++chains.count;
        return chains;
      }
    }
    const std::size_t before = rows_.size();
    close_chains(chains);
    return chain ? ChainRun{at - (before - rows_.size()), length, 1} : ChainRun{};
  }

  // Each row stands below the one before it and covers the same span.
  bool is_chain(std::size_t at) const
  {
    const Range span = intersect(rows_[at].span(), tree_.range());
    for (std::size_t n = at + 1; n < rows_.size(); ++n)
      if (rows_[n].depth != rows_[n - 1].depth + 1 || intersect(rows_[n].span(), tree_.range()) != span) return false;
    return true;
  }

  // Makes one chain of many.
  void close_chains(ChainRun chains)
  {
    if (chains.count <= few_pieces) return;
    for (std::size_t chain = 1; chain < chains.count; ++chain)
      for (std::size_t n = 0; n < chains.length; ++n)
        append(rows_[chains.start + n], rows_[chains.start + chain * chains.length + n]);
    const auto at = [&](std::size_t n) { return rows_.begin() + static_cast<std::ptrdiff_t>(n); };
    rows_.erase(at(chains.start + chains.length), at(chains.end()));
  }

  // `next` follows `whole` without a gap.
  void append(FoldedRow& whole, const FoldedRow& next) const
  {
    for (std::size_t c = 0; c < whole.cells.size(); ++c)
      if (next.scattered[c] || !cell_in_step(c, whole, next)) whole.scattered[c] = true;
    whole.count += next.count;
    keep_common(whole, next);
  }

  // Of the bits that do not count, those that all have.
  void keep_common(FoldedRow& whole, const FoldedRow& next) const
  {
    for (std::size_t c = 0; c < whole.cells.size(); ++c)
      if (has_address(whole.cells[c])) whole.cells[c].word &= next.cells[c].word | ~ignored_[c];
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
      } else if (attributes(tree_.format(c), x, ignored_[c]) != attributes(tree_.format(c), y, ignored_[c])) {
        return false;
      }
    }
    return true;
  }

  bool cell_in_step(std::size_t column, const FoldedRow& run, const FoldedRow& next) const
  {
    const AlignedCell &first = run.cells[column], &cell = next.cells[column];
    if (!has_address(first) || !has_address(cell)) return true;
    if (first.level > run.first.level)
      return first.offset == cell.offset && ((first.word ^ cell.word) & ~ignored_[column]) == 0;
    const FormatInfo& format = tree_.format(column);
    const bool same_table = first.kind == EntryKind::table && ((first.word ^ cell.word) & ~ignored_[column]) == 0;
    if (is_foreign() && same_table) return true;
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
      for (std::size_t n = 1; n < pieces.size(); ++n) append(whole, pieces[n]);
      pieces.clear();
      pieces.push_back(std::move(whole));
    }
    for (FoldedRow& piece : pieces) rows_.push_back(std::move(piece));
    pieces.clear();
  }

  const AlignedTree& tree_;
  FoldOptions options_;
  std::vector<u64> ignored_;  // per column
  u64 boundary_ = 0;          // no run goes across it
  std::vector<FoldedRow> rows_;
};

}  // namespace

std::vector<FoldedRow> fold(const AlignedTree& tree, FoldOptions options) { return Folder(tree, options).run(); }

}  // namespace morsel::session
