// SPDX-License-Identifier: GPL-2.0-or-later
//
// The walk: from a root down to the entry that governs an offset. One load for each level, each a point.
#pragma once
#include "engine/table/tree.hpp"

namespace morsel {

// What governs an offset: a leaf, or the hole, reservation, moving or malformed word where the walk ended.
struct Walked {
  EntryRef entry;
  u64 word = 0;
  EntryKind kind = EntryKind::hole;
  Rights rights;  // of a leaf: of the whole path
  u64 path = 0;   // all bits that are set in the table entries on the way
};

namespace detail {

// Where a walk ended, as scalars: they stay in registers.
struct WalkEnd {
  u64* at;
  u64 word;
  Level level;
  EntryKind kind;
  Rights above;  // of the path that leads to the entry
  u64 path;
};

// From the table at level N, or from the root if that lies deeper (at `top`). Every level is a constant: the walks of
// independent offsets overlap as far as the CPU can look ahead.
template <PageFormat F, Level N, Platform P>
[[gnu::always_inline]] inline WalkEnd walk_from(P& p, SyncPoint at, TreeId tree, Level top, u64 offset, Level lowest,
                                                PhysAddr table, Rights above, u64 path)
{
  if constexpr (N > 0)
    if (top < N) return walk_from<F, N - 1>(p, at, tree, top, offset, lowest, table, above, path);
  const EntryRef e = entry_in<F>(p, tree, table, N, offset);
  const u64 word = p.load(at, e);
  const EntryKind kind = F::kind(word, N);
  if constexpr (N > 0)
    if (kind == EntryKind::table && N != lowest) [[likely]]
      return walk_from<F, N - 1>(p, at, tree, top, offset, lowest, F::address(word, N), above & F::access(word, N),
                                 path | word);
  return {e.word, word, N, kind, above, path};
}

}  // namespace detail

// Walks down to `lowest` at the most. `kind` is table only if the walk stopped there.
template <PageFormat F, Platform P>
[[gnu::always_inline]] inline Walked walk(P& p, SyncPoint at, const Tree& tree, u64 offset, Level lowest = 0)
{
  const detail::WalkEnd end =
      detail::walk_from<F, top_level<F>>(p, at, tree.id, tree.root_level, offset, lowest, tree.root, rights_all, 0);
  const bool maps = end.kind == EntryKind::leaf || end.kind == EntryKind::table;
  return {{end.at, align_down(offset, entry_bytes<F>(end.level)), tree.id, end.level},
          end.word,
          end.kind,
          maps ? end.above & F::access(end.word, end.level) : end.above,
          end.path};
}

// A translation as an access needs it: the 4-KiB frame at the offset.
struct Leaf {
  PhysAddr frame;  // of the page that holds the offset, also inside a larger leaf
  Rights rights;
  Level level = 0;  // of the leaf
  u64 word = 0;
  EntryRef entry;
};

// The byte distance from a leaf's start to the page that holds `offset`.
template <PageFormat F>
constexpr u64 page_within(u64 offset, Level level)
{
  return align_down(offset & (entry_bytes<F>(level) - 1), page_bytes);
}

// needs_populate: nothing there. corrupt: a malformed word.
template <PageFormat F, Platform P>
[[gnu::always_inline]] inline Expected<Leaf> lookup_in(P& p, SyncPoint at, const Tree& tree, u64 offset)
{
  const Walked w = walk<F>(p, at, tree, offset);
  if (w.kind == EntryKind::malformed) return Error::corrupt;
  if (w.kind != EntryKind::leaf) return Error::needs_populate;
  const PhysAddr frame = F::address(w.word, w.entry.level) + page_within<F>(offset, w.entry.level);
  return Leaf{frame, w.rights, w.entry.level, w.word, w.entry};
}

}  // namespace morsel
