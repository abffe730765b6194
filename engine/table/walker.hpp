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
};

// Walks down to `lowest` at the most. `kind` is table only if the walk stopped there.
template <PageFormat F, Platform P>
Walked walk(P& p, SyncPoint at, const Tree& tree, u64 offset, Level lowest = 0)
{
  PhysAddr table = tree.root;
  Rights rights = rights_all;
  for (Level level = tree.root_level;; --level) {
    const EntryRef e = entry_in<F>(p, tree.id, table, level, offset);
    const u64 word = p.load(at, e);
    const EntryKind kind = F::kind(word, level);
    if (kind == EntryKind::leaf || kind == EntryKind::table) rights = rights & F::access(word, level);
    if (kind != EntryKind::table || level == lowest) return {e, word, kind, rights};
    table = F::address(word, level);
  }
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
Expected<Leaf> lookup_in(P& p, SyncPoint at, const Tree& tree, u64 offset)
{
  const Walked w = walk<F>(p, at, tree, offset);
  if (w.kind == EntryKind::malformed) return Error::corrupt;
  if (w.kind != EntryKind::leaf) return Error::needs_populate;
  const PhysAddr frame = F::address(w.word, w.entry.level) + page_within<F>(offset, w.entry.level);
  return Leaf{frame, w.rights, w.entry.level, w.word, w.entry};
}

}  // namespace morsel
