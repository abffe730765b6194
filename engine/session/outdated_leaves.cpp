// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/outdated_leaves.hpp"

#include <iterator>

namespace morsel::session {

OutdatedLeaves::Leaves::iterator OutdatedLeaves::first_in(Range range)
{
  const auto at = leaves_.upper_bound(range.start);
  return at != leaves_.begin() && std::prev(at)->second.end > range.start ? std::prev(at) : at;
}

void OutdatedLeaves::taken_out(u64 start, const Leaf& leaf)
{
  flushed({start, leaf.end});  // what is held besides is held of the same pages: one is enough to clash with
  leaves_[start] = leaf;
}

// Of one that is covered in part the rest stays.
void OutdatedLeaves::flushed(Range range)
{
  if (range.empty()) return;
  for (auto at = first_in(range); at != leaves_.end() && at->first < range.end;) {
    const u64 start = at->first;
    const Leaf leaf = at->second;
    at = leaves_.erase(at);
    if (start < range.start) leaves_[start] = {range.start, leaf.frame, leaf.level, leaf.since};
    if (leaf.end > range.end) leaves_[range.end] = {leaf.end, leaf.frame + (range.end - start), leaf.level, leaf.since};
  }
}

std::vector<OutdatedLeaves::Clash> OutdatedLeaves::published(u64 start, const Leaf& leaf)
{
  const Range range{start, leaf.end};
  std::vector<Clash> clashes;
  for (auto at = first_in(range); at != leaves_.end() && at->first < range.end; ++at) {
    const auto& [old_start, old] = *at;
    const bool same = old.level == leaf.level && old.frame - old_start == leaf.frame - start;
    if (!same) clashes.push_back({intersect(range, {old_start, old.end}), old.since});
  }
  flushed(range);
  return clashes;
}

}  // namespace morsel::session
