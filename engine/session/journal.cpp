// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/journal.hpp"

#include <algorithm>

#include "engine/format/all.hpp"

namespace morsel::session {

std::span<const JournalRecord> Journal::append(const JournalRead& read)
{
  const std::size_t first = records_.size();
  garbage += read.garbage;
  lost += read.lost;
  unplaced_ += read.lost;
  for (const JournalRecord& r : read.records) {
    if (r.point >= MORSEL_POINT_COUNT || (!records_.empty() && r.sequence <= records_.back().sequence)) {
      ++garbage;
      continue;
    }
    const u64 skipped = records_.empty() ? 0 : r.sequence - records_.back().sequence - 1;
    if (skipped != 0 || (unplaced_ != 0 && records_.size() == first)) {
      const u64 here = skipped != 0 ? skipped : unplaced_;
      lost += here - std::min(here, unplaced_);
      unplaced_ -= std::min(here, unplaced_);
      gaps_.push_back({records_.size(), here});
    }
    records_.push_back(r);
  }
  return std::span(records_).subspan(first);
}

void Journal::append_gap(JournalGap gap)
{
  lost += gap.lost;
  gaps_.push_back(gap);
}

void Journal::forget(std::size_t oldest)
{
  oldest = std::min(oldest, records_.size());
  forgotten += oldest;
  records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(oldest));
  std::erase_if(gaps_, [&](const JournalGap& g) { return g.before < oldest; });
  for (JournalGap& g : gaps_) g.before -= oldest;
}

void Journal::give_up_after(std::size_t count)
{
  if (count >= records_.size()) return;
  records_.erase(records_.begin() + static_cast<std::ptrdiff_t>(count), records_.end());
  std::erase_if(gaps_, [count](const JournalGap& g) { return g.before >= count; });
}

std::size_t Journal::count_until(u64 sequence) const
{
  const auto after = std::upper_bound(records_.begin(), records_.end(), sequence,
                                      [](u64 s, const JournalRecord& r) { return s < r.sequence; });
  return static_cast<std::size_t>(after - records_.begin());
}

u64 Journal::sequence_at(std::size_t count) const
{
  if (records_.empty()) return 0;
  return count == 0 ? records_.front().sequence - 1 : records_[std::min(count, records_.size()) - 1].sequence;
}

bool is_about_entry(const JournalRecord& record)
{
  if (record.level > 4 || (record.flags & record_aside)) return false;
  switch (static_cast<SyncPoint>(record.point)) {
    case SyncPoint::peek:
    case SyncPoint::descend:
    case SyncPoint::link:
    case SyncPoint::load:
    case SyncPoint::reserve:
    case SyncPoint::read_primary:
    case SyncPoint::cancel_move:
    case SyncPoint::publish:
    case SyncPoint::undo:
    case SyncPoint::find:
    case SyncPoint::link_primary:
    case SyncPoint::split:
    case SyncPoint::change:
    case SyncPoint::cancel_merge:
    case SyncPoint::walk_view:
    case SyncPoint::invalidate:
    case SyncPoint::install:
    case SyncPoint::harvest: return true;
    // Also the counter of merges under way, whose values are small.
    case SyncPoint::mark: return (record.before | record.after) >= page_bytes;
    default: return false;
  }
}

bool is_write(const JournalRecord& record)
{
  return (record.flags & MORSEL_RECORD_PRIVATE) != 0 || (is_about_entry(record) && record.before != record.after);
}

Range span_of(const JournalRecord& record)
{
  const u64 bytes = is_about_entry(record) ? page_bytes << 9u * record.level : page_bytes;
  const u64 end = record.object_offset + bytes;
  return {record.object_offset, end < record.object_offset ? ~u64{0} : end};
}

}  // namespace morsel::session
