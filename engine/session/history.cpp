// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/history.hpp"

#include <algorithm>
#include <new>

#include "engine/morsel/change.hpp"

namespace morsel::session {

namespace {

// Of leaves of tables that Linux walks: it sets this beside the dirty bit (_PAGE_SOFT_DIRTY, where it is built so).
constexpr u64 soft_dirty_bit = u64{1} << 11;

}  // namespace

u64 hardware_bits(FormatId format)
{
  const FormatInfo& info = *find_format(format);
  const bool linux_walks = format == FormatId::amd64 || format == FormatId::amd64_l5;
  return info.accessed_bit | info.dirty_bit | (linux_walks ? soft_dirty_bit : 0);
}

History::History(const inspect::PhysicalMemory& memory, std::vector<ObjectState> objects, HistoryLimits limits)
    : image_(extents_of(memory)), limits_(limits)
{
  read_trees(memory, objects);
  append_objects({0, std::move(objects)});
}

History::History(std::vector<Extent> extents, std::vector<ObjectsSince> objects, std::vector<Doubt> doubts)
    : image_(std::move(extents)), objects_(std::move(objects)), doubts_(std::move(doubts))
{
}

// A change belongs to the record that is being appended; before the first record it is part of the beginning.
void History::write(TableImage::Index index, u64 word)
{
  const u64 before = image_.get(index);
  if (before == word) return;
  if (!first_change_.empty()) changes_.push_back({index, before, word});
  image_.set(index, word);
}

void History::read_tree(const inspect::PhysicalMemory& memory, const inspect::TreeSource& tree, Range range)
{
  const auto snapshot = inspect::Snapshot::take(memory, tree, range);
  for (u32 t = 0; t < snapshot.table_count(); ++t) {
    const std::span<const u64> words = snapshot.words(t);
    const auto first = image_.index(snapshot.table_address(t), words.size());
    if (!first) continue;
    for (std::size_t i = 0; i < words.size(); ++i) write(*first + i, words[i]);
  }
}

void History::read_trees(const inspect::PhysicalMemory& memory, const std::vector<ObjectState>& objects)
{
  for (const ObjectState& o : objects) {
    read_tree(memory, o.source(), o.range());
    for (const ViewState& v : o.views) read_tree(memory, v.source(), o.range());
  }
}

std::size_t History::append(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects,
                            std::optional<std::size_t> gap, const inspect::PhysicalMemory& memory)
{
  const std::size_t was_at = position_, before = size();
  std::size_t forgotten = 0;
  go_to(before);
  try {
    append_all(records, objects, gap, memory, forgotten);
  } catch (const std::bad_alloc&) {
    give_up_after(before - std::min(before, forgotten));
    go_to(was_at - std::min(was_at, forgotten));
    throw;
  }
  if (was_at != before) go_to(was_at - std::min(was_at, forgotten));
  return forgotten;
}

void History::append_all(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects,
                         std::optional<std::size_t> gap, const inspect::PhysicalMemory& memory, std::size_t& forgotten)
{
  const TreeTable trees(this->objects(), objects);
  for (const JournalRecord& r : records) {
    first_change_.push_back(forgotten_changes_ + changes_.size());
    apply(r, trees, objects);
    if (changes_.size() <= limits_.changes * 2) continue;
    position_ = size();
    const std::size_t too_many = surplus();
    forget(too_many);
    forgotten += too_many;
  }
  position_ = size();
  note_objects(records, objects, memory);
  if (gap) {
    read_trees(memory, objects);
    doubt(*gap + 1 - std::min(*gap + 1, forgotten), size());
    trusted_from_ = size();
  }
}

// Takes away what append_all, which has ended early, had appended behind the first `count` records. Allocates nothing.
void History::give_up_after(std::size_t count)
{
  position_ = size();  // the image is as the last of the changes left it
  go_to(count);
  if (count == size()) return;
  changes_.erase(changes_.begin() + static_cast<std::ptrdiff_t>(first_change_[count] - forgotten_changes_),
                 changes_.end());
  first_change_.erase(first_change_.begin() + static_cast<std::ptrdiff_t>(count), first_change_.end());
  while (objects_.size() > 1 && objects_.back().position > count) {
    object_states_ -= objects_.back().objects.size();
    objects_.pop_back();
  }
  std::erase_if(doubts_, [count](const Doubt& d) { return d.from >= count; });
  for (Doubt& d : doubts_) d.to = std::min(d.to, count);
  trusted_from_ = std::min(trusted_from_, count);
  entries_ = {};
}

void History::apply(const JournalRecord& record, const TreeTable& trees, const std::vector<ObjectState>& after)
{
  const auto point = static_cast<SyncPoint>(record.point);
  if (record.flags & MORSEL_RECORD_PRIVATE) {
    if (const auto index = image_.index({record.before})) write(*index, record.after);
  } else if (point == SyncPoint::alloc) {
    apply_allocation(record, trees, after);
  } else if (point == SyncPoint::enter || point == SyncPoint::leave) {
    entries_.forget(record);
  } else if (is_about_entry(record)) {
    if (const inspect::TreeSource* tree = trees.find(record.object_id, record.tree)) apply_entry(record, *tree);
  }
}

void History::apply_entry(const JournalRecord& record, const inspect::TreeSource& tree)
{
  const auto entry = entries_.find(record, tree, image_);
  if (!entry) {
    // Nothing to be found where a word was found: the image lacks a table.
    if (record.before != 0 || record.after != 0) {
      doubt(trusted_from_, size());
      trusted_from_ = size();
    }
    return;
  }
  if (((image_.get(*entry) ^ record.before) & ~hardware_bits(tree.format)) != 0) {
    doubt(trusted_from_, size());
    trusted_from_ = size();
  }
  if (record.before != record.after) fill_linked_table(record, tree);
  write(*entry, record.after);
  entries_.passed(record, tree);
}

void History::apply_allocation(const JournalRecord& record, const TreeTable& trees,
                               const std::vector<ObjectState>& after)
{
  if (!(record.flags & MORSEL_RECORD_TABLE) || record.after == 0) return;
  const inspect::TreeSource* tree = trees.find(record.object_id, record.tree);
  u64 words = TableImage::words_per_page;
  if (tree && record.level < find_format(tree->format)->levels.size())
    words = u64{1} << find_format(tree->format)->levels[record.level].index_bits;
  const auto first = image_.index({record.after}, words);
  if (!first) return;
  for (u64 i = 0; i < words; ++i) write(*first + i, 0);
  // The root of a clone is a copy of its base's.
  for (const ObjectState& clone : after) {
    if (clone.id != record.object_id || clone.base.empty() || clone.root != PhysAddr{record.after}) continue;
    for (const ObjectState& base : after) {
      if (base.name != clone.base) continue;
      const auto from = image_.index(base.root, words);
      for (u64 i = 0; from && i < words; ++i) write(*first + i, cloned_entry(image_.get(*from + i), record.level));
    }
  }
}

void History::fill_linked_table(const JournalRecord& record, const inspect::TreeSource& tree)
{
  using F = PrimaryFormat;
  if (tree.format != F::id || record.tree != primary_tree || record.level == 0) return;
  if (F::kind(record.after, record.level) != EntryKind::table) return;
  const auto below = static_cast<Level>(record.level - 1);
  const auto own = image_.index(F::address(record.after, record.level), TableImage::words_per_page);
  if (!own) return;
  const EntryKind was = F::kind(record.before, record.level);
  if (static_cast<SyncPoint>(record.point) == SyncPoint::split) {
    const u64 leaf = was == EntryKind::moving ? leaf_of_moving(record.before, record.level) : record.before;
    if (was != EntryKind::moving && was != EntryKind::leaf) return;
    for (u64 i = 0; i < TableImage::words_per_page; ++i) write(*own + i, smaller_leaf(leaf, record.level, i));
  } else if (static_cast<SyncPoint>(record.point) == SyncPoint::link_primary && was == EntryKind::table) {
    const auto base = image_.index(F::address(record.before, record.level), TableImage::words_per_page);
    for (u64 i = 0; base && i < TableImage::words_per_page; ++i)
      write(*own + i, cloned_entry(image_.get(*base + i), below));
  }
}

// A tree whose root was not allocated under our eyes is read where it stands.
void History::note_objects(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects,
                           const inspect::PhysicalMemory& memory)
{
  if (objects_.back().objects == objects) return;
  const TreeTable before(objects_.back().objects, {});
  const auto look = [&](const ObjectState& o, TreeId number, const inspect::TreeSource& tree) {
    const inspect::TreeSource* const was = before.find(o.id, number);
    if (was && was->root == tree.root) return;
    const bool allocated = std::any_of(records.begin(), records.end(), [&](const JournalRecord& r) {
      return r.point == MORSEL_POINT_alloc && (r.flags & MORSEL_RECORD_TABLE) && r.after == tree.root.value;
    });
    if (was || !allocated) read_tree(memory, tree, o.range());
  };
  for (const ObjectState& o : objects) {
    look(o, primary_tree, o.source());
    for (const ViewState& v : o.views) look(o, v.number, v.source());
  }
  if (objects_.back().position == size()) {
    std::vector<ObjectState> now = objects;
    object_states_ += now.size() - objects_.back().objects.size();
    objects_.back().objects = std::move(now);
  } else {
    append_objects({size(), objects});
  }
}

void History::append_objects(ObjectsSince since)
{
  object_states_ += since.objects.size();
  objects_.push_back(std::move(since));
}

void History::go_to(std::size_t position)
{
  position = std::min(position, size());
  const auto first_of = [&](std::size_t record) {
    return record == size() ? changes_.size() : first_change_[record] - forgotten_changes_;
  };
  const std::size_t from = first_of(position_), to = first_of(position);
  for (std::size_t i = from; i < to; ++i) image_.set(changes_[i].index, changes_[i].after);
  for (std::size_t i = from; i > to; --i) image_.set(changes_[i - 1].index, changes_[i - 1].before);
  position_ = position;
}

const std::vector<ObjectState>& History::objects() const
{
  const auto next = std::upper_bound(objects_.begin(), objects_.end(), position_,
                                     [](std::size_t at, const ObjectsSince& o) { return at < o.position; });
  return (next == objects_.begin() ? next : next - 1)->objects;
}

void History::doubt(std::size_t from, std::size_t to)
{
  if (from >= to) return;
  if (!doubts_.empty() && doubts_.back().to >= from)
    doubts_.back().to = std::max(doubts_.back().to, to);
  else
    doubts_.push_back({from, to});
}

bool History::is_exact(std::size_t position) const
{
  return std::none_of(doubts_.begin(), doubts_.end(),
                      [&](const Doubt& d) { return d.from <= position && position < d.to; });
}

std::span<const TableChange> History::changes(std::size_t record) const
{
  const u64 first = first_change_[record] - forgotten_changes_;
  const u64 end = record + 1 < size() ? first_change_[record + 1] - forgotten_changes_ : changes_.size();
  return std::span(changes_).subspan(first, end - first);
}

void History::append_saved(std::span<const TableChange> changes)
{
  first_change_.push_back(forgotten_changes_ + changes_.size());
  changes_.insert(changes_.end(), changes.begin(), changes.end());
  position_ = size();
}

std::size_t History::surplus() const
{
  std::size_t oldest = 0;
  if (changes_.size() > limits_.changes) {
    const u64 kept_from = forgotten_changes_ + changes_.size() - limits_.changes * 3 / 4;
    const auto kept = std::lower_bound(first_change_.begin(), first_change_.end(), kept_from);
    oldest = static_cast<std::size_t>(kept - first_change_.begin());
  }
  if (object_states_ > limits_.object_states) {
    std::size_t states = object_states_;
    for (auto o = objects_.begin(); states > limits_.object_states * 3 / 4 && o + 1 != objects_.end(); ++o) {
      states -= o->objects.size();
      oldest = std::max(oldest, o[1].position);
    }
  }
  return oldest;
}

void History::forget(std::size_t oldest)
{
  oldest = std::min(oldest, size());
  const std::size_t was_at = position_ > oldest ? position_ - oldest : 0;
  go_to(size());
  const u64 kept_from = oldest == size() ? forgotten_changes_ + changes_.size() : first_change_[oldest];
  changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(kept_from - forgotten_changes_));
  first_change_.erase(first_change_.begin(), first_change_.begin() + static_cast<std::ptrdiff_t>(oldest));
  forgotten_changes_ = kept_from;
  auto kept = std::upper_bound(objects_.begin(), objects_.end(), oldest,
                               [](std::size_t at, const ObjectsSince& o) { return at < o.position; });
  if (kept != objects_.begin()) --kept;
  for (auto gone = objects_.begin(); gone != kept; ++gone) object_states_ -= gone->objects.size();
  objects_.erase(objects_.begin(), kept);
  for (ObjectsSince& o : objects_) o.position -= std::min(o.position, oldest);
  std::erase_if(doubts_, [&](const Doubt& d) { return d.to <= oldest; });
  for (Doubt& d : doubts_) d = {d.from - std::min(d.from, oldest), d.to - oldest};
  trusted_from_ -= std::min(trusted_from_, oldest);
  position_ = size();
  go_to(was_at);
}

}  // namespace morsel::session
