// SPDX-License-Identifier: GPL-2.0-or-later
//
// Harvest: which pages were accessed and written since the last one. Bits are cleared in place, by compare-and-swap, in
// every tree that is walked; what was dirty goes to the frames' state after a flush, like any removed dirty bit,
// and is reported from there:
//
//   clear A, D in place --> flush --> carry --> leave, wait for a grace period --> fetch and clear the dirty log's bits
//
// The grace period is for those who removed a dirty bit before and have not carried it yet: a write that was complete
// when the harvest began is in its report (I4). A format whose hardware sets no dirty bit loses its write right
// instead, and the next write faults.
//
// Thread safety: any number at once; a page is in the report of one of them. Needs no pending count: whatever it
// leaves cached allows no more than before. Source: design of the protocol, "Accessed and dirty".
#pragma once
#include "engine/morsel/change.hpp"

namespace morsel {

// What a harvest tells. The order is that of the trees, not of the offsets; a page may be told twice.
template <class R>
concept HarvestReport = requires(R report, Range range)
{
  {report.accessed(range)};  // called inside a grace section
  {report.dirty(range)};
};

namespace detail {

// The same leaf as if nobody had used it yet.
template <PageFormat F>
u64 unused_leaf(u64 leaf, Level level)
{
  if constexpr (F::dirty_bit != 0) return leaf & ~(F::accessed_bit | F::dirty_bit);
  const Rights rights = F::access(leaf, level);
  if (!rights.write()) return leaf;
  const Rights kept = rights & (right_read | right_exec);
  return F::make_leaf(F::address(leaf, level), level, {kept, true, false});
}

// Clears the bits in one tree, flushes it and carries what was dirty.
template <Platform P, HarvestReport Report>
class TreeHarvest {
 public:
  TreeHarvest(P& p, const Tree& tree, Report& report) : p_(p), tree_(tree), report_(report) {}

  void run(Range range)
  {
    AllFormats::dispatch(tree_.format, false, [&]<class F>() { return clear<F>(range), true; });
    settle();
  }

 private:
  template <PageFormat F>
  void clear(Range range)
  {
    const SyncPoint look = tree_.id == primary_tree ? SyncPoint::find : SyncPoint::walk_view;
    visit_range<F>(p_, look, tree_, range, [&](const EntryRef& e, u64 word, EntryKind kind) {
      if (kind == EntryKind::table) return Visit::descend;
      if (kind != EntryKind::leaf) return Visit::next;
      const u64 unused = unused_leaf<F>(word, e.level);
      if (unused == word) return Visit::next;
      if (held_.full()) settle();
      if (!p_.compare_exchange(SyncPoint::harvest, e, word, unused)) return Visit::again;
      cleared_ = hull(cleared_, range_of<F>(e));
      if (word & F::accessed_bit) report_.accessed(intersect(range_of<F>(e), range));
      if (F::may_be_dirty(word, e.level)) held_.hold(F::address(word, e.level), e.level);
      return Visit::next;
    });
  }
  void settle()
  {
    if (cleared_.empty()) return;
    p_.flush(SyncPoint::flush, {tree_.id, cleared_});
    held_.carry(p_);
    cleared_ = {};
  }

  P& p_;
  const Tree& tree_;
  Report& report_;
  Range cleared_;
  HeldDirty held_;
};

template <Platform P, HarvestReport Report>
void report_dirty(P& p, Object& object, Range range, Report& report)
{
  using F = PrimaryFormat;
  GraceSection<P> section(p);
  visit_range<F>(p, SyncPoint::find, object.primary, range, [&](const EntryRef& e, u64 word, EntryKind kind) {
    // A moving entry still names its frame, whose log may have been set before the move began.
    if (kind != EntryKind::leaf && kind != EntryKind::moving) return;
    const PhysAddr frame = kind == EntryKind::leaf ? F::address(word, e.level) : software::read_moving(word).frame;
    const Range pages = intersect(range_of<F>(e), range);
    for (u64 page = pages.start; page < pages.end; page += page_bytes)
      if (p.take_dirty(SyncPoint::report, frame + (page - e.offset))) report.dirty({page, page + page_bytes});
  });
}

}  // namespace detail

// Reports the pages of `range` that were accessed or written since the last harvest, and forgets it. Waits for a grace
// period. unaligned, out_of_range, invalid (empty); interrupted: what was written is in the next report, what was only
// accessed in none.
template <Platform P, HarvestReport Report>
Status harvest(P& p, Object& object, Range range, Report& report)
{
  if (const Status s = check_range(p, object, range, 0); !s) return s;
  {
    GraceSection<P> section(p);
    if (has_own_walker<P> || p.read(SyncPoint::read_pending, primary_tree, object.primary.attached) != 0)
      detail::TreeHarvest<P, Report>(p, object.primary, report).run(range);
    for (std::size_t i = 0; i < max_views; ++i)
      if (void* const view = p.load_pointer(SyncPoint::read_list, object.views[i]))
        detail::TreeHarvest<P, Report>(p, static_cast<View*>(view)->tree, report).run(range);
  }
  if (!wait_for_grace(p)) return Error::interrupted;
  detail::report_dirty(p, object, range, report);
  return {};
}

}  // namespace morsel
