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
#include "engine/morsel/operation.hpp"
#include "engine/morsel/reclaim.hpp"
#include "engine/table/mapper.hpp"
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

// Frees everything at once. No view is listed, no process has it attached, nobody is inside a section.
template <Platform P>
void destroy(P& p, Object& object)
{
  release_table<PrimaryFormat>(p, primary_tree, object.primary.root_level, object.primary.root);
  object.primary.root = {};
}

namespace detail {

// A range that an operation on the object accepts.
template <Platform P>
Status check_range(P& p, Object& object, Range range, Level granule)
{
  const u64 step = entry_bytes<PrimaryFormat>(granule);
  if (!is_aligned(range.start, step) || !is_aligned(range.end, step)) return Error::unaligned;
  if (range.empty()) return Error::invalid;
  if (range.end > p.load_word(SyncPoint::read_size, object.bytes)) return Error::out_of_range;
  return {};
}

// Words that stand in a change's way: a move under way is cancelled (the mover notices), a merge's mark is cleared.
template <Platform P>
bool clear_the_way(P& p, const EntryRef& e, u64 word, EntryKind kind)
{
  using F = PrimaryFormat;
  if (kind == EntryKind::moving) {
    const software::Moving m = software::read_moving(word);
    p.compare_exchange(SyncPoint::cancel_move, e, word, F::make_leaf(m.frame, e.level, {m.rights, true, false}));
    return true;
  }
  if (kind == EntryKind::table && (word & software::merging_mask)) {
    p.compare_exchange(SyncPoint::cancel_merge, e, word, word & ~software::merging_mask);
    return true;
  }
  return false;
}

// Split the large leaf `word`. Where hardware walks the primary, no walker may hold the large and a small translation
// at once (I10): the entry goes through *moving*, with a flush between. Losing a compare-and-swap is no error: the
// caller looks again.
template <Platform P>
Status split_leaf(P& p, Operation<P>& op, const EntryRef& e, u64 word)
{
  using F = PrimaryFormat;
  const auto table = table_of_smaller_leaves<F>(p, primary_tree, word, e.level);
  if (!table) return table.error();
  u64 expected = word;
  if (op.primary_attached()) {
    expected = software::make_moving(
        {F::address(word, e.level), F::access(word, e.level), p.token() & software::max_moving_token});
    if (!p.compare_exchange(SyncPoint::split, e, word, expected)) {
      p.discard_table(primary_tree, static_cast<Level>(e.level - 1), *table);
      return {};
    }
    p.flush(SyncPoint::flush, {primary_tree, range_of<F>(e)});
  }
  if (install_table<F>(p, SyncPoint::split, e, expected, *table)) return {};
  if (op.primary_attached()) op.replaced_in_primary(e, word);  // cancelled: the leaf came back clean
  return {};
}

// Remove what is there. A table that lies wholly inside goes as a whole, unless processes may have it attached.
template <Platform P>
Error unmap_entries(P& p, Object& object, Operation<P>& op, Range range)
{
  using F = PrimaryFormat;
  Error error = Error::none;
  visit_range<F>(p, SyncPoint::find, object.primary, range, [&](const EntryRef& e, u64 word, EntryKind kind) {
    if (kind == EntryKind::hole) return Visit::next;
    if (kind == EntryKind::malformed || kind == EntryKind::reserved) return error = Error::corrupt, Visit::stop;
    const bool whole = range.contains(range_of<F>(e));
    if (!(whole && kind == EntryKind::moving) && clear_the_way(p, e, word, kind)) return Visit::again;
    if (kind == EntryKind::table && (!whole || op.primary_attached())) return Visit::descend;
    if (!whole) {
      const Status s = split_leaf(p, op, e, word);
      if (!s) return error = s.error(), Visit::stop;
      return Visit::again;
    }
    if (!p.compare_exchange(SyncPoint::change, e, word, 0)) return Visit::again;
    op.took_from_primary(e, word);
    return Visit::next;
  });
  return error;
}

}  // namespace detail

// Unmaps every page of `range`; holes are no error. Returns the pages that were mapped. unaligned, out_of_range,
// invalid (empty), no_memory (a large leaf could not be split; what comes before it is unmapped), corrupt.
template <Platform P>
Expected<u64> unmap(P& p, Object& object, Range range)
{
  if (const Status s = detail::check_range(p, object, range, 0); !s) return s.error();
  Operation<P> op(p, object, range);
  const Error error = detail::unmap_entries(p, object, op, range);
  op.finish();
  if (error != Error::none) return error;
  return op.changed_pages();
}

