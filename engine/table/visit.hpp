// SPDX-License-Identifier: GPL-2.0-or-later
//
// Iteration over a range: visits in ascending order every entry that governs a part of it, and lets the visitor decide
// what happens next. Each entry is loaded once for each visit; the visitor changes it by compare-and-swap from what it
// was given and asks for another visit if it lost. A visitor that returns nothing only looks: it is led into every
// table and sees what is no table.
#pragma once
#include <type_traits>

#include "engine/table/tree.hpp"

namespace morsel {

enum class Visit : u8 {
  next,     // go on behind this entry
  descend,  // the entry is a table: visit what is in it
  again,    // the entry changed: load it once more
  stop,
};

// How far a visitor's quick way came in a table of leaves: a loop of its own for what nearly all entries are, with
// nothing else in registers.
struct Ahead {
  u64 bytes = 0;  // dealt with
  u64 word = 0;   // of the entry behind that, which the visitor itself is to see; meaningless at the end
};
struct NoQuickWay {};

namespace detail {

template <class Visitor>
concept OnlyLooks = std::is_void_v<std::invoke_result_t<Visitor&, const EntryRef&, u64, EntryKind>>;

// The entries of a table of leaves, from `start` to its end or to `end`: a counted loop without a way out.
template <PageFormat F, Platform P, class Visitor>
[[gnu::always_inline]] inline void look_at_leaves(P& p, SyncPoint at, TreeId tree, u64* words, u64& start, u64 end,
                                                  Visitor& visitor)
{
  const u64 first = align_down(start, page_bytes);
  const u64 table_end = align_down(start, table_span<F>(0)) + table_span<F>(0);
  if (end > table_end) end = table_end;
  const u64 count = (end - first + page_bytes - 1) / page_bytes;
  u64* const entries = words + entry_index<F>(first, 0);
  for (u64 i = 0; i < count; ++i) {
    const EntryRef e{entries + i, first + i * page_bytes, tree, 0};
    const u64 word = p.load(at, e);
    visitor(e, word, F::kind(word, 0));
  }
  start = end;
}

// The entries of a table of leaves, from `start` to its end or to `end`.
template <PageFormat F, Platform P, class Visitor, class QuickWay>
[[gnu::always_inline]] inline bool visit_leaves(P& p, SyncPoint at, TreeId tree, u64* words, u64& start, u64 end,
                                                Visitor& visitor, const QuickWay& quick)
{
  const u64 table_end = align_down(start, table_span<F>(0)) + table_span<F>(0);
  if (end > table_end) end = table_end;
  u64 offset = align_down(start, page_bytes);
  u64* entry = words + entry_index<F>(offset, 0);
  while (offset < end) {
    u64 word = 0;
    if constexpr (!std::is_same_v<QuickWay, NoQuickWay>) {
      const Ahead ahead = quick(EntryRef{entry, offset, tree, 0}, end);
      offset += ahead.bytes;
      entry += ahead.bytes / page_bytes;
      if (offset == end) break;
      word = ahead.word;
    }
    const EntryRef e{entry, offset, tree, 0};
    if constexpr (std::is_same_v<QuickWay, NoQuickWay>) word = p.load(at, e);
    const Visit next = visitor(e, word, F::kind(word, 0));
    if (next == Visit::stop) return false;
    if (next == Visit::again) continue;
    offset += page_bytes;
    ++entry;
  }
  start = end;
  return true;
}

// An entry above the tables of leaves.
template <class Visitor>
[[gnu::always_inline]] inline Visit visit_upper(Visitor& visitor, const EntryRef& e, u64 word, EntryKind kind)
{
  if constexpr (OnlyLooks<Visitor>) {
    if (kind == EntryKind::table) return Visit::descend;
    visitor(e, word, kind);
    return Visit::next;
  } else {
    return visitor(e, word, kind);
  }
}

// From the table at level N down to what governs `start`, and on through the table of leaves if there is one. Moves
// `start` behind what was visited. If the tree's root lies deeper (at `top`), the table itself stands for an entry.
template <PageFormat F, Level N, Platform P, class Visitor, class QuickWay>
[[gnu::always_inline]] inline bool visit_from(P& p, SyncPoint at, TreeId tree, u64* words, Level top, u64& start,
                                              u64 end, Visitor& visitor, const QuickWay& quick)
{
  if constexpr (N == 0 && OnlyLooks<Visitor>) {
    return look_at_leaves<F>(p, at, tree, words, start, end, visitor), true;
  } else if constexpr (N == 0) {
    return visit_leaves<F>(p, at, tree, words, start, end, visitor, quick);
  } else {
    if (N <= top) {
      const u64 offset = align_down(start, entry_bytes<F>(N));
      const EntryRef e{words + entry_index<F>(start, N), offset, tree, N};
      const u64 word = p.load(at, e);
      const Visit next = visit_upper(visitor, e, word, F::kind(word, N));
      if (next == Visit::next) start = offset + entry_bytes<F>(N);
      if (next != Visit::descend) return next != Visit::stop;
      words = p.words(F::address(word, N));
    }
    return visit_from<F, N - 1>(p, at, tree, words, top, start, end, visitor, quick);
  }
}

}  // namespace detail

// Visitor: Visit, or void, operator()(const EntryRef&, u64 word, EntryKind kind). Returns false if a visitor stopped.
//
// Each table of leaves is reached by a walk from the top, every level a constant, so that a small range costs little
// and the loop over leaves, where a large one spends its time, has everything in registers. A visitor's rare paths
// should call functions that are not inlined, with copies of the entry. What it does with most leaves may be a quick
// way, which is asked first: Ahead operator()(EntryRef first, u64 end), the loads included.
template <PageFormat F, Platform P, class Visitor, class QuickWay = NoQuickWay>
[[gnu::always_inline]] inline bool visit_table(P& p, SyncPoint at, TreeId tree, PhysAddr table, Level top, Range range,
                                               Visitor&& visitor, const QuickWay& quick = {})
{
  u64* const words = p.words(table);
  for (u64 start = range.start; start < range.end;)
    if (!detail::visit_from<F, top_level<F>>(p, at, tree, words, top, start, range.end, visitor, quick)) return false;
  return true;
}

template <PageFormat F, Platform P, class Visitor, class QuickWay = NoQuickWay>
[[gnu::always_inline]] inline bool visit_range(P& p, SyncPoint at, const Tree& tree, Range range, Visitor&& visitor,
                                               const QuickWay& quick = {})
{
  return visit_table<F>(p, at, tree.id, tree.root, tree.root_level, intersect(range, range_of<F>(tree)), visitor,
                        quick);
}

}  // namespace morsel
