// SPDX-License-Identifier: GPL-2.0-or-later
//
// Split and merge: the size of leaves changes, and nothing that they map.
//
// A merge replaces a table by the one leaf that maps the same. Small changes inside the table do not touch the entry
// above it, so a merge marks that entry first, and waits until everybody who has not seen the mark has left:
//
//   table --mark--> table(merging) --grace period, compare--> leaf --flush--> the table is freed after another
//                        |
//                        +-- cancel_merge: a small change on its way through clears the mark, and the merge gives up
//
// Thread safety: any number at once. A merge is the one change that waits, and it blocks nobody. Invariants: I1, I2,
// I3 (the table is freed, not its frames), I10 (refused where hardware walks the primary by tables of its own).
// Source: design of the protocol, "Two mutators": split, merge.
#pragma once
#include "engine/morsel/change.hpp"

namespace morsel {

// Replaces the leaves of `range` that are larger than those of `leaf_level` by tables of smaller ones. Nothing that a
// walker can do changes, so views keep the leaves that they have. unaligned, out_of_range, invalid, frozen, no_memory
// or busy (what was split stays so), corrupt.
template <Platform P>
Status split(P& p, Object& object, Range range, Level leaf_level)
{
  if (const Status s = check_range(p, object, range, 0); !s) return s;
  const ChangeSection section(p, object);
  if (section.frozen()) return Error::frozen;
  Operation<P> op(p, object, range, section.inside());
  const Error error =
      change_entries(p, object, range, [&](const EntryRef& e, u64 word, EntryKind kind) -> Expected<Visit> {
        if (kind == EntryKind::hole || e.level <= leaf_level) return Visit::next;
        return kind == EntryKind::moving ? cancel_move(p, e, word) : split_leaf(p, op, e, word);
      });
  op.finish_primary();
  return error == Error::none ? Status{} : Status{error};
}

namespace detail {

// The leaf that maps what the table maps; 0 if there is none: a hole, a move, frames that do not lie side by side or
// not on their natural boundary, rights or marks that differ. Accessed or dirty if one of them is.
template <Platform P>
u64 leaf_of_table(P& p, const EntryRef& above, PhysAddr table)
{
  using F = PrimaryFormat;
  constexpr u64 seen = F::accessed_bit | F::dirty_bit;
  const auto level = static_cast<Level>(above.level - 1);
  u64* const words = p.words(table);
  const u64 step = entry_bytes<F>(level);
  u64 first = 0, gathered = 0;
  for (u64 i = 0; i < table_entries<F>(level); ++i) {
    const EntryRef e{words + i, above.offset + i * step, above.tree, level};
    const u64 word = p.load(SyncPoint::load, e);
    if (F::kind(word, level) != EntryKind::leaf) return 0;
    if (i == 0) first = word & ~seen;
    if ((word & ~seen) != first + i * step) return 0;
    gathered |= word & seen;
  }
  const PhysAddr frame = F::address(first, level);
  if (!is_aligned(frame.value, entry_bytes<F>(above.level)) || !frames_are_one(p, frame, above.level)) return 0;
  const LeafAttributes attributes{F::access(first, level), (gathered & F::accessed_bit) != 0,
                                  (gathered & F::dirty_bit) != 0};
  return F::make_leaf(frame, above.level, attributes) | (first & software::leaf_marks);
}

// One merge of an object is under way at a time: so a mark that is met after the grace period is the one that was set
// before it.
template <Platform P>
class MergeTurn {
 public:
  MergeTurn(P& p, Object& object) : p_(p), object_(object)
  {
    p_.add(SyncPoint::mark, primary_tree, object_.merging, +1);
    mine_ = p_.read(SyncPoint::mark, primary_tree, object_.merging) == 1;
  }
  ~MergeTurn() { p_.add(SyncPoint::mark, primary_tree, object_.merging, -1); }
  MergeTurn(const MergeTurn&) = delete;
  MergeTurn& operator=(const MergeTurn&) = delete;
  bool mine() const { return mine_; }

