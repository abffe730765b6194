// SPDX-License-Identifier: GPL-2.0-or-later
//
// The primary object: create, destroy, resize, populate, unmap, protect, and the tables that processes attach. The
// primary is the truth; every change goes through an Operation, which keeps the views in step.
//
// Thread safety: all operations may run at once, except destroy (the object is nobody else's any more) and resize (one
// at a time, as under a file's inode lock: one that finds the size as it wants it has nothing to wait for). They are
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

// Takes out one entry that is no clean page, or says what is to be done with it first. A table that lies wholly inside
// goes as a whole, unless processes may have it attached.
template <Platform P>
[[gnu::noinline]] Expected<Visit> unmap_entry(P& p, Operation<P>& op, Range range, EntryRef e, u64 word, EntryKind kind)
{
  const bool whole = range.contains(range_of<PrimaryFormat>(e));
  if (kind == EntryKind::malformed || kind == EntryKind::reserved) return Error::corrupt;
  if (kind == EntryKind::table && (!whole || op.primary_attached())) return enter_table(p, e, word);
  if (!whole) return kind == EntryKind::moving ? cancel_move(p, e, word) : split_leaf(p, op, e, word);
  if (!p.compare_exchange(SyncPoint::change, e, word, 0)) return Visit::again;
  op.took_from_primary(e, word);
  return Visit::next;
}

// A 4-KiB leaf of which nothing is left to do but to free its frame.
constexpr bool is_clean_page(u64 word)
{
  using F = PrimaryFormat;
  return (word & (F::present | F::dirty_bit | software::copy_on_write_bit)) == F::present;
}

// Takes out clean pages from `first` on, as far as they lie side by side. Unrolled: a page costs so little that
// counting and comparing is a fifth of it.
template <Platform P>
[[gnu::noinline]] Ahead unmap_clean_pages(P& p, Operation<P>& op, const EntryRef first, u64 end)
{
  auto retired = op.lend_retired();
  const u64 count = (end - first.offset) / page_bytes;
  u64 word = 0;
  u64 taken = 0;
#pragma GCC unroll 4
  while (taken < count) {
    const EntryRef e{first.word + taken, first.offset + taken * page_bytes, first.tree, 0};
    word = p.load(SyncPoint::find, e);
    if (!is_clean_page(word)) [[unlikely]] break;
    if (!p.compare_exchange(SyncPoint::change, e, word, 0)) [[unlikely]] continue;
    ++taken;
    p.note_frame(retired, PrimaryFormat::address(word, 0), 0);
  }
  op.took_clean_pages({first.offset, first.offset + taken * page_bytes}, std::move(retired));
  return {taken * page_bytes, word};
}

template <Platform P>
[[gnu::noinline]] Error unmap_entries(P& p, Object& object, Operation<P>& op, Range range)
{
  Error error = Error::none;
  const auto visitor = [&](const EntryRef& e, u64 word, EntryKind kind) {
    if (kind == EntryKind::hole) return Visit::next;
    const Expected<Visit> next = unmap_entry(p, op, range, copy_of(e), word, kind);
    if (next) return *next;
    error = next.error();
    return Visit::stop;
  };
  visit_range<PrimaryFormat>(p, SyncPoint::find, object.primary, range, visitor,
                             [&](EntryRef e, u64 end) { return unmap_clean_pages(p, op, e, end); });
  return error;
}

template <Platform P>
[[gnu::noinline]] Expected<u64> unmap_range(P& p, Object& object, Range range, InSection section)
{
  Operation<P> op(p, object, range, section);
  const Error error = unmap_entries(p, object, op, range);
  op.finish();
  return error == Error::none ? Expected<u64>(op.changed_pages()) : error;
}

// What was mapped while the object was shrunk must not stay.
template <Platform P>
[[gnu::noinline]] Error give_back(P& p, Object& object, Range tail)
{
  const ChangeSection section(p, object);
  if (section.frozen()) return Error::frozen;
  Operation<P> op(p, object, tail, section.inside());
  (void)unmap_entries(p, object, op, tail);
  op.finish();
  return Error::out_of_range;
}

}  // namespace detail

// Unmaps every page of `range`; holes are no error. Returns the pages that were mapped. unaligned, out_of_range,
// invalid (empty), frozen, no_memory or busy (a large leaf could not be split; what comes before it is unmapped),
// corrupt.
template <Platform P>
Expected<u64> unmap(P& p, Object& object, Range range)
{
  if (const Status s = check_range(p, object, range, 0); !s) return s.error();
  const ChangeSection section(p, object);
  if (section.frozen()) return Error::frozen;
  const PlainPage page = find_plain_page(p, object, range, section.inside());
  const EntryRef e{page.at, range.start, primary_tree, 0};
  if (!page.at || (page.word && !p.compare_exchange(SyncPoint::change, e, page.word, 0)))
    return detail::unmap_range(p, object, range, section.inside());
  const u64 slots = p.load_word(SyncPoint::read_list, object.slots);
  if (slots != 0 || !detail::is_clean_page(page.word))
    return finish_page(p, object, e, page.word, section.inside(), slots);
  typename P::Retired retired{};
  p.note_frame(retired, PrimaryFormat::address(page.word, 0), 0);
  p.retire(SyncPoint::retire, retired);
  return 1;
}

