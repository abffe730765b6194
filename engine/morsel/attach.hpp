// SPDX-License-Identifier: GPL-2.0-or-later
//
// Attaching: a process's page tables point to a table of the object, and hardware walks from there. What is attached
// must be the object's own, because mutators change it in place.
//
// The caller raises the tree's `attached` counter first, and a grace period passes, so that every mutator keeps the
// tables from then on (docs/decisions/0005-sticky-attachment.md).
#pragma once
#include "engine/morsel/change.hpp"

namespace morsel {

// Copies the tables of the base that lie in `range` of a clone, down to the last one. no_memory, corrupt.
template <Platform P>
Status own_tables(P& p, Object& object, Range range)
{
  GraceSection<P> section(p);
  const auto nothing = [](const EntryRef&, u64, EntryKind) -> Expected<Visit> { return Visit::next; };
  const Error error = change_entries(p, object, range, nothing);
  return error == Error::none ? Status{} : Status{error};
}

// The table at `level` of the tree that covers `offset`, made if it is missing: a PTE, PMD or PUD table for a slot of
// 2 MiB, 1 GiB or 512 GiB. exists: a larger leaf stands there. busy: a fill or move of one is under way. no_memory,
// corrupt.
template <Platform P>
Expected<PhysAddr> table_to_attach(P& p, Object& object, const Tree& tree, u64 offset, Level level)
{
  if (tree.id == primary_tree && object.base) {
    const u64 span = table_span<PrimaryFormat>(level);
    const Status owned = own_tables(p, object, {align_down(offset, span), align_down(offset, span) + span});
    if (!owned) return owned.error();
  }
  if (level == tree.root_level) return tree.root;
  return ensure_table(p, tree, offset, level);
}

}  // namespace morsel
