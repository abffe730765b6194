// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads a tree depth first, copying each table whole before looking at it, so that what is judged is what is kept.
#include "engine/inspect/snapshot.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace morsel::inspect {

std::string_view anomaly_name(AnomalyKind kind)
{
  switch (kind) {
    case AnomalyKind::outside_memory: return "table outside memory";
    case AnomalyKind::table_seen_twice: return "table reached twice";
    case AnomalyKind::too_many_tables: return "too many tables";
    case AnomalyKind::malformed_entry: return "malformed entry";
    case AnomalyKind::root_unaligned: return "root not aligned";
  }
  return "unknown";
}

// Which pages of memory were read as a table already.
class SeenPages {
 public:
  explicit SeenPages(const PhysicalMemory& memory) : memory_(memory), seen_((memory.bytes() >> page_lg2) + 1) {}

  // True if none of the table's pages was marked before. All of it lies in one segment of memory.
  bool mark(PhysAddr table, u64 pages)
  {
    u64 base = 0;
    for (const MemorySegment& s : memory_.segments()) {
      if (table.value >= s.start && table.value - s.start < s.bytes) {
        const auto first = seen_.begin() + static_cast<std::ptrdiff_t>((base + (table.value - s.start)) >> page_lg2);
        const auto last = first + static_cast<std::ptrdiff_t>(pages);
        if (std::find(first, last, true) != last) return false;
        std::fill(first, last, true);
        return true;
      }
      base += s.bytes;
    }
    return false;
  }

 private:
  const PhysicalMemory& memory_;
  std::vector<bool> seen_;
};

template <class F>
class TableReader {
 public:
  TableReader(Snapshot& s, const PhysicalMemory& memory, SnapshotLimits limits)
      : s_(s), memory_(memory), limits_(limits), seen_(memory)
  {
  }

  // The number of the copy; no_table if the table could not be read. (level, offset, word): the entry that led here.
  u32 read(PhysAddr at, Level level, u64 offset, u64 word)
  {
    const u64 entries = table_entries<F>(level);
    const auto via = static_cast<Level>(level + 1);
    const MemoryWord* const words = memory_.words(at, entries);
    if (!words) return refuse({AnomalyKind::outside_memory, via, offset, word});
    if (s_.tables_.size() >= limits_.max_tables) return refuse({AnomalyKind::too_many_tables, via, offset, word});
    if (!seen_.mark(at, u64{1} << table_order<F>(level))) {
      const auto known = shared_.find(at.value);
      if (known == shared_.end() || s_.tables_[known->second].level != level)
        return refuse({AnomalyKind::table_seen_twice, via, offset, word});
      const u64 first = s_.tables_[known->second].offset;
      if (s_.range_.contains(Range{first, first + table_span<F>(level)})) return known->second;
    }

    const auto number = static_cast<u32>(s_.tables_.size());
    const u64 first_word = s_.words_.size();
    s_.words_.resize(first_word + entries);
    std::memcpy(s_.words_.data() + first_word, words, entries * sizeof(u64));
    s_.tables_.push_back({at, offset, first_word, Snapshot::no_table, static_cast<u16>(entries), level});
    if (s_.source_.maker == Maker::foreign) shared_[at.value] = number;
    if (level > 0) read_children(number, level, offset);
    return number;
  }

  u32 refuse(Anomaly anomaly)
  {
    if (s_.anomaly_count_++ < limits_.max_anomalies) s_.anomalies_.push_back(anomaly);
    return Snapshot::no_table;
  }

 private:
  void read_children(u32 number, Level level, u64 base)
  {
    const auto first_child = static_cast<u32>(s_.children_.size());
    s_.tables_[number].first_child = first_child;
    s_.children_.resize(s_.children_.size() + table_entries<F>(level), Snapshot::no_table);
    const u64 first_word = s_.tables_[number].first_word;
    for (u32 i = 0; i < table_entries<F>(level); ++i) {
      const u64 word = s_.words_[first_word + i];
      if (word == 0) continue;
      const Range span{base + i * entry_bytes<F>(level), base + (i + u64{1}) * entry_bytes<F>(level)};
      if (!span.overlaps(s_.range_)) continue;
      if (s_.source_.maker == Maker::foreign && !is_present(F::id, word)) continue;
      const EntryKind kind = F::kind(word, level);
      if (kind == EntryKind::malformed) refuse({AnomalyKind::malformed_entry, level, span.start, word});
      if (kind != EntryKind::table) continue;
      const u32 child = read(F::address(word, level), static_cast<Level>(level - 1), span.start, word);
      s_.children_[first_child + i] = child;
    }
  }

  Snapshot& s_;
  const PhysicalMemory& memory_;
  const SnapshotLimits limits_;
  SeenPages seen_;
  std::unordered_map<u64, u32> shared_;  // foreign: where a table stands, its copy
};

void Snapshot::retake(const PhysicalMemory& memory, TreeSource source, Range range, SnapshotLimits limits)
{
  source_ = source;
  range_ = range;
  tables_.clear();
  words_.clear();
  children_.clear();
  anomalies_.clear();
  anomaly_count_ = 0;
  AllFormats::dispatch(source.format, false, [&]<class F>() {
    TableReader<F> reader(*this, memory, limits);
    if (source.root_level >= F::levels.size()) return false;
    if (!is_aligned(source.root.value, table_entries<F>(source.root_level) * sizeof(u64)))
      reader.refuse({AnomalyKind::root_unaligned, source.root_level, 0, source.root.value});
    else
      reader.read(source.root, source.root_level, 0, source.root.value);
    return true;
  });
}

EntryAt Snapshot::entry(u64 offset, Level level) const
{
  const FormatInfo& info = format_info();
  u32 table = root();
  EntryAt at{0, 0, source_.root_level, EntryKind::hole, table != no_table};
  if (offset >= root_span()) table = no_table;
  while (table != no_table) {
    const Table& t = tables_[table];
    const LevelInfo& shape = info.levels[t.level];
    const auto index = static_cast<u32>(offset >> shape.shift_lg2 & (t.entries - 1u));
    const u64 word = words_[t.first_word + index];
    at = {word, align_down(offset, lg2_bytes(shape.shift_lg2)), t.level, kind_of(info, source_.maker, word, t.level),
          true};
    if (t.level <= level || at.kind != EntryKind::table) return at;
    table = child(table, index);
    if (table == no_table) at.readable = false;
  }
  return at;
}

u64 Snapshot::root_span() const
{
  const LevelInfo& level = format_info().levels[source_.root_level];
  return lg2_bytes(level.shift_lg2 + level.index_bits);
}

u32 Snapshot::table_at(u64 offset, Level level) const
{
  const FormatInfo& info = format_info();
  u32 table = offset < root_span() ? root() : no_table;
  while (table != no_table && tables_[table].level > level) {
    const Table& t = tables_[table];
    table = child(table, static_cast<u32>(offset >> info.levels[t.level].shift_lg2 & (t.entries - 1u)));
  }
  return table != no_table && tables_[table].level == level ? table : no_table;
}

}  // namespace morsel::inspect
