// SPDX-License-Identifier: GPL-2.0-or-later
//
// One mutator's duties towards every flush domain, in the protocol's order. A mutator changes the primary (or empties a
// view) and tells the Operation what it removed; finish() then does the rest:
//
//   0 enter                                                              ChangeSection
//   0 raise the primary's pending count if hardware walks it             constructor
//   1 change                                                             the mutator, with took_from_primary()
//   2 read the list of views, after the change                           synchronise()
//   3 in each view: raise its pending count, exchange the entries        invalidate_view()
//   4 one flush for each domain, then collect, then lower the count      flush_domain()
//   5 carry dirty bits, retire what was unlinked, leave                  finish(), ~ChangeSection
//
// If a change turned out to change nothing, steps 2 to 4 are done all the same: another operation may be between its
// change and its flush (skip_noop).
//
// Thread safety: used by one actor; the trees are shared. Invariants: I1, I2 (Dekker: the change is seq_cst and comes
// before the loads of the walk of the views), I3 (retire after the flush), I4 (carry after the flush that followed the
// removal), I8 (the count is raised only where something is found; one exchange for each entry, one flush for each
// view).
#pragma once
#include <span>
#include <utility>

#include "engine/morsel/marks.hpp"
#include "engine/morsel/object.hpp"
#include "engine/table/visit.hpp"

namespace morsel {

// Dirty frames whose bit was removed and is not carried yet, as runs of pages that lie side by side. Bounded: whoever
// holds more flushes in between.
class HeldDirty {
 public:
  static constexpr std::size_t capacity = 32;
  bool full() const { return count_ == capacity; }
  bool empty() const { return count_ == 0; }
  // Not when full.
  void hold(PhysAddr frame, Level level)
  {
    const u64 start = frame.value, end = frame.value + entry_bytes<PrimaryFormat>(level);
    for (u32 i = count_; i-- > 0;) {  // the last run is the likeliest neighbour
      if (end < runs_[i].start || runs_[i].end < start) continue;
      if (start < runs_[i].start) runs_[i].start = start;
      if (end > runs_[i].end) runs_[i].end = end;
      return;
    }
    runs_[count_++] = {start, end};
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
  struct Run {
    u64 start, end;  // physical addresses
  };
  // The first count_; the others are never read, and no operation pays for setting them.
  std::array<Run, capacity> runs_;
  u32 count_ = 0;
};

enum class Changes : u8 {
  primary,
  view_only,
  frozen_primary,  // by the one who freezes it
};

// What is known inside the section of a change: a value, so that the section itself stays in registers.
struct InSection {
  bool primary_attached = false;
};

// Step 0: the grace section of a change, and what it has to know before. Enough for a change of one page that turns out
// to concern nobody else; anything more is an Operation's business.
template <Platform P>
class ChangeSection {
 public:
  ChangeSection(P& p, Object& object, Changes changes = Changes::primary) : p_(p)
  {
    p_.enter();
    if (changes == Changes::view_only) return;
    frozen_ = p_.read(SyncPoint::read_frozen, primary_tree, object.frozen) != 0;
    if (frozen_ && changes == Changes::primary) return;
    primary_attached_ = p_.read(SyncPoint::read_pending, primary_tree, object.primary.attached) != 0;
  }
  ~ChangeSection() { p_.leave(); }
  ChangeSection(const ChangeSection&) = delete;
  ChangeSection& operator=(const ChangeSection&) = delete;

  // The object is the base of clones: the mutator goes away without a change.
  bool frozen() const { return frozen_; }
  bool primary_attached() const { return primary_attached_; }
  InSection inside() const { return {primary_attached_}; }

