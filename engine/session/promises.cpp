// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/promises.hpp"

#include <algorithm>
#include <utility>

#include "engine/format/all.hpp"
#include "engine/morsel/object.hpp"

namespace morsel::session {

namespace {

bool is_done(const JournalRecord& r)
{
  return r.fault_action != MORSEL_FAULT_DROP && r.fault_action != MORSEL_FAULT_DELAY;
}

constexpr std::size_t index_of(BrokenPromise::Kind kind) { return static_cast<std::size_t>(kind); }

}  // namespace

// Whether the two are one: side by side, and in the object, too.
bool Promises::goes_on(u64 start, const Debt& debt, u64 next_start, const Debt& next)
{
  if (debt.end != next_start || debt.tree != next.tree) return false;
  if (debt.offset == nowhere || next.offset == nowhere) return debt.offset == next.offset;
  return debt.offset + (next_start - start) == next.offset;
}

void Promises::owe(Debts& debts, u64 start, Debt debt)
{
  auto next = debts.upper_bound(start);
  if (next != debts.begin()) {
    const auto& [first, before] = *std::prev(next);
    if (before.end > start || goes_on(first, before, start, debt)) {
      debt = {std::max(before.end, debt.end), before.offset, before.tree, before.since};
      start = first;
    }
  }
  while (next != debts.end() && (next->first < debt.end || goes_on(start, debt, next->first, next->second))) {
    debt.end = std::max(debt.end, next->second.end);
    debt.since = std::min(debt.since, next->second.since);
    next = debts.erase(next);
  }
  debts.insert_or_assign(start, debt);
}

// Of each what lies in [start, end) is paid.
void Promises::pay(Debts& debts, u64 start, u64 end)
{
  if (start >= end) return;
  auto at = debts.upper_bound(start);
  if (at != debts.begin() && std::prev(at)->second.end > start) --at;
  while (at != debts.end() && at->first < end) {
    const u64 first = at->first;
    const Debt debt = at->second;
    at = debts.erase(at);
    if (first < start) debts.insert_or_assign(first, Debt{start, debt.offset, debt.tree, debt.since});
    if (debt.end <= end) continue;
    const u64 offset = debt.offset == nowhere ? nowhere : debt.offset + (end - first);
    debts.insert_or_assign(end, Debt{debt.end, offset, debt.tree, debt.since});
    return;
  }
}

void Promises::follow(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects)
{
  Trees after;
  for (const ObjectState& o : objects) {
    after[{o.id, primary_tree}] = {o.source().format, o.root_level};
    for (const ViewState& v : o.views) after[{o.id, v.number}] = {v.format, v.root_level};
  }
  trees_.insert(after.begin(), after.end());  // those of before count first: the records may be about them
  for (const JournalRecord& r : records) follow_record(r, after);
  trees_ = std::move(after);
  const auto is_gone = [this](u32 object, TreeId tree) { return !trees_.contains({object, tree}); };
  std::erase_if(broken_, [&](const BrokenPromise& b) { return is_gone(b.object, b.tree); });
  std::erase_if(dropped_, [&](const auto& d) { return is_gone(d.first.first, d.first.second); });
  std::erase_if(outdated_, [&](const auto& r) { return is_gone(r.first.first, r.first.second); });
}

u64 Promises::dropped() const
{
  u64 sum = 0;
  for (const auto& [tree, count] : dropped_) sum += count;
  return sum;
}

const FormatInfo* Promises::format_of(const JournalRecord& record) const
{
  const auto found = trees_.find({record.object_id, record.tree});
  return found == trees_.end() ? nullptr : find_format(found->second.format);
}

void Promises::follow_record(const JournalRecord& r, const Trees& after)
{
  if (r.sequence != std::exchange(followed_, r.sequence) + 1) forget_all();
  explored_ = explored_ || (r.flags & record_aside) != 0;
  if (explored_ || r.actor_kind == MORSEL_ACTOR_RECLAIM) return;
  if (static_cast<SyncPoint>(r.point) == SyncPoint::enter) {
    if (sections_.size() >= most_sections) sections_.clear();
    sections_.insert_or_assign(key(r), Section{});
    return;
  }
  if (static_cast<SyncPoint>(r.point) == SyncPoint::alloc) return begin_tree(r, after);
  follow_leaves(r);
  follow_section(r);
  // A record adds at most a tree with its owed flush, a stale one or a copy, and an owed carry; and a tree with a leaf
  // that is not there any more, or a half of one.
  if ((held_ += 6) > most_held) make_room();
}

std::size_t Promises::Section::held() const
{
  std::size_t sum = flushes.size() + stale.size() + carries.size() + copies.size();
  for (const auto& [tree, debts] : flushes) sum += debts.size();
  return sum;
}

void Promises::forget_all()
{
  sections_.clear();
  outdated_.clear();
  held_ = 0;
}

// It is counted anew, and all is forgotten if that leaves little room.
void Promises::make_room()
{
  held_ = outdated_.size();
  for (const auto& [key, section] : sections_) held_ += section.held();
  for (const auto& [tree, outdated] : outdated_) held_ += outdated.leaves.size();
  if (held_ > most_held / 2) forget_all();
}

// A root: no tree of this number was before.
void Promises::begin_tree(const JournalRecord& r, const Trees& after)
{
  if (!(r.flags & MORSEL_RECORD_TABLE) || r.after == 0) return;
  const std::pair<u32, TreeId> number{r.object_id, r.tree};
  const auto is_root_of = [&](const Trees& trees) {
    const auto found = trees.find(number);
    return found != trees.end() && found->second.root_level == r.level;
  };
  if (!is_root_of(trees_) && !is_root_of(after)) return;
  if (is_root_of(after)) trees_[number] = after.at(number);
  dropped_.erase(number);
  outdated_.erase(number);
  std::erase_if(broken_, [&](const BrokenPromise& b) { return b.object == r.object_id && b.tree == r.tree; });
  for (auto& [key, section] : sections_) {
    if (key >> 32 != r.object_id) continue;
    section.flushes.erase(r.tree);
    std::erase_if(section.stale, [&](const auto& s) { return s.first.first == r.tree; });
    std::erase_if(section.carries, [&](const auto& c) { return c.second.tree == r.tree; });
  }
}

void Promises::follow_section(const JournalRecord& r)
{
  const auto point = static_cast<SyncPoint>(r.point);
  const auto found = sections_.find(key(r));
  if (found == sections_.end()) return;
  Section& section = found->second;
  const FormatInfo* format = format_of(r);
  if (format && r.level >= format->levels.size()) format = nullptr;  // no entry of that tree
  const bool fails = r.fault_action != MORSEL_FAULT_NONE;
  switch (point) {
    case SyncPoint::change:
    case SyncPoint::reserve:
    case SyncPoint::invalidate:
    case SyncPoint::harvest:
      if (format && is_write(r)) took(section, r, *format);
      break;
    case SyncPoint::descend:
    case SyncPoint::load:
      if (format) met(section, r, *format);
      break;
    case SyncPoint::link:
    case SyncPoint::publish:
    case SyncPoint::undo:
      if (format && is_write(r)) replaced(section, r, *format);
      break;
    case SyncPoint::collect:
      if (format && format->kind(r.before, r.level) == EntryKind::leaf) removed_dirty(section, r, *format);
      break;
    case SyncPoint::flush:
      if (fails) section.faults[index_of(Kind::flush)] = r.sequence;
      if (is_done(r) && r.before >= r.after) return void(sections_.erase(found));  // no range: what it did is unknown
      if (is_done(r)) flushed(section, r);
      break;
    case SyncPoint::carry:
      if (fails) section.faults[index_of(Kind::carry)] = r.sequence;
      if (is_done(r)) {
        const u64 end = r.before + (page_bytes << 9u * std::min<u32>(r.level, 4));
        if (r.before >= end) return void(sections_.erase(found));
        pay(section.carries, r.before, end);
      }
      break;
    case SyncPoint::copy:
      if (fails) section.faults[index_of(Kind::copy)] = r.sequence;
      if (is_done(r) && r.fault_action != MORSEL_FAULT_CORRUPT) section.copies.insert(r.after);
      break;
    case SyncPoint::install:
      if (is_write(r)) installed(section, r);
      break;
    case SyncPoint::pend:
      if (r.tree == primary_tree && is_done(r)) section.primary_walked = true;
      break;
    case SyncPoint::unpend:
      if (is_done(r)) came_before_flush(section, r.tree, r);
      break;
    case SyncPoint::leave:
      left(section, r);
      sections_.erase(found);
      break;
    default: break;
  }
}

void Promises::follow_leaves(const JournalRecord& r)
{
  const auto point = static_cast<SyncPoint>(r.point);
  const bool takes_out = point == SyncPoint::reserve || point == SyncPoint::invalidate;
  if (r.tree == primary_tree || !(takes_out || point == SyncPoint::publish || point == SyncPoint::flush)) return;
  const FormatInfo* const format = format_of(r);
  if (!format || !format->break_before_make || r.level >= format->levels.size()) return;
  Outdated& outdated = outdated_[{r.object_id, r.tree}];
  if (takes_out && is_write(r) && format->kind(r.before, r.level) == EntryKind::leaf)
    outdated.leaves.taken_out(r.object_offset,
                              {span_of(r).end, format->address(r.before, r.level).value, r.level, r.sequence});
  if (point == SyncPoint::publish && is_write(r) && format->kind(r.after, r.level) == EntryKind::leaf)
    published(outdated, r, *format);
  if (point != SyncPoint::flush) return;
  if (r.fault_action != MORSEL_FAULT_NONE) outdated.fault = r.sequence;
  if (is_done(r)) outdated.leaves.flushed({r.before, r.after});
}

void Promises::published(Outdated& outdated, const JournalRecord& r, const FormatInfo& format)
{
  const u64 frame = format.address(r.after, r.level).value;
  for (const OutdatedLeaves::Clash& clash :
       outdated.leaves.published(r.object_offset, {span_of(r).end, frame, r.level, r.sequence})) {
    const std::optional<u64> fault = outdated.fault > clash.since ? outdated.fault : std::nullopt;
    note(fault, Kind::make, r, {clash.range.end, clash.range.start, r.tree, clash.since}, clash.range.start);
    broken_.back().frame = {frame + (clash.range.start - r.object_offset)};
  }
}

void Promises::took(Section& section, const JournalRecord& r, const FormatInfo& format)
{
  const EntryKind was = format.kind(r.before, r.level);
  const Range span = span_of(r);
  const auto point = static_cast<SyncPoint>(r.point);
  const bool cached = was != EntryKind::hole && (was != EntryKind::reserved || software::is_stale(r.before));
  const bool walked = section.primary_walked && r.tree == primary_tree && point == SyncPoint::change &&
                      (was == EntryKind::leaf || was == EntryKind::table);
  if (point == SyncPoint::harvest || (point == SyncPoint::invalidate && cached) || walked)
    owe(section.flushes[r.tree], span.start, Debt{span.end, span.start, r.tree, r.sequence});
  if (was != EntryKind::leaf) return;
  if (point == SyncPoint::reserve) section.stale[{r.tree, r.object_offset}] = {r.before, r.sequence};
  const bool stays = point == SyncPoint::change && format.kind(r.after, r.level) == EntryKind::leaf &&
                     format.may_be_dirty(r.after, r.level);
  if (!stays) removed_dirty(section, r, format);
}

void Promises::met(Section& section, const JournalRecord& r, const FormatInfo& format)
{
  if (format.kind(r.before, r.level) != EntryKind::reserved) return;
  if (software::is_stale(r.before)) section.stale[{r.tree, r.object_offset}] = {0, r.sequence};
}

// A stale reservation is gone: by then walkers must have forgotten the leaf that it stands for, unless they may go on
// to use it.
void Promises::replaced(Section& section, const JournalRecord& r, const FormatInfo& format)
{
  const auto found = section.stale.find({r.tree, r.object_offset});
  if (found == section.stale.end()) return;
  const Stale stale = found->second;
  section.stale.erase(found);
  if (format.kind(r.before, r.level) != EntryKind::reserved || !software::is_stale(r.before)) return;  // a later one
  if (static_cast<SyncPoint>(r.point) == SyncPoint::publish && stale.leaf != 0 &&
      format.address(r.after, r.level) == format.address(stale.leaf, r.level) &&
      format.access(r.after, r.level).includes(format.access(stale.leaf, r.level)))
    return;
  const Range span = span_of(r);
  note(section.faults[index_of(Kind::flush)], Kind::flush, r, {span.end, span.start, r.tree, stale.since}, span.start);
}

void Promises::flushed(Section& section, const JournalRecord& r)
{
  if (const auto owed = section.flushes.find(r.tree); owed != section.flushes.end())
    pay(owed->second, r.before, r.after);
  const auto end = section.stale.lower_bound({r.tree, r.after});
  section.stale.erase(section.stale.lower_bound({r.tree, r.before}), end);
}

void Promises::removed_dirty(Section& section, const JournalRecord& r, const FormatInfo& format)
{
  if (!format.may_be_dirty(r.before, r.level)) return;
  const u64 frame = format.address(r.before, r.level).value;
  const u64 offset = static_cast<SyncPoint>(r.point) == SyncPoint::collect ? nowhere : r.object_offset;
  owe(section.carries, frame, Debt{frame + (page_bytes << 9u * r.level), offset, r.tree, r.sequence});
}

void Promises::installed(Section& section, const JournalRecord& r)
{
  using F = PrimaryFormat;
  if (r.level >= F::levels.size() || F::kind(r.after, r.level) != EntryKind::leaf) return;
  const u64 frame = F::address(r.after, r.level).value;
  if (section.copies.contains(frame)) return;
  const u64 since = section.faults[index_of(Kind::copy)].value_or(r.sequence);
  note(section.faults[index_of(Kind::copy)], Kind::copy, r,
       {frame + span_of(r).bytes(), r.object_offset, r.tree, since}, frame);
}

void Promises::came_before_flush(Section& section, TreeId tree, const JournalRecord& r)
{
  const auto owed = section.flushes.find(tree);
  if (owed == section.flushes.end()) return;
  for (const auto& [start, debt] : owed->second)
    note(section.faults[index_of(Kind::flush)], Kind::flush, r, debt, start);
  section.flushes.erase(owed);
}

void Promises::left(Section& section, const JournalRecord& r)
{
  for (const auto& [tree, debts] : section.flushes)
    for (const auto& [start, debt] : debts) note(section.faults[index_of(Kind::flush)], Kind::flush, r, debt, start);
  for (const auto& [start, debt] : section.carries)
    note(section.faults[index_of(Kind::carry)], Kind::carry, r, debt, start);
}

void Promises::note(std::optional<u64> fault, Kind kind, const JournalRecord& at, const Debt& debt, u64 start)
{
  if (broken_.size() == most_kept) {
    for (std::size_t n = 0; n < most_kept / 4; ++n) ++dropped_[{broken_[n].object, broken_[n].tree}];
    broken_.erase(broken_.begin(), broken_.begin() + most_kept / 4);
  }
  BrokenPromise b{};
  b.kind = kind;
  b.object = at.object_id;
  b.tree = debt.tree;
  if (const auto tree = trees_.find({at.object_id, debt.tree}); tree != trees_.end()) b.format = tree->second.format;
  b.range = {0, nowhere};
  if (debt.offset != nowhere) b.range = {debt.offset, debt.offset + (debt.end - start)};
  if (kind == Kind::carry || kind == Kind::copy) b.frame = {start};
  b.since = debt.since;
  b.broken = at.sequence;
  b.fault = fault;
  broken_.push_back(b);
}

}  // namespace morsel::session
