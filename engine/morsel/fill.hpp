// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fill: what happens after an access through a view missed. The filler reserves the view's entry, reads the primary
// *after* that, and publishes from the exact reservation; so either it sees a mutator's change, or the mutator sees the
// reservation (I1: Dekker's pattern, all accesses seq_cst).
//
//   hole ----reserve----> reserved(token) ----publish----> leaf
//   leaf ----reserve----> reserved(token, stale) --flush, publish--> leaf     a right was missing
//   reserved: adopted     whoever publishes first wins; a lost CAS means that somebody else finished (I5, lock-free)
//
// The walk down goes level by level: a missing table is linked; a larger leaf without the right asked for is reserved,
// flushed and replaced by a table. The filler takes the primary's leaf size or a smaller one, never a larger.
//
// Thread safety: any number of fillers and mutators at once. Invariants: I1, I2, I3 (all inside one grace section), I4
// (a dirty bit that a reservation removed is carried after a flush, in the same section), I5, I10 (never publishes over
// a pending flush). Source: design of the protocol, "Fill", steps 0 to 4.
#pragma once
#include "engine/morsel/object.hpp"
#include "engine/morsel/operation.hpp"
#include "engine/table/mapper.hpp"
#include "engine/table/walker.hpp"

namespace morsel {

enum class FillOutcome : u8 {
  hit,     // the view allowed the access already: a spurious fault
  filled,  // this fill published the leaf
};

// The looks at the primary: made once, not for each view's format.
namespace detail {

// Step 0: the size of the primary's leaf, or the smallest.
template <Platform P>
Level peek(P& p, const Object& object, u64 offset)
{
  const Walked w = walk<PrimaryFormat>(p, SyncPoint::peek, object.primary, offset);
  return w.kind == EntryKind::leaf || w.kind == EntryKind::moving ? w.entry.level : Level{0};
}

// Step 3: from the root, after the reservation. A move is cancelled rather than waited for.
template <Platform P>
Walked read_primary(P& p, const Object& object, u64 offset, SyncPoint at = SyncPoint::read_primary)
{
  for (;;) {
    const Walked w = walk<PrimaryFormat>(p, at, object.primary, offset);
    if (w.kind != EntryKind::moving) return w;
    p.compare_exchange(SyncPoint::cancel_move, w.entry, w.word, leaf_of_moving(w.word, w.entry.level));
  }
}

}  // namespace detail

template <PageFormat F, Platform P>
class Filler {
 public:
  Filler(P& p, Object& object, View& view, u64 offset, Rights want)
      : p_(p), object_(object), view_(view.tree), offset_(offset), want_(want)
  {
  }

  // needs_populate: the primary has a hole there. access_denied: it maps the page without the right. no_memory,
  // corrupt. The caller leaves the section, does what is needed as an operation of its own, and fills again.
  Expected<FillOutcome> run()
  {
    for (;;) {
      settle_held();
      const Level level = peek();
      const Descent d = descend(level);
      if (d.step == Step::again) continue;
      if (d.step == Step::failed) return finish(d.error);
      if (d.step == Step::hit) return finish(FillOutcome::hit);
      const Attempt a = fill_entry(d.entry, d.word);
      if (a.step == Step::again) continue;
      if (a.step == Step::failed) return finish(a.error);
      return finish(FillOutcome::filled);
    }
  }

 private:
  enum class Step : u8 { go_on, again, hit, done, failed };
  struct Descent {
    Step step;
    EntryRef entry{};
    u64 word = 0;  // go_on: what stands there
    Error error = Error::none;
  };
  struct Attempt {
    Step step;
    Error error = Error::none;
  };

  template <class R>
  Expected<FillOutcome> finish(R result)
  {
    settle_held();
    return result;
  }

  bool suffices(u64 word, Level level) const { return F::access(word, level).includes(want_); }

  // A lost reservation's dirty bit: its flush is this filler's own.
  void settle_held()
  {
    if (held_.empty()) return;
    if (held_needs_flush_) flush(held_range_);
    held_.carry(p_);
    held_needs_flush_ = false;
    held_range_ = {};
  }
  void hold_dirty(const EntryRef& e, u64 leaf)
  {
    if (!F::may_be_dirty(leaf, e.level)) return;
    if (held_.full()) settle_held();
    held_.hold(F::address(leaf, e.level), e.level);
    held_needs_flush_ = true;
    held_range_ = hull(held_range_, range_of<F>(e));
  }
  void flush(Range range)
  {
    p_.flush(SyncPoint::flush, {view_.id, range});
    if (range.contains(held_range_)) held_needs_flush_ = false;
  }

  // Step 0: a hint at which level to reserve.
  Level peek()
  {
    Level level = detail::peek(p_, object_, offset_);
    while (level > 0 && !F::levels[level].leaf_allowed) --level;
    return level;
  }

  // Step 1: down to the entry at `level`, or below it where the view has a table already.
  Descent descend(Level wanted)
  {
    PhysAddr table = view_.root;
    for (Level level = view_.root_level;; --level) {
      const EntryRef e = entry_in<F>(p_, view_.id, table, level, offset_);
      u64 word = p_.load(level == wanted ? SyncPoint::load : SyncPoint::descend, e);
      EntryKind kind = F::kind(word, level);
      if (kind == EntryKind::malformed || kind == EntryKind::moving) return {Step::failed, e, word, Error::corrupt};
      if (kind == EntryKind::leaf && suffices(word, level)) return {Step::hit, e, word};
      if (kind != EntryKind::table) {
        if (level <= wanted) return {Step::go_on, e, word};
        const Descent linked = link(e, word, kind);
        if (linked.step != Step::go_on) return linked;
        word = linked.word;
      }
      table = F::address(word, level);
    }
  }

