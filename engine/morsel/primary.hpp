// SPDX-License-Identifier: GPL-2.0-or-later
//
// The primary object: create, destroy, resize, populate, unmap, protect, and the tables that processes attach. The
// primary is the truth; every change goes through an Operation, which keeps the views in step.
//
// Thread safety: all operations may run at once, except destroy (the object is nobody else's any more). They are
// lock-free (I5): every change is one compare-and-swap from the value seen, and a lost one means that somebody else's
// was done. Errors leave the object consistent; what was changed before one stays changed.
// Source: design of the protocol, "Mutate"; the numbers of the steps are those of operation.hpp.
#pragma once
#include <algorithm>

#include "engine/morsel/change.hpp"
#include "engine/morsel/reclaim.hpp"
#include "engine/table/walker.hpp"

namespace morsel {

// A root table at `root_level` (0 PTE, 1 PMD, 2 PUD). unaligned: bytes no multiple of 4 KiB. out_of_range: more than
// the root covers. no_memory.
template <Platform P>
Status create(P& p, Object& object, u64 bytes, Level root_level)
{
  if (root_level > 2) return Error::invalid;
  if (!is_aligned(bytes, page_bytes)) return Error::unaligned;
  if (bytes > table_span<PrimaryFormat>(root_level)) return Error::out_of_range;
  const auto root = p.allocate_table(primary_tree, root_level);
  if (!root) return root.error();
  object = Object{};
  object.bytes = bytes;
  object.primary = {*root, {}, {}, primary_tree, PrimaryFormat::id, root_level};
  return {};
}

// Frees everything at once. No view is listed, no process has it attached, nobody is inside a section, and no clone of
// it lives.
template <Platform P>
void destroy(P& p, Object& object)
{
  if (object.primary.root != PhysAddr{})  // else it was sent
    release_table<PrimaryFormat>(p, primary_tree, object.primary.root_level, object.primary.root);
  object.primary.root = {};
  if (object.base) p.add(SyncPoint::freeze, primary_tree, object.base->clones, -1);
}

namespace detail {

// Remove what is there. A table that lies wholly inside goes as a whole, unless processes may have it attached.
template <Platform P>
[[gnu::noinline]] Error unmap_entries(P& p, Object& object, Operation<P>& op, Range range)
{
  using F = PrimaryFormat;
  Error error = Error::none;
  visit_range<F>(p, SyncPoint::find, object.primary, range, [&](const EntryRef& e, u64 word, EntryKind kind)
                                                                __attribute__((always_inline)) {
    const bool whole = range.contains(range_of<F>(e));
    Expected<Visit> next = Visit::next;
    if (kind == EntryKind::hole) return Visit::next;
    if (kind == EntryKind::malformed || kind == EntryKind::reserved)
      next = Error::corrupt;
    else if (kind == EntryKind::table && (!whole || op.primary_attached()))
      next = enter_table(p, e, word);
    else if (!whole)
      next = kind == EntryKind::moving ? cancel_move(p, copy_of(e), word) : split_leaf(p, op, copy_of(e), word);
    else if (!p.compare_exchange(SyncPoint::change, e, word, 0))
      return Visit::again;
    else
      op.took_from_primary(e, word);
    if (next) return *next;
    error = next.error();
    return Visit::stop;
  });
  return error;
}

// What was mapped while the object was shrunk must not stay.
template <Platform P>
[[gnu::noinline]] Error give_back(P& p, Object& object, Range tail)
{
  Operation<P> op(p, object, tail);
  if (op.frozen()) return Error::frozen;
  (void)unmap_entries(p, object, op, tail);
  op.finish();
  return Error::out_of_range;
}

}  // namespace detail

// Unmaps every page of `range`; holes are no error. Returns the pages that were mapped. unaligned, out_of_range,
// invalid (empty), frozen, no_memory (a large leaf could not be split; what comes before it is unmapped), corrupt.
template <Platform P>
Expected<u64> unmap(P& p, Object& object, Range range)
{
  if (const Status s = check_range(p, object, range, 0); !s) return s.error();
  Operation<P> op(p, object, range);
  if (op.frozen()) return Error::frozen;
  const PlainPage page = find_plain_page(p, object, range);
  const EntryRef e{page.at, range.start, primary_tree, 0};
  Error error = Error::none;
  if (!page.at || (page.word && !p.compare_exchange(SyncPoint::change, e, page.word, 0)))
    error = detail::unmap_entries(p, object, op, range);
  else if (page.word)
    op.took_from_primary(e, page.word);
  op.finish();
  if (error != Error::none) return error;
  return op.changed_pages();
}

// Changes the size. Shrinking unmaps the tail after the new size is visible, so that a populate that read the old size
// finds out (it reads the size again after its change). unaligned, out_of_range, frozen, no_memory, corrupt.
template <Platform P>
Status resize(P& p, Object& object, u64 bytes)
{
  if (!is_aligned(bytes, page_bytes)) return Error::unaligned;
  if (bytes > table_span<PrimaryFormat>(object.primary.root_level)) return Error::out_of_range;
  const Range tail{bytes, p.load_word(SyncPoint::read_size, object.bytes)};
  Operation<P> op(p, object, tail);
  if (op.frozen()) return Error::frozen;
  p.store_word(SyncPoint::resize, object.bytes, bytes);
  if (tail.empty()) return op.finish_primary(), Status{};
  const Error error = detail::unmap_entries(p, object, op, tail);
  op.finish();
  return error == Error::none ? Status{} : Status{error};
}

namespace detail {

template <Platform P>
[[gnu::noinline]] NewLeaves populate_entries(P& p, Object& object, Range range, LeafAttributes attributes,
                                             Level leaf_level)
{
  using F = PrimaryFormat;
  NewLeaves all;
  all.error = change_entries(p, object, range, [&](const EntryRef& e, u64 word, EntryKind kind)
                                                   __attribute__((always_inline)) -> Expected<Visit> {
    if (kind == EntryKind::moving) return cancel_move(p, copy_of(e), word);
    if (kind == EntryKind::leaf) return Visit::next;
    if (e.level == leaf_level + 1) {
      const NewLeaves made =
          link_new_frames<F>(p, SyncPoint::link_primary, SyncPoint::change, copy_of(e), range, attributes);
      all.bytes += made.bytes;
      if (made.error != Error::none) return made.error;
      return made.bytes ? Visit::next : Visit::again;
    }
    if (e.level > leaf_level) {
      const auto linked = link_table<F>(p, SyncPoint::link_primary, copy_of(e), word);
      return linked ? Expected<Visit>(Visit::again) : linked.error();
    }
    const auto mapped = map_new_frame<F>(p, SyncPoint::change, e, attributes);
    if (!mapped) return mapped.error();
    if (!*mapped) return Visit::again;
    all.bytes += entry_bytes<F>(e.level);
    return Visit::next;
  });
  return all;
}

}  // namespace detail

// Maps zeroed frames into the holes of `range`, in leaves of `leaf_level` (0: 4 KiB, 1: 2 MiB, 2: 1 GiB) or smaller
// ones where a table stands already. What is mapped keeps its frame and rights. Returns the pages added. unaligned (to
// the leaf size), out_of_range, invalid (rights without read), frozen, no_memory (what was added stays), corrupt.
template <Platform P>
Expected<u64> populate(P& p, Object& object, Range range, Rights rights, Level leaf_level)
{
  using F = PrimaryFormat;
  if (leaf_level > object.primary.root_level || F::reduce(rights) != rights || rights.none()) return Error::invalid;
  if (const Status s = check_range(p, object, range, leaf_level); !s) return s.error();
  const LeafAttributes attributes{rights, true, false};
  NewLeaves made;
  u64 size_after = 0;
  {
    Operation<P> op(p, object, range);
    if (op.frozen()) return Error::frozen;
    const PlainPage page = find_plain_page(p, object, range);
    const EntryRef e{page.at, range.start, primary_tree, 0};
    const auto mapped = page.at && page.word == 0 ? map_new_frame<F>(p, SyncPoint::change, e, attributes)
                                                  : Expected<bool>(false);
    if (!mapped)
      made.error = mapped.error();
    else if (*mapped)
      made.bytes = page_bytes;
    else
      made = detail::populate_entries(p, object, range, attributes, leaf_level);
    op.finish();
    size_after = p.load_word(SyncPoint::read_size, object.bytes);
  }
  if (size_after < range.end) return detail::give_back(p, object, {std::max(size_after, range.start), range.end});
  if (made.error != Error::none) return made.error;
  return made.bytes >> page_lg2;
}

// Sets the rights of every mapped page of `range`. Returns the pages whose rights changed. unaligned, out_of_range,
// invalid (rights without read), frozen, no_memory (a large leaf could not be split), corrupt.
template <Platform P>
Expected<u64> protect(P& p, Object& object, Range range, Rights rights)
{
  using F = PrimaryFormat;
  if (F::reduce(rights) != rights || rights.none()) return Error::invalid;
  if (const Status s = check_range(p, object, range, 0); !s) return s.error();
  Operation<P> op(p, object, range);
  if (op.frozen()) return Error::frozen;
  const LeafRights leaf_rights(rights);
  u64 changed_bytes = 0;
  const auto change = [&](const EntryRef& e, u64 word, EntryKind kind)
                          __attribute__((always_inline)) -> Expected<Visit> {
    if (kind != EntryKind::leaf) [[unlikely]]
      return kind == EntryKind::moving ? cancel_move(p, copy_of(e), word) : Visit::next;
    const u64 wanted = leaf_rights.applied_to(word, e.level);
    if (wanted == word) return Visit::next;
    if (e.level > 0 && !range.contains(range_of<F>(e))) return split_leaf(p, op, copy_of(e), word);
    if (!p.compare_exchange(SyncPoint::change, e, word, wanted)) return Visit::again;
    op.replaced_in_primary(e, word, Operation<P>::DirtyBit::kept);
    changed_bytes += entry_bytes<F>(e.level);
    return Visit::next;
  };
  const Error error = change_entries(p, object, range, change);
  op.finish();
  if (error != Error::none) return error;
  return changed_bytes >> page_lg2;
}

// Translates an offset in the primary. needs_populate: a hole.
template <Platform P>
Expected<Leaf> lookup(P& p, SyncPoint at, const Tree& tree, u64 offset)
{
  return AllFormats::dispatch(tree.format, Expected<Leaf>{Error::invalid},
                              [&]<class F>() { return lookup_in<F>(p, at, tree, offset); });
}

}  // namespace morsel
