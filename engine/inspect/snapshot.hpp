// SPDX-License-Identifier: GPL-2.0-or-later
//
// A snapshot: copies of all tables of one tree within a range, read out of physical memory that may change or lie
// meanwhile. A table that is reached twice, lies outside memory or exceeds the limit is reported and not followed, so
// that loops end; in a foreign tree, entries of one level may share a table, of which there is one copy. Malformed
// entries above level 0 are reported too; those at level 0 are left to diff and decode. Everything later (diff, trees
// on the screen, walks) reads the copy.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "engine/format/all.hpp"
#include "engine/inspect/foreign.hpp"
#include "engine/inspect/physical_memory.hpp"

namespace morsel::inspect {

// What to read: a tree of any target.
struct TreeSource {
  FormatId format = FormatId::amd64;
  PhysAddr root;
  Level root_level = 0;
  Maker maker = Maker::engine;
};

enum class AnomalyKind : u8 {
  outside_memory,    // an entry points to a table outside memory
  table_seen_twice,  // a loop, or a table shared by two entries
  too_many_tables,   // the limit is reached: the rest is not shown
  malformed_entry,   // reserved bits, or a combination that hardware refuses
  root_unaligned,
};
std::string_view anomaly_name(AnomalyKind kind);

struct Anomaly {
  AnomalyKind kind;
  Level level;  // of the entry
  u64 offset;   // start of the span it covers
  u64 word;
};

struct SnapshotLimits {
  u64 max_tables = u64{1} << 20;
  u64 max_anomalies = 1000;  // more are counted, not kept
};

// One entry of the tree at (offset, level): the word that governs it. If the tree ends above `level` (a larger leaf, a
// hole, a reservation), `level` says where.
struct EntryAt {
  u64 word = 0;
  u64 offset = 0;   // start of the span of the governing entry
  Level level = 0;  // level of the governing entry
  EntryKind kind = EntryKind::hole;
  bool readable = true;  // false: its table could not be read (see the anomalies)
};

template <class F>
class TableReader;

class Snapshot {
 public:
  static constexpr u32 no_table = ~u32{0};

  // `range` in bytes of the object; what lies outside is not read below the level where it separates.
  static Snapshot take(const PhysicalMemory& memory, TreeSource source, Range range, SnapshotLimits limits = {})
  {
    Snapshot s;
    s.retake(memory, source, range, limits);
    return s;
  }
  // The same into this snapshot, whose buffers are reused.
  void retake(const PhysicalMemory& memory, TreeSource source, Range range, SnapshotLimits limits = {});

  FormatId format() const { return source_.format; }
  const FormatInfo& format_info() const { return *find_format(source_.format); }
  TreeSource source() const { return source_; }
  Range range() const { return range_; }
  u64 table_count() const { return tables_.size(); }
  const std::vector<Anomaly>& anomalies() const { return anomalies_; }
  u64 anomaly_count() const { return anomaly_count_; }

  // Tables by number; 0 is the root (if it could be read).
  u32 root() const { return tables_.empty() ? no_table : 0; }
  Level table_level(u32 table) const { return tables_[table].level; }
  // Of a shared table: where it is reached first.
  u64 table_offset(u32 table) const { return tables_[table].offset; }
  PhysAddr table_address(u32 table) const { return tables_[table].at; }
  std::span<const u64> words(u32 table) const
  {
    return {words_.data() + tables_[table].first_word, tables_[table].entries};
  }
  // The copy of the table that entry `index` points to; no_table if there is none.
  u32 child(u32 table, u32 index) const
  {
    const u32 first = tables_[table].first_child;
    return first == no_table ? no_table : children_[first + index];
  }

  // The entry that governs `offset` at `level` or above; a hole beyond what the root covers.
  EntryAt entry(u64 offset, Level level) const;
  // The copy of the table at `level` that covers `offset`; no_table if the tree ends above.
  u32 table_at(u64 offset, Level level) const;

 private:
  u64 root_span() const;

  struct Table {
    PhysAddr at;
    u64 offset;
    u64 first_word;   // into words_
    u32 first_child;  // into children_; no_table at level 0
    u16 entries;
    Level level;
  };
  template <class F>
  friend class TableReader;

  TreeSource source_;
  Range range_;
  std::vector<Table> tables_;
  std::vector<u64> words_;
  std::vector<u32> children_;
  std::vector<Anomaly> anomalies_;
  u64 anomaly_count_ = 0;
};

}  // namespace morsel::inspect
