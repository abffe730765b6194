// SPDX-License-Identifier: GPL-2.0-or-later
//
// Attaching: the page tables of a process, or those above a virtual CPU's, point to a table of the object, and hardware
// walks from there. What is attached must be the object's own, because mutators change it in place.
//
// The caller raises the tree's `attached` counter first, and a grace period passes, so that every mutator keeps the
// tables from then on (docs/decisions/0005-sticky-attachment.md).
#pragma once
#include "engine/morsel/change.hpp"

namespace morsel {

// Whether hardware that walks format F may be pointed to a table of the primary: it takes every word that may stand
// there, marks included, for what it is, and sets the same bits. (No software word is present in any format.)
template <PageFormat F>
constexpr bool walks_primary()
{
  using Own = PrimaryFormat;
  constexpr u64 leaf_marks = software::copy_on_write_bit | software::write_after_copy_bit | software::unpersisted_bit;
  if (F::accessed_bit != Own::accessed_bit || F::dirty_bit != Own::dirty_bit) return false;
  for (Level level = 0; level <= 2; ++level) {
    if (F::levels[level].shift_lg2 != Own::levels[level].shift_lg2) return false;
    const PhysAddr target{align_down(bits(47, 12), entry_bytes<Own>(level))};
    const u64 table = Own::make_table(target, level) | table_marks | software::unpersisted_bit;
    if (level > 0 && (F::kind(table, level) != EntryKind::table || F::address(table, level) != target ||
                      !F::access(table, level).includes(rights_all)))
      return false;
    for (u8 r = 1; r <= rights_all.bits(); ++r) {
      const Rights rights = Own::reduce(Rights::from_bits(r));
      const u64 leaf = Own::make_leaf(target, level, {rights, true, true}) | leaf_marks;
      if (rights.none()) continue;
      if (F::kind(leaf, level) != EntryKind::leaf || F::address(leaf, level) != target ||
          F::access(leaf, level) != rights)
        return false;
    }
  }
  return true;
}

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
