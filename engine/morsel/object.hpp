// SPDX-License-Identifier: GPL-2.0-or-later
//
// The object: one primary subtree and the list of its secondary views. Plain data; the operations are in primary.hpp,
// fill.hpp and view.hpp. Whoever embeds it owns the memory of Object and View; a View may be freed a grace period
// after drop_view.
#pragma once
#include <array>

#include "engine/table/tree.hpp"

namespace morsel {

inline constexpr std::size_t max_views = 16;
// Of one object, under way at once: a larger number would fit into a moving word.
inline constexpr std::size_t max_moves = 64;

using PrimaryFormat = Amd64L4;

struct View {
  Tree tree;
};

// The primary is Amd64L4 format from its root down: a root at level 0 is a PTE table (2 MiB), at 1 a PMD table (1 GiB),
// at 2 a PUD table (512 GiB).
struct Object {
  u64 bytes = 0;  // a multiple of 4 KiB, at most what the root table covers
  Tree primary;
  Counter frozen;          // not zero: it is a base, and does not change any more (clone.hpp)
  Counter clones;          // of this base, not destroyed yet: it must live as long
  Counter merging;         // merges under way: one at a time
  std::array<Counter, max_moves> move_tokens{};  // of each, how many hold it (move_token.hpp)
  Object* base = nullptr;  // whose tables and frames this clone uses
  u64 slots = 0;  // of `views`, that ever held one: raised before the slot is filled, never lowered
  std::array<void*, max_views> views{};  // View*, null: free; the view with number n stands in slot n - 1
};

// Whether what stands in an object outlives a crash (persistent.hpp): its tables and size do, its relation to others
// would not.
template <class P>
inline constexpr bool outlives_crashes = requires { requires P::outlives_crashes; };

}  // namespace morsel
