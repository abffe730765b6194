// SPDX-License-Identifier: GPL-2.0-or-later
//
// The mapper: how a tree gains tables and leaves. What is linked was made ready privately and appears by one
// compare-and-swap from the exact word that was seen (plain_link in the model's list); whoever loses that gives back
// what it had allocated, and looks again.
//
// Thread safety: any number of actors at once, each inside a grace section. Which words may be replaced, and what else
// that asks for, is the business of the operations (engine/morsel).
#pragma once
#include "engine/table/tree.hpp"

namespace morsel {

// Links `table`, which is still private and has nothing below it that is not private too. The word that now stands in
// the entry; 0 if it was not `expected` any more: then the table is given back.
template <PageFormat F, Platform P>
u64 install_table(P& p, SyncPoint at, const EntryRef& e, u64 expected, PhysAddr table)
{
  const u64 link = F::make_table(table, e.level);
  if (p.compare_exchange(at, e, expected, link)) return link;
  p.discard_table(e.tree, static_cast<Level>(e.level - 1), table);
  return 0;
}

// The same with an empty table. no_memory.
template <PageFormat F, Platform P>
Expected<u64> link_table(P& p, SyncPoint at, const EntryRef& e, u64 expected)
{
  const auto table = p.allocate_table(e.tree, static_cast<Level>(e.level - 1));
  if (!table) return table.error();
  return install_table<F>(p, at, e, expected, *table);
}

// Maps a new zeroed frame where nothing is mapped. False if something is by now: the frame is given back. no_memory.
template <PageFormat F, Platform P>
[[gnu::always_inline]] inline Expected<bool> map_new_frame(P& p, SyncPoint at, const EntryRef& e,
                                                           LeafAttributes attributes)
{
  const auto frame = p.allocate_frame(e.level);
  if (!frame) return frame.error();
  if (p.compare_exchange(at, e, 0, F::make_leaf(*frame, e.level, attributes))) return true;
  p.discard_frame(*frame, e.level);
  return false;
}

struct NewLeaves {
  u64 bytes = 0;  // mapped
  Error error = Error::none;
};

// Maps new zeroed frames in the part of `range` that the hole `e` covers, by a table that is linked when it is ready.
// `bytes` is 0 and there is no error if the entry is no hole any more: everything is given back. no_memory: what there
// was memory for is mapped.
template <PageFormat F, Platform P>
NewLeaves link_new_frames(P& p, SyncPoint link, SyncPoint map, EntryRef e, Range range, LeafAttributes attributes)
{
  const auto level = static_cast<Level>(e.level - 1);
  const u64 step = entry_bytes<F>(level);
  const auto table = p.allocate_table(e.tree, level);
  if (!table) return {0, table.error()};
  const Range part = intersect(range, range_of<F>(e));
  u64* const words = p.words(*table) + entry_index<F>(part.start, level);
  const u64 wanted = part.bytes() / step;
  u64 count = 0;
  for (; count < wanted; ++count) {
    const auto frame = p.allocate_frame(level);
    if (!frame) break;
    p.store_private(map, {words + count, part.start + count * step, e.tree, level},
                    F::make_leaf(*frame, level, attributes));
  }
  const NewLeaves made{count * step, count < wanted ? Error::no_memory : Error::none};
  if (count == 0) return p.discard_table(e.tree, level, *table), made;
  const u64 link_word = F::make_table(*table, e.level);
  if (p.compare_exchange(link, e, 0, link_word)) return made;
  for (u64 i = 0; i < count; ++i) p.discard_frame(F::address(words[i], level), level);
  p.discard_table(e.tree, level, *table);
  return {};
}

// The table at `level` that covers `offset`, with every table on the way to it that is missing. The tree's `attached`
// counter was raised, and a grace period has passed since, so that the table stays. exists: a larger leaf stands
// there. busy: a fill or move of a larger leaf is under way there. no_memory, corrupt.
template <PageFormat F, Platform P>
Expected<PhysAddr> ensure_table_in(P& p, const Tree& tree, u64 offset, Level level)
{
  if (level >= tree.root_level) return Error::invalid;
  const bool primary = tree.id == primary_tree;
  const SyncPoint look = primary ? SyncPoint::find : SyncPoint::descend;
  const SyncPoint link = primary ? SyncPoint::link_primary : SyncPoint::link;
  GraceSection<P> section(p);
  PhysAddr table = tree.root;
  for (Level at = tree.root_level; at > level;) {
    const EntryRef e = entry_in<F>(p, tree.id, table, at, offset);
    const u64 word = p.load(look, e);
    switch (F::kind(word, at)) {
      case EntryKind::table:
        table = F::address(word, at);
        --at;
        break;
      case EntryKind::hole:
        if (const auto linked = link_table<F>(p, link, e, word); !linked) return linked.error();
        break;
      case EntryKind::leaf: return Error::exists;
      case EntryKind::reserved:
      case EntryKind::moving: return Error::busy;
      case EntryKind::malformed: return Error::corrupt;
    }
  }
  return table;
}

template <Platform P>
Expected<PhysAddr> ensure_table(P& p, const Tree& tree, u64 offset, Level level)
{
  return AllFormats::dispatch(tree.format, Expected<PhysAddr>{Error::invalid},
                              [&]<class F>() { return ensure_table_in<F>(p, tree, offset, level); });
}

}  // namespace morsel
