// SPDX-License-Identifier: GPL-2.0-or-later
//
// One mutator's duties towards every flush domain, in the protocol's order. A mutator changes the primary (or empties a
// view) and tells the Operation what it removed; finish() then does the rest:
//
//   0 enter; raise the primary's pending count if hardware walks it      constructor
//   1 change                                                             the mutator, with took_from_primary()
//   2 read the list of views, after the change                           finish()
//   3 in each view: raise its pending count, exchange the entries        invalidate_view()
//   4 one flush for each domain, then collect, then lower the count      flush_tree()
//   5 carry dirty bits, retire what was unlinked, leave                  finish(), destructor
//
// If a change turned out to change nothing, steps 2 to 4 are done all the same: another operation may be between its
// change and its flush (skip_noop).
//
// Thread safety: used by one actor; the trees are shared. Invariants: I1, I2 (Dekker: the change is seq_cst and comes
// before the loads of the walk of the views), I3 (retire after the flush), I4 (carry after the flush that followed the
// removal), I8 (the count is raised only where something is found; one exchange for each entry, one flush for each
// view).
#pragma once
#include "engine/morsel/marks.hpp"
#include "engine/morsel/object.hpp"
#include "engine/table/visit.hpp"

namespace morsel {

// Dirty frames whose bit was removed and is not carried yet, as runs of pages that lie side by side. Bounded: whoever
// holds more flushes in between.
class HeldDirty {
 public:
  bool full() const { return count_ == runs_.size(); }
  bool empty() const { return count_ == 0; }
  // Not when full.
  void hold(PhysAddr frame, Level level)
  {
    const Range added{frame.value, frame.value + entry_bytes<PrimaryFormat>(level)};
    for (u32 i = count_; i-- > 0;)  // the last run is the likeliest neighbour
      if (added.start <= runs_[i].end && runs_[i].start <= added.end) {
        runs_[i] = hull(runs_[i], added);
        return;
      }
    runs_[count_++] = added;
  }
  template <Platform P>
  void carry(P& p)
  {
    for (u32 i = 0; i < count_; ++i)
      for (u64 page = runs_[i].start; page < runs_[i].end; page += page_bytes)
        p.carry(SyncPoint::carry, PhysAddr{page}, 0);
    count_ = 0;
  }

 private:
  std::array<Range, 32> runs_{};  // physical addresses
  u32 count_ = 0;
};

template <Platform P>
class Operation {
 public:
  enum class Changes : u8 {
    primary,
    view_only,
    frozen_primary,  // by the one who freezes it
  };

  Operation(P& p, Object& object, Range asked, Changes changes = Changes::primary)
      : p_(p), object_(object), asked_(asked)
  {
    p_.enter();
    if (changes == Changes::view_only) return;
    frozen_ = p_.read(SyncPoint::read_frozen, primary_tree, object_.frozen) != 0;
    if (frozen_ && changes == Changes::primary) return;
    primary_attached_ = p_.read(SyncPoint::read_pending, primary_tree, object_.primary.attached) != 0;
    if (primary_attached_) raise(object_.primary, needs_[0]);
  }
  ~Operation() { p_.leave(); }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // The object is the base of clones: the mutator goes away without a change and without finish().
  bool frozen() const { return frozen_; }
  bool primary_attached() const { return primary_attached_; }
  u64 changed_pages() const { return changed_pages_; }
  void count_changed(u64 bytes) { changed_pages_ += bytes >> page_lg2; }

