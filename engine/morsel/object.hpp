// SPDX-License-Identifier: GPL-2.0-or-later
//
// The object: one primary subtree and the list of its secondary views. Plain data; the operations are in primary.hpp,
// fill.hpp and view.hpp. Whoever embeds it owns the memory of Object and View; a View may be freed a grace period
// after drop_view.
#pragma once
#include <array>

#include "engine/format/all.hpp"
#include "engine/platform/platform.hpp"

namespace morsel {

inline constexpr std::size_t max_views = 16;

// A tree of tables with the flush domain of its walkers. root is a table at root_level.
struct Tree {
  PhysAddr root;
  Counter pending;    // operations that removed something here and have not flushed yet
  Counter attached;   // not zero: hardware outside our reach may point into the tree. Tables are then emptied instead
                      // of unlinked, and for the primary the pending count is raised before a change
  TreeId id = primary_tree;
  FormatId format = FormatId::amd64;
  Level root_level = 0;
};

struct View {
  Tree tree;
};

// Bytes are a multiple of 4 KiB and at most what the root table covers. The primary is Amd64L4 format from its root
// down: a root at level 0 is a PTE table (2 MiB), at 1 a PMD table (1 GiB), at 2 a PUD table (512 GiB).
struct Object {
  u64 bytes = 0;
  Tree primary;
  std::array<void*, max_views> views{};   // View*, null: free; view with number n stands in slot n - 1
};

using PrimaryFormat = Amd64L4;

}  // namespace morsel
