// SPDX-License-Identifier: GPL-2.0-or-later
//
// A tree of page tables, and how to find an entry in it.
#pragma once
#include "engine/format/all.hpp"
#include "engine/platform/platform.hpp"

namespace morsel {

// A tree with the flush domain of its walkers. root is a table at root_level.
struct Tree {
  PhysAddr root;
  Counter pending;   // operations that removed something here and have not flushed yet
  Counter attached;  // not zero: page tables outside our reach may point into the tree. Its tables are then emptied
                     // instead of unlinked; for the primary, the pending count is raised before a change
  TreeId id = primary_tree;
  FormatId format = FormatId::amd64;
  Level root_level = 0;
};

// The entry at `offset` in the table at `table`, whose level is `level`.
template <PageFormat F, Platform P>
EntryRef entry_in(P& p, TreeId tree, PhysAddr table, Level level, u64 offset)
{
  return {p.words(table) + entry_index<F>(offset, level), align_down(offset, entry_bytes<F>(level)), tree, level};
}

template <PageFormat F>
constexpr Range range_of(const EntryRef& e)
{
  return {e.offset, e.offset + entry_bytes<F>(e.level)};
}

// Bytes that a tree can map, from its root level.
template <PageFormat F>
constexpr Range range_of(const Tree& tree)
{
  return {0, table_span<F>(tree.root_level)};
}

}  // namespace morsel