  // The mutator removed `word` from the primary's entry `e`.
  void took_from_primary(const EntryRef& e, u64 word)
  {
    using F = PrimaryFormat;
    switch (F::kind(word, e.level)) {
      case EntryKind::table:
        need(object_.primary, range_of<F>(e));
        if (is_shared(word)) {
          collect_table<F>(primary_tree, static_cast<Level>(e.level - 1), F::address(word, e.level));  // only counts
          break;
        }
        p_.note_table(retired_, primary_tree, static_cast<Level>(e.level - 1), F::address(word, e.level));
        break;
      case EntryKind::leaf:
        replaced_in_primary(e, word);
        if (!is_copy_on_write(word)) retire_frame(F::address(word, e.level), e.level);
        count_changed(entry_bytes<F>(e.level));
        break;
      case EntryKind::moving: {  // its dirty bit is held by the mover, its flush is pending
        const software::Moving m = software::read_moving(word);
        if (!m.copy_on_write) retire_frame(m.frame, e.level);
        count_changed(entry_bytes<F>(e.level));
        break;
      }
      default: break;
    }
  }
  // A frame that is in no entry of the primary any more.
  void retire_frame(PhysAddr frame, Level level) { p_.note_frame(retired_, frame, level); }

  // The mutator replaced the leaf `word` and dropped its dirty bit, if `hold` says so; the frame lives on.
  enum class DirtyBit : u8 { removed, kept };
  void replaced_in_primary(const EntryRef& e, u64 word, DirtyBit dirty = DirtyBit::removed)
  {
    using F = PrimaryFormat;
    need(object_.primary, range_of<F>(e));
    if (dirty == DirtyBit::removed && F::may_be_dirty(word, e.level)) hold(F::address(word, e.level), e.level);
  }

  // The mutator went no further than this.
  void narrow(Range reached) { asked_ = reached; }

  // Steps 2 to 5 for a change of the primary.
  void finish()
  {
    synchronise();
    complete();
  }

  // The same without the end of step 5: for what may only be done when nobody can reach the old entries any more.
  void synchronise()
  {
    std::array<View*, max_views> listed{};
    for (std::size_t i = 0; i < max_views; ++i)
      listed[i] = static_cast<View*>(p_.load_pointer(SyncPoint::read_list, object_.views[i]));
    for (View* view : listed)
      if (view) invalidate_view(view->tree);
    if (primary_attached_)
      flush_tree(object_.primary);
    else
      collect(object_.primary);
    for (View* view : listed)
      if (view) flush_tree(view->tree);
    held_.carry(p_);
  }

  // For a change that alters no translation: the primary's own domain is all that has to know.
  void finish_primary()
  {
    if (primary_attached_) flush_tree(object_.primary);
    complete();
  }

  // Steps 3 to 5 for one view whose contents go, without a change of the primary.
  void finish_view(Tree& view)
  {
    invalidate_view(view);
    flush_tree(view);
    complete();
  }

  // For a view that goes as a whole: its root is retired with everything that fillers may still link into it.
  void retire_root(const Tree& view) { p_.note_table(retired_, view.id, view.root_level, view.root); }
  void invalidate_all(Tree& view)
  {
    raise(view, needs_[view.id]);
    invalidate_view(view);
    need(view, asked_);
    flush_tree(view);
  }
  void complete()
  {
    held_.carry(p_);
    p_.retire(SyncPoint::retire, retired_);
  }

 private:
  struct Need {
    Range flush;          // hull of what was removed
    bool raised = false;  // this operation counts in the tree's pending count
  };

  void raise(Tree& tree, Need& n)
  {
    if (n.raised) return;
    p_.add(SyncPoint::pend, tree.id, tree.pending, +1);
    n.raised = true;
  }
  void need(const Tree& tree, Range range) { needs_[tree.id].flush = hull(needs_[tree.id].flush, range); }

  // When there are too many to hold, what was removed so far is flushed in between.
  void hold(PhysAddr frame, Level level)
  {
    if (held_.full()) {
      for (TreeId id = 0; id <= max_views; ++id)
        if (!needs_[id].flush.empty()) p_.flush(SyncPoint::flush, {id, needs_[id].flush});
      held_.carry(p_);
    }
    held_.hold(frame, level);
  }