 private:
  P& p_;
  Object& object_;
  bool mine_ = false;
};

inline constexpr u64 merging_mark = software::merging_mask & (0 - software::merging_mask);

// Tables that bear the mark.
struct MarkedTables {
  struct Marked {
    EntryRef entry;
    u64 word = 0;  // with the mark
  };
  std::array<Marked, 32> tables{};
  u32 count = 0;
  bool full() const { return count == tables.size(); }
};

// Marks tables of leaves that could become leaves of `level`. The offset that it came to.
template <Platform P>
u64 mark_tables(P& p, Object& object, Range range, Level level, MarkedTables& marked)
{
  using F = PrimaryFormat;
  u64 reached = range.end;
  visit_range<F>(p, SyncPoint::find, object.primary, range, [&](const EntryRef& e, u64 word, EntryKind kind) {
    if (kind != EntryKind::table || is_shared(word)) return Visit::next;
    if (e.level > level) return Visit::descend;
    if ((word & software::merging_mask) || !leaf_of_table(p, e, F::address(word, e.level))) return Visit::next;
    if (marked.full()) return reached = e.offset, Visit::stop;
    const u64 with_mark = word | merging_mark;
    if (!p.compare_exchange(SyncPoint::mark, e, word, with_mark)) return Visit::again;
    marked.tables[marked.count++] = {e, with_mark};
    return Visit::next;
  });
  return reached;
}

// After the grace period: replaces the tables that nobody changed meanwhile, or, if it is not over, none. Keeps in
// `marked` those that were.
template <Platform P>
void replace_marked(P& p, Object& object, Operation<P>& op, MarkedTables& marked, bool over)
{
  using F = PrimaryFormat;
  u32 replaced = 0;
  for (u32 i = 0; i < marked.count; ++i) {
    const u64 word = marked.tables[i].word;
    const EntryRef was = marked.tables[i].entry;
    // From the root again: the table that held the entry may be gone since.
    const Walked now = walk<F>(p, SyncPoint::find, object.primary, was.offset, was.level);
    if (now.entry.word != was.word || now.word != word) continue;
    const u64 leaf = op.primary_attached() || !over ? 0 : leaf_of_table(p, was, F::address(word, was.level));
    if (!p.compare_exchange(SyncPoint::change, was, word, leaf ? leaf : word & ~software::merging_mask) || !leaf)
      continue;
    op.replaced_in_primary(was, leaf, Operation<P>::DirtyBit::kept);
    marked.tables[replaced++] = marked.tables[i];
  }
  marked.count = replaced;
}

// When nobody reads in them any more; now, if `over` says so.
template <Platform P>
void discard_marked(P& p, const MarkedTables& marked, bool over)
{
  for (u32 i = 0; i < marked.count; ++i) {
    const EntryRef& e = marked.tables[i].entry;
    const PhysAddr table = PrimaryFormat::address(marked.tables[i].word, e.level);
    const auto level = static_cast<Level>(e.level - 1);
    if constexpr (requires { p.discard_table_later(primary_tree, level, table); })
      if (!over) {
        p.discard_table_later(primary_tree, level, table);
        continue;
      }
    p.discard_table(primary_tree, level, table);
  }
}

}  // namespace detail

// Replaces tables that lie wholly inside `range` by leaves of `leaf_level` (1: 2 MiB, 2: 1 GiB), where their frames
// lie side by side. Returns the number of leaves made. A table that somebody changes meanwhile stays. unaligned (to the
// leaf size), out_of_range, invalid; busy: processes may have tables of the object attached, which must stay, or
// another merge is under way; frozen or interrupted, perhaps on the way: what was merged so far stays.
template <Platform P>
Expected<u64> merge(P& p, Object& object, Range range, Level leaf_level)
{
  if (leaf_level == 0 || leaf_level > 2 || leaf_level > object.primary.root_level) return Error::invalid;
  if (const Status s = check_range(p, object, range, leaf_level); !s) return s.error();
  const detail::MergeTurn<P> turn(p, object);
  if (!turn.mine()) return Error::busy;
  u64 merged = 0;
  for (Range rest = range; !rest.empty();) {
    detail::MarkedTables marked;
    {
      const ChangeSection section(p, object);
      if (section.frozen()) return Error::frozen;
      Operation<P> op(p, object, rest, section.inside());
      if (op.primary_attached()) return op.finish_primary(), Error::busy;
      rest.start = detail::mark_tables(p, object, rest, leaf_level, marked);
    }
    if (marked.count == 0) continue;
    bool over = wait_for_grace(p);
    {
      const Range asked{marked.tables[0].entry.offset, rest.start};
      const ChangeSection section(p, object);
      if (section.frozen()) return Error::frozen;  // meanwhile: who froze it may have seen the tables already
      Operation<P> op(p, object, asked, section.inside());
      detail::replace_marked(p, object, op, marked, over);
      op.finish();
    }
    if (!over) return Error::interrupted;
    merged += marked.count;
    if (marked.count == 0) continue;
    over = wait_for_grace(p);  // fillers may still read in the tables
    detail::discard_marked(p, marked, over);
    if (!over) return Error::interrupted;
  }
  return merged;
}

}  // namespace morsel
