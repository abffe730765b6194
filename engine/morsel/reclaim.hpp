// SPDX-License-Identifier: GPL-2.0-or-later
//
// The end of a grace period: what was unlinked is enumerated and freed. Only now, because fillers that were inside a
// retired table may have linked more into it (sweep_early in the model's list).
//
// Invariants: I3 (nothing is freed while reachable: the platform calls this after the grace period that began after
// the flush), I4 (dirty bits still standing in a retired table count for the verdict at release).
#pragma once
#include "engine/morsel/marks.hpp"

namespace morsel {

struct RetiredTable {
  TreeId tree = primary_tree;
  FormatId format = FormatId::amd64;
  Level level = 0;
  PhysAddr table;
};

template <PageFormat F, Platform P>
void release_table(P& p, TreeId tree, Level level, PhysAddr table)
{
  u64* const words = p.words(table);
  for (u64 i = 0; i < table_entries<F>(level); ++i) {
    const u64 word = words[i];  // private by now: nobody else can reach the table
    switch (F::kind(word, level)) {
      case EntryKind::table:
        if (tree == primary_tree && is_shared(word)) break;
        release_table<F>(p, tree, static_cast<Level>(level - 1), F::address(word, level));
        break;
      case EntryKind::leaf:
        if (F::may_be_dirty(word, level)) p.carry(SyncPoint::carry, F::address(word, level), level);
        if (tree == primary_tree && !is_copy_on_write(word)) p.free_frame(F::address(word, level), level);
        break;
      case EntryKind::moving:
        if (const software::Moving m = software::read_moving(word); !m.copy_on_write) p.free_frame(m.frame, level);
        break;
      case EntryKind::hole:
      case EntryKind::reserved:
      case EntryKind::malformed: break;
    }
  }
  p.free_table(tree, level, table, table_order<F>(level));
}

// Frees a retired table and everything below it; for the primary, the frames too. What belongs to the base of a clone
// stays.
template <Platform P>
void release(P& p, const RetiredTable& retired)
{
  AllFormats::dispatch(retired.format, false, [&]<class F>() {
    release_table<F>(p, retired.tree, retired.level, retired.table);
    return true;
  });
}

}  // namespace morsel