  void invalidate_view(Tree& view)
  {
    AllFormats::dispatch(view.format, false, [&]<class F>() {
      const bool keep_tables = p_.read(SyncPoint::read_pending, view.id, view.attached) != 0;
      visit_range<F>(p_, SyncPoint::walk_view, view, asked_, [&](const EntryRef& e, u64, EntryKind kind) {
        if (kind == EntryKind::hole) return Visit::next;
        if (kind == EntryKind::table && (keep_tables || !asked_.contains(range_of<F>(e)))) return Visit::descend;
        raise(view, needs_[view.id]);
        return invalidate_entry<F>(view, e, keep_tables);
      });
      return true;
    });
  }

  // Exchange the entry to a hole. What the exchange returns decides, not what was seen before.
  template <PageFormat F>
  Visit invalidate_entry(Tree& view, const EntryRef& e, bool keep_tables)
  {
    if (keep_tables) {  // a table may have come meanwhile, and must not be unlinked
      const u64 word = p_.load(SyncPoint::walk_view, e);
      if (F::kind(word, e.level) == EntryKind::table) return Visit::again;
      if (!p_.compare_exchange(SyncPoint::invalidate, e, word, 0)) return Visit::again;
      took_from_view<F>(view, e, word);
      return Visit::next;
    }
    took_from_view<F>(view, e, p_.exchange(SyncPoint::invalidate, e, 0));
    return Visit::next;
  }

  template <PageFormat F>
  void took_from_view(Tree& view, const EntryRef& e, u64 word)
  {
    switch (F::kind(word, e.level)) {
      case EntryKind::table:
        need(view, range_of<F>(e));
        p_.note_table(retired_, view.id, static_cast<Level>(e.level - 1), F::address(word, e.level));
        break;
      case EntryKind::leaf:
        need(view, range_of<F>(e));
        if (F::may_be_dirty(word, e.level)) hold(F::address(word, e.level), e.level);
        break;
      case EntryKind::reserved:
        if (software::is_stale(word)) need(view, range_of<F>(e));
        break;
      case EntryKind::malformed: need(view, range_of<F>(e)); break;  // who knows what a walker made of it
      case EntryKind::hole:
      case EntryKind::moving: break;
    }
  }

  // Another operation may have removed entries of our range here and not flushed yet: then its flush is ours too.
  void flush_tree(Tree& tree)
  {
    Need& n = needs_[tree.id];
    const u32 mine = n.raised ? 1 : 0;
    if (p_.read(SyncPoint::read_pending, tree.id, tree.pending) > mine) need(tree, asked_);
    if (!n.flush.empty()) p_.flush(SyncPoint::flush, {tree.id, n.flush});
    collect(tree);
    if (n.raised) p_.add(SyncPoint::unpend, tree.id, tree.pending, -1);
    n = {};
  }

  // After the flush: the dirty bits that walkers left in unlinked tables.
  void collect(const Tree& tree)
  {
    p_.for_each_table(retired_, [&](TreeId id, Level level, PhysAddr table) {
      if (id != tree.id) return;
      AllFormats::dispatch(tree.format, false, [&]<class F>() {
        collect_table<F>(id, level, table);
        return true;
      });
    });
  }
  template <PageFormat F>
  void collect_table(TreeId id, Level level, PhysAddr table)
  {
    const Range whole{0, table_span<F>(level)};
    auto carry_dirty = [&](const EntryRef& e, u64 word, EntryKind kind) {
      if (kind == EntryKind::table) return Visit::descend;
      if (kind != EntryKind::leaf) return Visit::next;
      if (F::may_be_dirty(word, e.level)) p_.carry(SyncPoint::carry, F::address(word, e.level), e.level);
      if (id == primary_tree) count_changed(entry_bytes<F>(e.level));
      return Visit::next;
    };
    visit_table<F>(p_, SyncPoint::collect, id, table, level, whole, carry_dirty);
  }

  P& p_;
  Object& object_;
  Range asked_;
  bool frozen_ = false;
  bool primary_attached_ = false;
  u64 changed_pages_ = 0;
  std::array<Need, max_views + 1> needs_{};
  HeldDirty held_;
  typename P::Retired retired_{};
};

}  // namespace morsel
