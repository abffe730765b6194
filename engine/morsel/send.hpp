// SPDX-License-Identifier: GPL-2.0-or-later
//
// Send: everything that an object maps becomes another holder's, in constant time. The root changes hands; no entry is
// touched, no frame copied, nothing flushed, because nobody looks at the object any more: its views are dropped and its
// processes gone before.
//
// Thread safety: one thread at a time sends an object; changes under way are waited for (a grace period), later ones
// are refused, like those of a base.
#pragma once
#include "engine/morsel/object.hpp"

namespace morsel {

// Moves the tree of `from`, with its size and its base, to `to`, which holds nothing before. `from` stays as an empty
// object of no size that refuses changes, and is destroyed as usual. busy: a view is listed, processes may have tables
// of it attached, or it is the base of clones. frozen: it was sent already. invalid: it is persistent, and after a
// crash the tree could be nobody's, or of both.
template <Platform P>
Status send(P& p, Object& from, Object& to)
{
  if constexpr (outlives_crashes<P>) return Error::invalid;
  for (void*& view : from.views)
    if (p.load_pointer(SyncPoint::read_list, view)) return Error::busy;
  if (p.read(SyncPoint::read_pending, primary_tree, from.primary.attached) != 0) return Error::busy;
  if (p.read(SyncPoint::read_frozen, primary_tree, from.clones) != 0) return Error::busy;
  if (from.primary.root == PhysAddr{}) return Error::frozen;
  const bool was_base = p.read(SyncPoint::read_frozen, primary_tree, from.frozen) != 0;
  if (!was_base) p.add(SyncPoint::freeze, primary_tree, from.frozen, +1);
  p.wait_for_grace_period(SyncPoint::grace);
  to = Object{};
  to.bytes = p.load_word(SyncPoint::read_size, from.bytes);
  to.primary = {from.primary.root, {}, {}, primary_tree, PrimaryFormat::id, from.primary.root_level};
  to.base = from.base;
  to.frozen.value = was_base ? 1 : 0;
  p.store_word(SyncPoint::resize, from.bytes, 0);
  from.primary.root = {};
  from.base = nullptr;
  return {};
}

}  // namespace morsel
