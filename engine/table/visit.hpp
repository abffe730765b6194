// SPDX-License-Identifier: GPL-2.0-or-later
//
// Iteration over a range: visits in ascending order every entry that governs a part of it, and lets the visitor decide
// what happens next. Each entry is loaded once for each visit; the visitor changes it by compare-and-swap from what it
// was given and asks for another visit if it lost.
#pragma once
#include <array>

#include "engine/table/tree.hpp"

namespace morsel {

enum class Visit : u8 {
  next,     // go on behind this entry
  descend,  // the entry is a table: visit what is in it
  again,    // the entry changed: load it once more
  stop,
};

// Visitor: Visit operator()(const EntryRef&, u64 word, EntryKind kind). Returns false if a visitor stopped.
//
// No recursion, so that the visitor and what it counts can live in registers; and at level 0, where time goes, the
// level is a constant.
template <PageFormat F, Platform P, class Visitor>
[[gnu::always_inline]] inline bool visit_table(P& p, SyncPoint at, TreeId tree, PhysAddr table, Level top, Range range,
                                               Visitor&& visitor)
{
  std::array<u64*, F::levels.size()> path;  // the tables above `offset`, from `top` down to `level`
  Level level = top;
  path[level] = p.words(table);
  for (u64 offset = align_down(range.start, page_bytes); offset < range.end;) {
    if (level == 0) {
      const u64 end = intersect(range, {offset, align_down(offset, table_span<F>(0)) + table_span<F>(0)}).end;
      for (u64* word_at = path[0] + entry_index<F>(offset, 0); offset < end;) {
        const EntryRef e{word_at, offset, tree, 0};
        const u64 word = p.load(at, e);
        const Visit then = visitor(e, word, F::kind(word, 0));
        if (then == Visit::stop) return false;
        if (then == Visit::again) continue;
        offset += page_bytes;
        ++word_at;
      }
    } else {
      const u64 step = entry_bytes<F>(level);
      const EntryRef e{path[level] + entry_index<F>(offset, level), align_down(offset, step), tree, level};
      const u64 word = p.load(at, e);
      switch (visitor(e, word, F::kind(word, level))) {
        case Visit::stop: return false;
        case Visit::again: continue;
        case Visit::descend:
          --level;
          path[level] = p.words(F::address(word, e.level));
          continue;
        case Visit::next: offset = e.offset + step; break;
      }
    }
    while (level < top && is_aligned(offset, table_span<F>(level))) ++level;
  }
  return true;
}

template <PageFormat F, Platform P, class Visitor>
[[gnu::always_inline]] inline bool visit_range(P& p, SyncPoint at, const Tree& tree, Range range, Visitor&& visitor)
{
  return visit_table<F>(p, at, tree.id, tree.root, tree.root_level, intersect(range, range_of<F>(tree)), visitor);
}

}  // namespace morsel
