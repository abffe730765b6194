// SPDX-License-Identifier: GPL-2.0-or-later
//
// Clones: copies of an object that cost one table. The object cloned becomes a base: frozen, so that its tables and
// frames can be shared without counting who uses each. A clone begins as a root table whose entries point into the
// base; a change copies the tables on its way (change.hpp), a write copies the page (break_copy).
//
//   base   root -> table -> leaf(frame, not writable)
//                    ^         ^
//   clone  root -shared        |            nothing was written below
//          root -> copy -> leaf(frame, copy on write), leaf(frame of its own)
//
// A clone can be frozen and cloned in turn. A base lives until its last clone is destroyed; it counts them.
//
// Thread safety: freeze and clone of one object are called by one thread at a time; everything else may run meanwhile.
// freeze waits for the changes under way to end: a grace period.
#pragma once
#include "engine/morsel/change.hpp"

namespace morsel {

// Ends all changes of the object for good: later ones are refused with Error::frozen. What was writable is not any
// more, in every tree. Views go on to be filled. corrupt; invalid: the object is persistent, and a crash would
// forget whose the frames are that base and clone share (decision 0018).
template <Platform P>
Status freeze(P& p, Object& object)
{
  using F = PrimaryFormat;
  if constexpr (outlives_crashes<P>) return Error::invalid;
  if (p.read(SyncPoint::read_frozen, primary_tree, object.frozen) != 0) return {};
  p.add(SyncPoint::freeze, primary_tree, object.frozen, +1);
  p.wait_for_grace_period(SyncPoint::grace);  // who did not see the mark is out now
  const Range all = range_of<F>(object.primary);
  const ChangeSection section(p, object, Changes::frozen_primary);
  Operation<P> op(p, object, all, section.inside());
  Error error = Error::none;
  visit_range<F>(p, SyncPoint::find, object.primary, all, [&](const EntryRef& e, u64 word, EntryKind kind) {
    if (kind == EntryKind::hole) return Visit::next;
    if (kind == EntryKind::moving) return cancel_move(p, e, word);
    if (kind == EntryKind::table) return is_shared(word) ? Visit::next : Visit::descend;
    if (kind != EntryKind::leaf) return error = Error::corrupt, Visit::stop;
    const u64 frozen = frozen_leaf(word, e.level);
    if (frozen == word) return Visit::next;
    if (!p.compare_exchange(SyncPoint::change, e, word, frozen)) return Visit::again;
    op.replaced_in_primary(e, word);
    return Visit::next;
  });
  op.finish();
  return error == Error::none ? Status{} : Status{error};
}

// Makes `clone` a copy of `base`, which is frozen. Costs one table, whatever is mapped. `p` is the clone's platform.
// invalid: the base is not frozen, or the clone would be persistent. no_memory.
template <Platform P>
Status clone(P& p, Object& base, Object& clone)
{
  using F = PrimaryFormat;
  if constexpr (outlives_crashes<P>) return Error::invalid;
  if (p.read(SyncPoint::read_frozen, primary_tree, base.frozen) == 0) return Error::invalid;
  const Level level = base.primary.root_level;
  const auto root = p.allocate_table(primary_tree, level);
  if (!root) return root.error();
  const u64* const from = p.words(base.primary.root);
  u64* const to = p.words(*root);
  for (u64 i = 0; i < table_entries<F>(level); ++i) to[i] = cloned_entry(from[i], level);
  clone = Object{};
  clone.bytes = p.load_word(SyncPoint::read_size, base.bytes);
  clone.primary = {*root, {}, {}, primary_tree, F::id, level};
  clone.base = &base;
  p.add(SyncPoint::freeze, primary_tree, base.clones, +1);
  return {};
}

}  // namespace morsel
