// SPDX-License-Identifier: GPL-2.0-or-later
//
// Iteration over a range: visits in ascending order every entry that governs a part of it, and lets the visitor decide
// what happens next. Each entry is loaded once for each visit; the visitor changes it by compare-and-swap from what it
// was given and asks for another visit if it lost.
#pragma once
#include "engine/table/tree.hpp"

namespace morsel {

enum class Visit : u8 {
  next,     // go on behind this entry
  descend,  // the entry is a table: visit what is in it
  again,    // the entry changed: load it once more
  stop,
};

// Visitor: Visit operator()(const EntryRef&, u64 word, EntryKind kind). Returns false if a visitor stopped.
template <PageFormat F, Platform P, class Visitor>
bool visit_table(P& p, SyncPoint at, TreeId tree, PhysAddr table, Level level, Range range, Visitor& visitor)
{
  u64* const words = p.words(table);
  const u64 step = entry_bytes<F>(level);
  u64 offset = align_down(range.start, step);
  while (offset < range.end) {
    const EntryRef e{words + entry_index<F>(offset, level), offset, tree, level};
    const u64 word = p.load(at, e);
    switch (visitor(e, word, F::kind(word, level))) {
      case Visit::again: continue;
      case Visit::stop: return false;
      case Visit::descend:
        if (!visit_table<F>(p, at, tree, F::address(word, level), static_cast<Level>(level - 1),
                            intersect(range, {offset, offset + step}), visitor))
          return false;
        break;
      case Visit::next: break;
    }
    offset += step;
  }
  return true;
}

template <PageFormat F, Platform P, class Visitor>
bool visit_range(P& p, SyncPoint at, const Tree& tree, Range range, Visitor&& visitor)
{
  return visit_table<F>(p, at, tree.id, tree.root, tree.root_level, intersect(range, range_of<F>(tree)), visitor);
}

}  // namespace morsel