  // A table where the view has none yet. A larger leaf or somebody's larger reservation is taken away like any leaf.
  Descent link(const EntryRef& e, u64 word, EntryKind kind)
  {
    if (kind == EntryKind::leaf) {
      const u64 reservation = software::make_reserved(p_.token(), software::Stale::yes);
      if (!p_.compare_exchange(SyncPoint::reserve, e, word, reservation)) return {Step::again};
      hold_dirty(e, word);
      word = reservation;
      kind = EntryKind::reserved;
    }
    if (kind == EntryKind::reserved && software::is_stale(word)) flush(range_of<F>(e));
    const auto linked = link_table<F>(p_, SyncPoint::link, e, word);
    if (!linked) {
      if (kind == EntryKind::reserved) p_.compare_exchange(SyncPoint::undo, e, word, 0);
      return {Step::failed, e, word, linked.error()};
    }
    return *linked ? Descent{Step::go_on, e, *linked} : Descent{Step::again};
  }

  // Steps 2 to 4 on one entry.
  Attempt fill_entry(const EntryRef& e, u64 word)
  {
    const EntryKind kind = F::kind(word, e.level);
    u64 old_leaf = 0;
    if (kind != EntryKind::reserved) {  // else adopt it: go on with another's reservation as if it were ours
      const auto stale = kind == EntryKind::leaf ? software::Stale::yes : software::Stale::no;
      const u64 reservation = software::make_reserved(p_.token(), stale);
      if (!p_.compare_exchange(SyncPoint::reserve, e, word, reservation)) return {Step::again};
      if (kind == EntryKind::leaf) {
        old_leaf = word;
        hold_dirty(e, word);
      }
      word = reservation;
    }
    const Walked primary = detail::read_primary(p_, object_, offset_);
    if (primary.kind != EntryKind::leaf) {
      undo(e, word);
      return {Step::failed, primary.kind == EntryKind::malformed ? Error::corrupt : Error::needs_populate};
    }
    const Rights allowed = F::reduce(primary.rights);
    if (!allowed.includes(want_)) {
      undo(e, word);
      return {Step::failed, Error::access_denied};
    }
    if (primary.entry.level < e.level) {  // the primary has smaller leaves than it had
      undo(e, word);
      return {Step::again};
    }
    return publish(e, word, old_leaf, primary, allowed);
  }

  void undo(const EntryRef& e, u64 reservation)
  {
    if (software::is_stale(reservation)) flush(range_of<F>(e));
    p_.compare_exchange(SyncPoint::undo, e, reservation, 0);
  }

  // Step 4. A pure upgrade (same frame, size and memory type, no right lost) needs no flush of its own: what walkers
  // cache of the old leaf stays true. It puts the accessed and dirty bits back that the reservation removed.
  Attempt publish(const EntryRef& e, u64 reservation, u64 old_leaf, const Walked& primary, Rights allowed)
  {
    const u64 distance = e.offset - primary.entry.offset;
    const PhysAddr frame = PrimaryFormat::address(primary.word, primary.entry.level) + distance;
    u64 leaf = F::make_leaf(frame, e.level, {allowed, true, false});
    const u64 type = F::memory_type_mask(e.level);
    const bool pure_upgrade = old_leaf != 0 && F::address(old_leaf, e.level) == frame &&
                              allowed.includes(F::access(old_leaf, e.level)) && (old_leaf & type) == (leaf & type);
    if (pure_upgrade) leaf |= old_leaf & (F::accessed_bit | F::dirty_bit);
    const bool others_flush_pending =
        F::break_before_make && p_.read(SyncPoint::read_pending, view_.id, view_.pending) != 0;
    if ((software::is_stale(reservation) && !pure_upgrade) || others_flush_pending) flush(range_of<F>(e));
    if (!p_.compare_exchange(SyncPoint::publish, e, reservation, leaf)) return {Step::again};
    if (pure_upgrade) held_needs_flush_ = false;  // the bit stands in the leaf again, and is carried besides
    if constexpr (F::caches_non_present) flush(range_of<F>(e));
    return {Step::done};
  }

  P& p_;
  Object& object_;
  Tree& view_;
  const u64 offset_;
  const Rights want_;
  HeldDirty held_;
  Range held_range_;
  bool held_needs_flush_ = false;
};

// Makes the view translate `offset` (a byte in the object) with the right `want`, if the primary allows it.
// out_of_range: behind the object's end. invalid: no right asked for. Called inside a grace section in which the view
// was found.
template <Platform P>
Expected<FillOutcome> fill_in_section(P& p, Object& object, View& view, u64 offset, Rights want)
{
  return AllFormats::dispatch(view.tree.format, Expected<FillOutcome>{Error::invalid},
                              [&]<class F>() -> Expected<FillOutcome> {
                                if (want.none()) return Error::invalid;
                                if (offset >= p.load_word(SyncPoint::read_size, object.bytes))
                                  return Error::out_of_range;
                                return Filler<F, P>(p, object, view, offset, want).run();
                              });
}

// The same for a view that the caller keeps from being dropped.
template <Platform P>
Expected<FillOutcome> fill(P& p, Object& object, View& view, u64 offset, Rights want)
{
  GraceSection<P> section(p);
  return fill_in_section(p, object, view, offset, want);
}

// The same by the view's number, for a caller that does not: not_found if it is not on the list (any more).
template <Platform P>
Expected<FillOutcome> fill(P& p, Object& object, TreeId number, u64 offset, Rights want)
{
  if (number == primary_tree || number > max_views) return Error::not_found;
  GraceSection<P> section(p);
  void* const view = p.load_pointer(SyncPoint::read_list, object.views[number - 1]);
  if (!view) return Error::not_found;
  return fill_in_section(p, object, *static_cast<View*>(view), offset, want);
}

}  // namespace morsel
