// SPDX-License-Identifier: GPL-2.0-or-later
//
// The diff of a view against the primary: one state per 4-KiB page, stored as runs. Rights that the view's format
// cannot express do not count as a difference ("as close as the format allows").
#pragma once
#include <array>
#include <string_view>
#include <vector>

#include "engine/inspect/snapshot.hpp"

namespace morsel::inspect {

// Ordered from harmless to worst: the worst of a range is the greatest.
enum class DiffState : u8 {
  hole,      // neither maps the page
  same,      // same frame, same rights (as close as the format allows)
  unfilled,  // the primary maps it, the view does not yet
  reserved,  // the view's entry is reserved: a fill is under way
  rights,    // same frame, other rights
  format,    // the view's entry is malformed, or its table cannot be read
  frame,     // another frame
  stale,     // the view maps it, the primary does not (any more)
};
inline constexpr std::size_t diff_state_count = 8;
std::string_view diff_state_name(DiffState state);

// A view that is merely behind (unfilled, reserved, fewer rights) is clean: the next access mends it.
// Not clean: stale, frame, format, and rights where the view allows more than the primary.
struct DiffRun {
  Range range;
  DiffState state = DiffState::hole;
  bool widened = false;  // rights: the view allows what the primary forbids
};

class Diff {
 public:
  // Both snapshots of the same object and range.
  static Diff compare(const Snapshot& primary, const Snapshot& view, Range range);

  const std::vector<DiffRun>& runs() const { return runs_; }  // ascending, adjacent, covering the range
  u64 pages(DiffState state) const { return pages_[static_cast<std::size_t>(state)]; }
  u64 widened_pages() const { return widened_pages_; }
  bool clean() const;
  DiffState at(u64 offset) const;
  DiffState worst(Range range) const;
  // First run at or after `offset` that is not clean; null if there is none.
  const DiffRun* next_difference(u64 offset) const;
  const DiffRun* previous_difference(u64 offset) const;

 private:
  friend class DiffBuilder;
  std::vector<DiffRun> runs_;
  std::array<u64, diff_state_count> pages_{};
  u64 widened_pages_ = 0;
};

bool is_clean(const DiffRun& run);

// The state of one pair of entries that both cover the same page.
DiffRun compare_entries(const FormatInfo& primary, EntryAt p, const FormatInfo& view, EntryAt v, u64 offset);

}  // namespace morsel::inspect
