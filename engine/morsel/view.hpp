// SPDX-License-Identifier: GPL-2.0-or-later
//
// Secondary views as wholes: add, drop, empty. A view's tree starts at its
// format's top level, so that its root is what a CR3, nCR3 or EPTP points to; the object begins at address zero.
//
// Thread safety: add_view and drop_view of one object are called by one thread at a time; everything else may run
// meanwhile, but who empties a view sees to it that it is not dropped.
// Invariants: I7 (dropping a view changes nothing but cost), I3 (order of drop_view: unlink, flush, collect,
// then unlist, then retire the root), I1 (order of add_view: list, then allow fills: attach_first in the model's list).
#pragma once
#include "engine/morsel/fill.hpp"
#include "engine/morsel/operation.hpp"

namespace morsel {

// An empty view in slot `number` - 1. invalid: unknown format or number. exists: the slot is taken. no_memory.
template <Platform P>
Status add_view(P& p, Object& object, View& view, FormatId format, TreeId number)
{
  if (number == primary_tree || number > max_views) return Error::invalid;
  if (object.views[number - 1]) return Error::exists;
  const Status made = AllFormats::dispatch(format, Status{Error::invalid}, [&]<class F>() -> Status {
    const auto root = p.allocate_table(number, top_level<F>, table_order<F>(top_level<F>));
    if (!root) return root.error();
    view.tree = {*root, {}, {}, number, format, top_level<F>};
    return {};
  });
  if (!made) return made;
  if (number > p.load_word(SyncPoint::read_list, object.slots)) p.store_word(SyncPoint::list, object.slots, number);
  p.store_pointer(SyncPoint::list, object.views[number - 1], &view);
  return {};
}

// The owner has already taken hardware's root pointer and all attachments away. The View itself may be freed after a
// grace period that begins now.
template <Platform P>
void drop_view(P& p, Object& object, View& view)
{
  // No attachment is left: tables may be unlinked.
  const u32 attached = p.read(SyncPoint::read_pending, view.tree.id, view.tree.attached);
  p.add(SyncPoint::detach, view.tree.id, view.tree.attached, -static_cast<int>(attached));
  const ChangeSection section(p, object, Changes::view_only);
  Operation<P> op(p, object, {0, ~u64{0}}, section.inside());
  op.invalidate_all(view.tree);
  p.store_pointer(SyncPoint::unlist, object.views[view.tree.id - 1], nullptr);
  op.retire_root(view.tree);  // swept once more when its grace period is over: fillers may still link into it
  op.complete();
}

// Empties the view within `range`; the next accesses fill it again. unaligned.
template <Platform P>
Status invalidate(P& p, Object& object, View& view, Range range)
{
  if (!is_aligned(range.start, page_bytes) || !is_aligned(range.end, page_bytes)) return Error::unaligned;
  const ChangeSection section(p, object, Changes::view_only);
  Operation<P> op(p, object, range, section.inside());
  op.finish_view(view.tree);
  return {};
}

}  // namespace morsel