// Changes the size. Shrinking unmaps the tail after the new size is visible, so that a populate that read the old size
// finds out (it reads the size again after its change).
template <Platform P>
Status resize(P& p, Object& object, u64 bytes)
{
  if (!is_aligned(bytes, page_bytes)) return Error::unaligned;
  if (bytes > table_span<PrimaryFormat>(object.primary.root_level)) return Error::out_of_range;
  const u64 before = p.load_word(SyncPoint::read_size, object.bytes);
  p.store_word(SyncPoint::resize, object.bytes, bytes);
  if (bytes >= before) return {};
  const Range tail{bytes, before};
  Operation<P> op(p, object, tail);
  const Error error = detail::unmap_entries(p, object, op, tail);
  op.finish();
  return error == Error::none ? Status{} : Status{error};
}

// Maps zeroed frames into the holes of `range`, in leaves of `leaf_level` (0: 4 KiB, 1: 2 MiB) or smaller ones where a
// table stands already. What is mapped keeps its frame and rights. Returns the pages added. unaligned (to the leaf
// size), out_of_range, invalid (rights without read), no_memory (what was added stays), corrupt.
template <Platform P>
Expected<u64> populate(P& p, Object& object, Range range, Rights rights, Level leaf_level)
{
  using F = PrimaryFormat;
  if (leaf_level > 1 || leaf_level > object.primary.root_level || F::reduce(rights) != rights || rights.none())
    return Error::invalid;
  if (const Status s = detail::check_range(p, object, range, leaf_level); !s) return s.error();
  Error error = Error::none;
  u64 size_after = 0;
  u64 added_bytes = 0;
  {
    Operation<P> op(p, object, range);
    visit_range<F>(p, SyncPoint::find, object.primary, range, [&](const EntryRef& e, u64 word, EntryKind kind) {
      if (kind == EntryKind::malformed || kind == EntryKind::reserved) return error = Error::corrupt, Visit::stop;
      if (detail::clear_the_way(p, e, word, kind)) return Visit::again;
      if (kind == EntryKind::table) return Visit::descend;
      if (kind == EntryKind::leaf) return Visit::next;
      if (e.level > leaf_level) {
        const auto linked = link_table<F>(p, SyncPoint::link_primary, e, word);
        return linked ? Visit::again : (error = linked.error(), Visit::stop);
      }
      const auto mapped = map_new_frame<F>(p, SyncPoint::change, e, {rights, true, false});
      if (!mapped) return error = mapped.error(), Visit::stop;
      if (!*mapped) return Visit::again;
      added_bytes += entry_bytes<F>(e.level);
      return Visit::next;
    });
    op.finish();
    size_after = p.load_word(SyncPoint::read_size, object.bytes);
  }
  if (size_after < range.end) {  // shrunk meanwhile: the tail must not stay
    const Range tail{size_after > range.start ? size_after : range.start, range.end};
    Operation<P> op(p, object, tail);
    (void)detail::unmap_entries(p, object, op, tail);
    op.finish();
    return Error::out_of_range;
  }
  if (error != Error::none) return error;
  return added_bytes >> page_lg2;
}

// Sets the rights of every mapped page of `range`. Returns the pages whose rights changed. unaligned, out_of_range,
// invalid (rights without read), no_memory (a large leaf could not be split), corrupt.
template <Platform P>
Expected<u64> protect(P& p, Object& object, Range range, Rights rights)
{
  using F = PrimaryFormat;
  if (F::reduce(rights) != rights || rights.none()) return Error::invalid;
  if (const Status s = detail::check_range(p, object, range, 0); !s) return s.error();
  Operation<P> op(p, object, range);
  Error error = Error::none;
  visit_range<F>(p, SyncPoint::find, object.primary, range, [&](const EntryRef& e, u64 word, EntryKind kind) {
    if (kind == EntryKind::hole) return Visit::next;
    if (kind == EntryKind::malformed || kind == EntryKind::reserved) return error = Error::corrupt, Visit::stop;
    if (detail::clear_the_way(p, e, word, kind)) return Visit::again;
    if (kind == EntryKind::table) return Visit::descend;
    if (F::access(word, e.level) == rights) return Visit::next;
    if (!range.contains(range_of<F>(e))) {
      const Status s = detail::split_leaf(p, op, e, word);
      if (!s) return error = s.error(), Visit::stop;
      return Visit::again;
    }
    const LeafAttributes kept{rights, (word & F::accessed_bit) != 0, (word & F::dirty_bit) != 0};
    if (!p.compare_exchange(SyncPoint::change, e, word, F::make_leaf(F::address(word, e.level), e.level, kept)))
      return Visit::again;
    op.replaced_in_primary(e, word, Operation<P>::DirtyBit::kept);
    op.count_changed(entry_bytes<F>(e.level));
    return Visit::next;
  });
  op.finish();
  if (error != Error::none) return error;
  return op.changed_pages();
}

// Translates an offset in the primary. needs_populate: a hole.
template <Platform P>
Expected<Leaf> lookup(P& p, SyncPoint at, const Tree& tree, u64 offset)
{
  return AllFormats::dispatch(tree.format, Expected<Leaf>{Error::invalid},
                              [&]<class F>() { return lookup_in<F>(p, at, tree, offset); });
}

}  // namespace morsel
