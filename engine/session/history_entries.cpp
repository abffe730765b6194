// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/history_entries.hpp"

namespace morsel::session {

TreeTable::TreeTable(const std::vector<ObjectState>& objects, const std::vector<ObjectState>& others)
{
  add(objects);
  add(others);
}

void TreeTable::add(const std::vector<ObjectState>& objects)
{
  for (const ObjectState& o : objects) {
    trees_.try_emplace({o.id, primary_tree}, o.source());
    for (const ViewState& v : o.views) trees_.try_emplace({o.id, v.number}, v.source());
  }
}

const inspect::TreeSource* TreeTable::find(u32 object, TreeId tree) const
{
  const auto found = trees_.find({object, tree});
  return found == trees_.end() ? nullptr : &found->second;
}

namespace {

u32 entry_number(const FormatInfo& format, u64 offset, Level level)
{
  const LevelInfo& shape = format.levels[level];
  return static_cast<u32>(offset >> shape.shift_lg2 & ((u64{1} << shape.index_bits) - 1));
}

}  // namespace

std::optional<TableImage::Index> EntryFinder::find(const JournalRecord& record, const inspect::TreeSource& tree,
                                                   const TableImage& image) const
{
  const FormatInfo& format = *find_format(tree.format);
  if (record.level > tree.root_level || tree.root_level >= format.levels.size()) return {};
  if (const auto known = ways_.find(key(record)); known != ways_.end()) {
    const Way& way = known->second.of[slot(record.tree)];
    const Step& step = way.tables[record.level];
    const u64 span = lg2_bytes(format.levels[record.level].shift_lg2 + format.levels[record.level].index_bits);
    if (way.tree == record.tree && step.table != PhysAddr{} && record.object_offset - step.offset < span)
      return image.index(step.table + entry_number(format, record.object_offset, record.level) * sizeof(u64));
  }
  PhysAddr table = tree.root;
  for (Level level = tree.root_level;; --level) {
    const auto entry = image.index(table + entry_number(format, record.object_offset, level) * sizeof(u64));
    if (!entry || level == record.level) return entry;
    const u64 word = image.get(*entry);
    if (format.kind(word, level) != EntryKind::table) return {};
    table = format.address(word, level);
  }
}

void EntryFinder::passed(const JournalRecord& record, const inspect::TreeSource& tree)
{
  const FormatInfo& format = *find_format(tree.format);
  if (record.level == 0 || record.level >= format.levels.size()) return;
  if (ways_.size() >= max_ways) ways_.clear();
  Way& way = ways_[key(record)].of[slot(record.tree)];
  if (way.tree != record.tree) way = {record.tree, {}};
  const bool leads_on = format.kind(record.after, record.level) == EntryKind::table;
  way.tables[record.level - 1u] = {record.object_offset,
                                   leads_on ? format.address(record.after, record.level) : PhysAddr{}};
}

}  // namespace morsel::session
