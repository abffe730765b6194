// SPDX-License-Identifier: GPL-2.0-or-later
//
// What all changes of the primary share: which ranges they accept, the words that stand in their way, and the split of
// a leaf that is larger than the range.
//
// Thread safety: any number of actors at once, each inside its Operation.
#pragma once
#include "engine/morsel/marks.hpp"
#include "engine/morsel/move_token.hpp"
#include "engine/morsel/operation.hpp"
#include "engine/table/mapper.hpp"
#include "engine/table/walker.hpp"

namespace morsel {

// A range that an operation on the object accepts: unaligned (to leaves of `granule`), invalid (empty), out_of_range.
template <Platform P>
Status check_range(P& p, Object& object, Range range, Level granule)
{
  const u64 step = entry_bytes<PrimaryFormat>(granule);
  if (!is_aligned(range.start, step) || !is_aligned(range.end, step)) return Error::unaligned;
  if (range.empty()) return Error::invalid;
  if (range.end > p.load_word(SyncPoint::read_size, object.bytes)) return Error::out_of_range;
  return {};
}

// A table of the base gives way to a copy of its own, whose leaves are copy on write and whose tables are shared. Only
// this table: what lies below it is shared until something there changes. no_memory.
template <Platform P>
Status unshare_table(P& p, EntryRef e, u64 word)
{
  using F = PrimaryFormat;
  const auto below = static_cast<Level>(e.level - 1);
  const auto table = p.allocate_table(primary_tree, below);
  if (!table) return table.error();
  const u64* const base = p.words(F::address(word, e.level));  // frozen: nobody changes it
  u64* const own = p.words(*table);
  for (u64 i = 0; i < table_entries<F>(below); ++i) own[i] = cloned_entry(base[i], below);
  (void)install_table<F>(p, SyncPoint::link_primary, e, word, *table);  // if not, somebody else has
  return {};
}

// Makes a move under way undone; the mover notices. Then the entry is to be looked at again.
template <Platform P>
[[gnu::noinline]] Visit cancel_move(P& p, EntryRef e, u64 word)
{
  p.compare_exchange(SyncPoint::cancel_move, e, word, leaf_of_moving(word, e.level));
  return Visit::again;
}

// Marks of a table entry that are cleared before anything in the table changes.
inline constexpr u64 table_marks = software::merging_mask | software::shared_bit;

namespace detail {

template <Platform P>
[[gnu::noinline]] Expected<Visit> open_table(P& p, EntryRef e, u64 word)
{
  if (word & software::merging_mask) {
    p.compare_exchange(SyncPoint::cancel_merge, e, word, word & ~software::merging_mask);
    return Visit::again;
  }
  const Status s = unshare_table(p, e, word);
  return s ? Expected<Visit>(Visit::again) : s.error();
}

}  // namespace detail

// The way into a table in which something is to be changed: the mark of a merge is cleared (the merger notices), a
// table of the base is replaced by a copy. no_memory.
template <Platform P>
[[gnu::always_inline]] inline Expected<Visit> enter_table(P& p, const EntryRef& e, u64 word)
{
  if (!(word & table_marks)) return Visit::descend;
  return detail::open_table(p, copy_of(e), word);
}

// The entry of a single page, a hole or a leaf, if there is nothing about it or on the way to it that a change would
// have to clear first, and no process has its table: what one call a page meets. Else `at` is null, and
// change_entries() goes the long way.
struct PlainPage {
  u64* at = nullptr;
  u64 word = 0;
};
namespace detail {

// From the table at level N, or from the root if that lies deeper.
template <Level N, Platform P>
[[gnu::always_inline]] inline PlainPage plain_page_below(P& p, const Tree& tree, PhysAddr table, u64 offset)
{
  using F = PrimaryFormat;
  if constexpr (N > 0)
    if (tree.root_level < N) return plain_page_below<N - 1>(p, tree, table, offset);
  const EntryRef e = entry_in<F>(p, tree.id, table, N, offset);
  const u64 word = p.load(SyncPoint::find, e);
  if constexpr (N > 0) {
    if ((word & (F::present | F::page_size | table_marks)) != F::present) return {};
    return plain_page_below<N - 1>(p, tree, F::address(word & ~F::page_size, N), offset);
  } else {
    return word == 0 || (word & F::present) ? PlainPage{e.word, word} : PlainPage{};
  }
}

}  // namespace detail

template <Platform P>
[[gnu::always_inline]] inline PlainPage find_plain_page(P& p, const Object& object, Range range,
                                                        InSection section)
{
  if (range.bytes() != page_bytes || section.primary_attached) return {};
  return detail::plain_page_below<top_level<PrimaryFormat>>(p, object.primary, object.primary.root, range.start);
}

// The rest of an operation that has taken `word` (or a hole) out of the entry of a plain page and found `slots` in the
// list of views. Returns the pages taken.
template <Platform P>
[[gnu::noinline]] u64 finish_page(P& p, Object& object, EntryRef e, u64 word, InSection section,
                                  u64 slots)
{
  Operation<P> op(p, object, range_of<PrimaryFormat>(e), section);
  op.took_from_primary(e, word);
  op.finish(slots);
  return op.changed_pages();
}

// Visits the entries of `range` that a change may be about: holes, leaves, moves under way. The visitor says what is
// next or why not: Expected<Visit> operator()(const EntryRef&, u64 word, EntryKind kind). Error::none, or why it ended.
template <Platform P, class Visitor, class QuickWay = NoQuickWay>
[[gnu::always_inline]] inline Error change_entries(P& p, Object& object, Range range, Visitor&& visitor,
                                                   const QuickWay& quick = {})
{
  Error error = Error::none;
  visit_range<PrimaryFormat>(p, SyncPoint::find, object.primary, range,
                             [&](const EntryRef& e, u64 word, EntryKind kind) __attribute__((always_inline)) {
                               Expected<Visit> next = Error::corrupt;
                               if (kind == EntryKind::table)
                                 next = enter_table(p, e, word);
                               else if (kind != EntryKind::malformed && kind != EntryKind::reserved)
                                 next = visitor(e, word, kind);
                               if (next) return *next;
                               error = next.error();
                               return Visit::stop;
                             },
                             quick);
  return error;
}

// One of the leaves, one size smaller, that together map what the leaf `word` maps; each inherits what it says.
constexpr u64 smaller_leaf(u64 word, Level level, u64 index)
{
  using F = PrimaryFormat;
  const auto below = static_cast<Level>(level - 1);
  const LeafAttributes attributes{F::access(word, level), (word & F::accessed_bit) != 0, (word & F::dirty_bit) != 0};
  return F::make_leaf(F::address(word, level) + index * entry_bytes<F>(below), below, attributes) |
         (word & software::leaf_marks);
}

// A private table of these leaves. no_memory.
template <Platform P>
Expected<PhysAddr> table_of_smaller_leaves(P& p, u64 word, Level level)
{
  const auto below = static_cast<Level>(level - 1);
  const auto table = p.allocate_table(primary_tree, below);
  if (!table) return table.error();
  u64* const words = p.words(*table);
  for (u64 i = 0; i < table_entries<PrimaryFormat>(below); ++i) words[i] = smaller_leaf(word, level, i);
  return table;
}

// Split the large leaf `word`. Where hardware walks the primary, no walker may hold the large and a small translation
// at once (I10): the entry goes through *moving*, with a flush between. Whether or not somebody else was faster, the
// entry is to be looked at again. no_memory, busy (no token for the move).
template <Platform P>
[[gnu::noinline]] Expected<Visit> split_leaf(P& p, Operation<P>& op, EntryRef e, u64 word)
{
  using F = PrimaryFormat;
  MoveToken<P> token(p, op.object());
  if (op.primary_attached() && !token.take()) return Error::busy;
  const auto table = table_of_smaller_leaves(p, word, e.level);
  if (!table) return table.error();
  u64 expected = word;
  if (op.primary_attached()) {
    expected = moving_of_leaf(word, e.level, token.number());
    if (!p.compare_exchange(SyncPoint::split, e, word, expected)) {
      p.discard_table(primary_tree, static_cast<Level>(e.level - 1), *table);
      return Visit::again;
    }
    p.flush(SyncPoint::flush, {primary_tree, range_of<F>(e)});
  }
  if (!install_table<F>(p, SyncPoint::split, e, expected, *table) && op.primary_attached())
    op.replaced_in_primary(e, word);  // cancelled: the leaf came back clean
  return Visit::again;
}

}  // namespace morsel