// Changes the size. Shrinking unmaps the tail after the new size is visible, so that a populate that read the old size
// finds out (it reads the size again after its change). unaligned, out_of_range, frozen, no_memory or busy (a large
// leaf could not be split), corrupt.
template <Platform P>
Status resize(P& p, Object& object, u64 bytes)
{
  if (!is_aligned(bytes, page_bytes)) return Error::unaligned;
  if (bytes > table_span<PrimaryFormat>(object.primary.root_level)) return Error::out_of_range;
  const Range tail{bytes, p.load_word(SyncPoint::read_size, object.bytes)};
  const ChangeSection section(p, object);
  if (section.frozen()) return Error::frozen;
  Operation<P> op(p, object, tail, section.inside());
  p.store_word(SyncPoint::resize, object.bytes, bytes);
  if (tail.empty()) return op.finish_primary(), Status{};
  const Error error = detail::unmap_entries(p, object, op, tail);
  op.finish();
  return error == Error::none ? Status{} : Status{error};
}

namespace detail {

template <Platform P>
[[gnu::noinline]] NewLeaves populate_range(P& p, Object& object, Range range, LeafAttributes attributes,
                                           Level leaf_level, InSection section)
{
  using F = PrimaryFormat;
  Operation<P> op(p, object, range, section);
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
  op.finish();
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
    const ChangeSection section(p, object);
    if (section.frozen()) return Error::frozen;
    const PlainPage page = find_plain_page(p, object, range, section.inside());
    const EntryRef e{page.at, range.start, primary_tree, 0};
    const auto mapped = page.at && page.word == 0 ? map_new_frame<F>(p, SyncPoint::change, e, attributes)
                                                  : Expected<bool>(false);
    if (mapped && !*mapped) {
      made = detail::populate_range(p, object, range, attributes, leaf_level, section.inside());
    } else {
      made = mapped ? NewLeaves{page_bytes} : NewLeaves{0, mapped.error()};
      if (const u64 slots = p.load_word(SyncPoint::read_list, object.slots); slots != 0) {
        finish_page(p, object, e, 0, section.inside(), slots);
      } else {
        typename P::Retired none{};
        p.retire(SyncPoint::retire, none);
      }
    }
    size_after = p.load_word(SyncPoint::read_size, object.bytes);
  }
  if (size_after < range.end) return detail::give_back(p, object, {std::max(size_after, range.start), range.end});
  if (made.error != Error::none) return made.error;
  return made.bytes >> page_lg2;
}

namespace detail {

// Sets the rights of leaves from `first` on, as long as there are some. Adds to `changed`.
template <Platform P>
[[gnu::noinline]] Ahead protect_pages(P& p, Operation<P>& op, const LeafRights rights, const EntryRef first, u64 end,
                                      u64& changed)
{
  const bool attached = op.primary_attached();
  const u64 count = (end - first.offset) / page_bytes;
  u64 word = 0;
  u64 done = 0;
  u64 unchanged = 0;
  while (done < count) {
    const EntryRef e{first.word + done, first.offset + done * page_bytes, first.tree, 0};
    word = p.load(SyncPoint::find, e);
    if (PrimaryFormat::kind(word, 0) != EntryKind::leaf) [[unlikely]] break;
    const u64 wanted = rights.applied_to(word, 0);
    if (wanted == word) [[unlikely]]
      ++unchanged;
    else if (!p.compare_exchange(SyncPoint::change, e, word, wanted)) [[unlikely]]
      continue;
    else if (attached)
      op.replaced_in_primary(e, word, Operation<P>::DirtyBit::kept);
    ++done;
  }
  changed += done - unchanged;
  return {done * page_bytes, word};
}

}  // namespace detail

// Sets the rights of every mapped page of `range`. Returns the pages whose rights changed. unaligned, out_of_range,
// invalid (rights without read), frozen, no_memory or busy (a large leaf could not be split), corrupt.
template <Platform P>
Expected<u64> protect(P& p, Object& object, Range range, Rights rights)
{
  using F = PrimaryFormat;
  if (F::reduce(rights) != rights || rights.none()) return Error::invalid;
  if (const Status s = check_range(p, object, range, 0); !s) return s.error();
  const ChangeSection section(p, object);
  if (section.frozen()) return Error::frozen;
  Operation<P> op(p, object, range, section.inside());
  const LeafRights leaf_rights(rights);
  u64 changed_pages = 0;
  const auto change = [&](const EntryRef& e, u64 word, EntryKind kind) -> Expected<Visit> {
    if (kind != EntryKind::leaf) return kind == EntryKind::moving ? cancel_move(p, copy_of(e), word) : Visit::next;
    const u64 wanted = leaf_rights.applied_to(word, e.level);
    if (wanted == word) return Visit::next;
    if (!range.contains(range_of<F>(e))) return split_leaf(p, op, copy_of(e), word);
    if (!p.compare_exchange(SyncPoint::change, e, word, wanted)) return Visit::again;
    op.replaced_in_primary(e, word, Operation<P>::DirtyBit::kept);
    changed_pages += entry_bytes<F>(e.level) / page_bytes;
    return Visit::next;
  };
  const auto quick = [&](EntryRef e, u64 end) {
    return detail::protect_pages(p, op, leaf_rights, e, end, changed_pages);
  };
  const Error error = change_entries(p, object, range, change, quick);
  op.finish();
  if (error != Error::none) return error;
  return changed_pages;
}

// Translates an offset in the primary. needs_populate: a hole.
template <Platform P>
Expected<Leaf> lookup(P& p, SyncPoint at, const Tree& tree, u64 offset)
{
  return AllFormats::dispatch(tree.format, Expected<Leaf>{Error::invalid},
                              [&]<class F>() { return lookup_in<F>(p, at, tree, offset); });
}

}  // namespace morsel