 private:
  P& p_;
  bool frozen_ = false;
  bool primary_attached_ = false;
};

template <Platform P>
class Operation {
 public:
  // As long as the section lasts, which must not be that of a frozen object unless it is the one who freezes it.
  Operation(P& p, Object& object, Range asked, InSection section)
      : p_(p),
        object_(object),
        asked_{asked.start, asked.end},
        primary_attached_(section.primary_attached),
        primary_{&object.primary}
  {
    if (primary_attached_) raise(primary_);
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  Object& object() { return object_; }
  bool primary_attached() const { return primary_attached_; }
  u64 changed_pages() const { return changed_pages_; }
  void count_changed(u64 bytes) { changed_pages_ += bytes >> page_lg2; }

  // The mutator removed `word` from the primary's entry `e`.
  [[gnu::always_inline]] void took_from_primary(const EntryRef& e, u64 word)
  {
    using F = PrimaryFormat;
    switch (F::kind(word, e.level)) {
      case EntryKind::table:
        if (primary_attached_) need(primary_, range_of<F>(e));
        if (is_shared(word)) {
          collect_table<F>(primary_tree, static_cast<Level>(e.level - 1), F::address(word, e.level));  // only counts
          break;
        }
        note_table(primary_tree, static_cast<Level>(e.level - 1), F::address(word, e.level));
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
  // For a loop that takes clean pages: it keeps the list of what is retired, in registers, until it gives it back.
  typename P::Retired lend_retired() { return std::exchange(retired_, typename P::Retired{}); }
  void took_clean_pages(Range pages, typename P::Retired&& retired)
  {
    retired_ = std::move(retired);
    if (pages.empty()) return;
    if (primary_attached_) need(primary_, pages);
    count_changed(pages.bytes());
  }
  // A frame that is in no entry of the primary any more.
  void retire_frame(PhysAddr frame, Level level) { p_.note_frame(retired_, frame, level); }

  // The mutator replaced the leaf `word` and dropped its dirty bit, if `hold` says so; the frame lives on.
  enum class DirtyBit : u8 { removed, kept };
  [[gnu::always_inline]] void replaced_in_primary(const EntryRef& e, u64 word, DirtyBit dirty = DirtyBit::removed)
  {
    using F = PrimaryFormat;
    if (primary_attached_) need(primary_, range_of<F>(e));
    if (dirty == DirtyBit::removed && F::may_be_dirty(word, e.level)) hold(F::address(word, e.level), e.level);
  }

  // The mutator went no further than this.
  void narrow(Range reached) { asked_ = reached; }

  // Steps 2 to 5 for a change of the primary.
  void finish() { finish(p_.load_word(SyncPoint::read_list, object_.slots)); }
  // Steps 3 to 5, if the list of views was read after the change.
  void finish(u64 slots)
  {
    synchronise(slots);
    complete();
  }

  // Steps 2 to 5 without the end of 5: for what may only be done when nobody can reach the old entries any more.
  void synchronise() { synchronise(p_.load_word(SyncPoint::read_list, object_.slots)); }
  void synchronise(u64 slots)
  {
    if (slots != 0) return synchronise_views(slots);
    settle_primary();
    held_.carry(p_);
  }

  // For a change that alters no translation: the primary's own domain is all that has to know.
  void finish_primary()
  {
    if (primary_attached_) flush_domain(primary_);
    complete();
  }

  // Steps 3 to 5 for one view whose contents go, without a change of the primary.
  void finish_view(Tree& view)
  {
    Domain domain{&view};
    const Listed listed(views_, {&domain, 1});
    invalidate_view(domain);
    flush_domain(domain);
    complete();
  }

  // For a view that goes as a whole: its root is retired with everything that fillers may still link into it.
  void retire_root(const Tree& view) { note_table(view.id, view.root_level, view.root); }
  void invalidate_all(Tree& view)
  {
    Domain domain{&view};
    const Listed listed(views_, {&domain, 1});
    raise(domain);
    invalidate_view(domain);
    domain.flush = hull(domain.flush, asked_);
    flush_domain(domain);
  }
  void complete()
  {
    held_.carry(p_);
    p_.retire(SyncPoint::retire, retired_);
  }

 private:
  void note_table(TreeId tree, Level level, PhysAddr table)
  {
    unlinked_tables_ = true;
    p_.note_table(retired_, tree, level, table);
  }

  // A flush domain, and what it needs from this operation.
  struct Domain {
    Tree* tree = nullptr;
    Range flush{};        // hull of what was removed
    bool raised = false;  // this operation counts in the tree's pending count
  };
  // The views are known to hold() for a scope.
  class Listed {
   public:
    Listed(std::span<Domain>& views, std::span<Domain> domains) : views_(views) { views_ = domains; }
    ~Listed() { views_ = {}; }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;

   private:
    std::span<Domain>& views_;
  };

  [[gnu::noinline]] void synchronise_views(u64 slots)
  {
    std::array<Domain, max_views> domains;
    std::size_t count = 0;
    for (u64 i = 0; i < slots; ++i)
      if (void* const view = p_.load_pointer(SyncPoint::read_list, object_.views[i]))
        domains[count++].tree = &static_cast<View*>(view)->tree;
    const Listed listed(views_, std::span(domains).first(count));
    for (Domain& view : views_) invalidate_view(view);
    settle_primary();
    for (Domain& view : views_) flush_domain(view);
    held_.carry(p_);
  }
  void settle_primary()
  {
    if (primary_attached_)
      flush_domain(primary_);
    else
      collect(object_.primary);
  }

  void raise(Domain& domain)
  {
    if (domain.raised) return;
    p_.add(SyncPoint::pend, domain.tree->id, domain.tree->pending, +1);
    domain.raised = true;
  }
  void need(Domain& domain, Range range)
  {
    if (domain.flush.end == range.start)  // the usual way: one entry after the other
      domain.flush.end = range.end;
    else
      domain.flush = hull(domain.flush, range);
  }
  void flush(const Domain& domain)
  {
    if (!domain.flush.empty()) p_.flush(SyncPoint::flush, {domain.tree->id, domain.flush});
  }

  // When there are too many to hold, what was removed so far is flushed in between.
  [[gnu::noinline]] void hold(PhysAddr frame, Level level)
  {
    if (held_.full()) {
      flush(primary_);
      for (const Domain& view : views_) flush(view);
      held_.carry(p_);
    }
    held_.hold(frame, level);
  }

  void invalidate_view(Domain& view)
  {
    Tree& tree = *view.tree;
    AllFormats::dispatch(tree.format, false, [&]<class F>() {
      const bool keep_tables = p_.read(SyncPoint::read_pending, tree.id, tree.attached) != 0;
      visit_range<F>(p_, SyncPoint::walk_view, tree, asked_, [&](const EntryRef& e, u64 word, EntryKind kind) {
        if (kind == EntryKind::hole) return Visit::next;
        if (kind == EntryKind::table && (keep_tables || !asked_.contains(range_of<F>(e)))) return Visit::descend;
        raise(view);
        if (!keep_tables)  // what the exchange returns decides, not what was seen before
          took_from_view<F>(view, e, p_.exchange(SyncPoint::invalidate, e, 0));
        else if (p_.compare_exchange(SyncPoint::invalidate, e, word, 0))  // a table may have come meanwhile
          took_from_view<F>(view, e, word);
        else
          return Visit::again;
        return Visit::next;
      });
      return true;
    });
  }

  template <PageFormat F>
  [[gnu::always_inline]] void took_from_view(Domain& view, const EntryRef& e, u64 word)
  {
    const EntryKind kind = F::kind(word, e.level);
    if (kind == EntryKind::hole || (kind == EntryKind::reserved && !software::is_stale(word))) return;
    need(view, range_of<F>(e));  // of a malformed word too: who knows what a walker made of it
    if (kind == EntryKind::table)
      note_table(view.tree->id, static_cast<Level>(e.level - 1), F::address(word, e.level));
    if (kind == EntryKind::leaf && F::may_be_dirty(word, e.level)) hold(F::address(word, e.level), e.level);
  }

  // Another operation may have removed entries of our range here and not flushed yet: then its flush is ours too.
  void flush_domain(Domain& domain)
  {
    Tree& tree = *domain.tree;
    const u32 mine = domain.raised ? 1 : 0;
    if (p_.read(SyncPoint::read_pending, tree.id, tree.pending) > mine) need(domain, asked_);
    flush(domain);
    collect(tree);
    if (domain.raised) p_.add(SyncPoint::unpend, tree.id, tree.pending, -1);
    domain = {&tree};
  }

  // After the flush: the dirty bits that walkers left in unlinked tables.
  void collect(const Tree& tree)
  {
    if (!unlinked_tables_) return;
    p_.for_each_table(retired_, [&](TreeId id, Level level, PhysAddr table) {
      if (id != tree.id) return;
      AllFormats::dispatch(tree.format, false, [&]<class F>() {
        collect_table<F>(id, level, table);
        return true;
      });
    });
  }
  template <PageFormat F>
  [[gnu::noinline]] void collect_table(TreeId id, Level level, PhysAddr table)
  {
    const Range whole{0, table_span<F>(level)};
    auto carry_dirty = [&](const EntryRef& e, u64 word, EntryKind kind) {
      if (kind == EntryKind::table) return Visit::descend;
      if (kind != EntryKind::leaf && kind != EntryKind::moving) return Visit::next;
      if (kind == EntryKind::leaf && F::may_be_dirty(word, e.level))  // that of a moving page is held by its mover
        p_.carry(SyncPoint::carry, F::address(word, e.level), e.level);
      if (id == primary_tree) count_changed(entry_bytes<F>(e.level));
      return Visit::next;
    };
    visit_table<F>(p_, SyncPoint::collect, id, table, level, whole, carry_dirty);
  }

  P& p_;
  Object& object_;
  Range asked_;
  const bool primary_attached_;
  bool unlinked_tables_ = false;
  u64 changed_pages_ = 0;
  Domain primary_;
  std::span<Domain> views_;  // while they are invalidated and flushed
  HeldDirty held_;
  typename P::Retired retired_{};
};

}  // namespace morsel
