// SPDX-License-Identifier: GPL-2.0-or-later
//
// Questions about a range, which change nothing: what is mapped, what is dirty. The answers are runs of pages, in
// ascending order, as lseek's SEEK_DATA gives them. While others change the object, each entry is as it was at some
// moment of the call.
//
// Thread safety: any number at once, beside everything else.
#pragma once
#include "engine/morsel/change.hpp"

namespace morsel {

namespace detail {

// Gathers pages into runs that are as long as may be. Key: what the pages of a run have in common.
template <class Key, class Visitor>
class Runs {
 public:
  explicit Runs(Visitor& visitor) : visitor_(visitor) {}
  void add(Range pages, Key key)
  {
    if (run_.end == pages.start && !run_.empty() && key_ == key) {
      run_.end = pages.end;
      return;
    }
    finish();
    run_ = pages;
    key_ = key;
  }
  void finish()
  {
    if (!run_.empty()) visitor_(run_, key_);
    run_ = {};
  }

 private:
  Visitor& visitor_;
  Range run_;
  Key key_{};
};

// Whether the leaf that maps `offset` in this tree says that it was written.
template <Platform P>
bool leaf_is_dirty(P& p, SyncPoint at, const Tree& tree, u64 offset)
{
  return AllFormats::dispatch(tree.format, false, [&]<class F>() {
    const Walked w = walk<F>(p, at, tree, offset);
    return w.kind == EntryKind::leaf && F::may_be_dirty(w.word, w.entry.level);
  });
}

// Each mapped page or part of a leaf within the range.
template <Platform P, class Visitor>
void for_each_leaf(P& p, Object& object, Range range, Visitor&& visitor)
{
  using F = PrimaryFormat;
  visit_range<F>(p, SyncPoint::find, object.primary, range, [&](const EntryRef& e, u64 word, EntryKind kind) {
    const Range pages = intersect(range_of<F>(e), range);
    if (kind == EntryKind::leaf) visitor(e, word, pages);
    if (kind == EntryKind::moving) visitor(e, leaf_of_moving(word, e.level), pages);
  });
}

}  // namespace detail

// Calls visitor(Range, Rights) for each run of mapped pages of `range` with the same rights: those that the holder has,
// after a copy where one is needed. unaligned, out_of_range, invalid (empty).
template <Platform P, class Visitor>
Status for_each_populated(P& p, Object& object, Range range, Visitor&& visitor)
{
  if (const Status s = check_range(p, object, range, 0); !s) return s;
  detail::Runs<Rights, Visitor> runs(visitor);
  GraceSection<P> section(p);
  detail::for_each_leaf(p, object, range, [&](const EntryRef& e, u64 word, Range pages) {
    runs.add(pages, granted(word, e.level));
  });
  runs.finish();
  return {};
}

// Calls visitor(Range) for each run of pages that were written since the last harvest, as far as anything shows it by
// now: the frame's state, the primary or a view. unaligned, out_of_range, invalid (empty).
template <Platform P, class Visitor>
Status for_each_dirty(P& p, Object& object, Range range, Visitor&& visitor)
{
  using F = PrimaryFormat;
  if (const Status s = check_range(p, object, range, 0); !s) return s;
  const auto run = [&](Range pages, bool) { visitor(pages); };
  detail::Runs<bool, decltype(run)> runs(run);
  GraceSection<P> section(p);
  std::array<View*, max_views> views{};
  for (std::size_t i = 0; i < max_views; ++i)
    views[i] = static_cast<View*>(p.load_pointer(SyncPoint::read_list, object.views[i]));
  detail::for_each_leaf(p, object, range, [&](const EntryRef& e, u64 word, Range pages) {
    for (u64 page = pages.start; page < pages.end; page += page_bytes) {
      bool dirty = F::may_be_dirty(word, e.level) || p.is_dirty(F::address(word, e.level) + (page - e.offset));
      for (const View* view : views)
        dirty = dirty || (view && detail::leaf_is_dirty(p, SyncPoint::walk_view, view->tree, page));
      if (dirty) runs.add({page, page + page_bytes}, true);
    }
  });
  runs.finish();
  return {};
}

}  // namespace morsel
