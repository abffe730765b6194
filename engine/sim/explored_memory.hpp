// SPDX-License-Identifier: GPL-2.0-or-later
//
// Memory under exploration. It knows what each page is, and what has become of it. Tables have contents; frames are
// addresses with a state, because nothing looks into them.
//
// Each owner (the stage, each actor) allocates from a region of its own, and nothing is used twice: an address depends
// on its owner's history alone, so that two schedules which differ only in order come to the same state; and a use
// after free is always seen.
//
// A table that its owner has just allocated may be written without the platform, until the owner's act is over; such
// tables are *fresh*: saved and hashed as wholes. All other tables are written by write() only.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "engine/base/bits.hpp"
#include "engine/base/expected.hpp"
#include "engine/sim/mix.hpp"
#include "engine/sim/undo_log.hpp"

namespace morsel::sim {

inline constexpr u32 max_owners = 8;  // 0: the stage; actors from 1

// The state of a 4-KiB page.
struct PageFlags {
  static constexpr u8 table = 1, frame = 2;
  static constexpr u8 written_log = 4, written_back = 8;    // the truth: written, and not reported to that consumer yet
  static constexpr u8 carried_log = 16, carried_back = 32;  // what the frame's state says: dirty log, verdict
  static constexpr u8 written = written_log | written_back, carried = carried_log | carried_back;
};

class ExploredMemory {
 public:
  explicit ExploredMemory(UndoLog& log);

  // What is copied as a whole when a state is saved.
  struct Counts {
    std::array<u16, max_owners> tables{}, small_frames{};
    std::array<std::array<u8, 2>, max_owners> large_frames{};  // of 2 MiB, of 1 GiB
    u64 used_pages = 0;
    u64 hash = 0;  // of all words and flags, without fresh tables
  };
  Counts counts;

  Expected<PhysAddr> allocate_table(u32 owner, u32 order);
  Expected<PhysAddr> allocate_frame(u32 owner, Level level);
  // False: it is none.
  bool free_table(PhysAddr table, u32 order);
  bool free_frame(PhysAddr frame, Level level);

  u64* words(PhysAddr table) const { return words_.get() + (table.value - first_table) / sizeof(u64); }
  PhysAddr address(const u64* word) const
  {
    return {first_table + static_cast<u64>(word - words_.get()) * sizeof(u64)};
  }
  bool holds(PhysAddr table) const { return table.value - first_table < table_bytes; }
  bool is_table(PhysAddr at) const { return holds(at) && flags_of(at) & PageFlags::table; }
  bool is_table(const u64* word) const
  {
    return flags_[(address(word).value - first_table) >> page_lg2] & PageFlags::table;
  }

  // All memory for tables. What stands in pages that are none means nothing.
  static constexpr u64 table_memory_start() { return first_table; }
  static constexpr u64 table_memory_bytes() { return table_bytes; }

  void write(u64* word, u64 value);

  u8 flags_of(PhysAddr page) const;
  void set_flags(PhysAddr page, u8 set, u8 clear = 0);

  // The owner's act is over: its tables are like all others from now on.
  void settle_fresh(u32 owner);
  // For whoever saves states: the fresh tables, and their hash.
  template <class Visitor>
  void for_each_fresh(Visitor&& visit) const
  {
    for (const Fresh& f : fresh_) visit(words(f.table));
  }
  u64 fresh_hash() const;
  std::size_t fresh_count() const { return fresh_.size(); }
  static constexpr std::size_t words_per_table = page_bytes / sizeof(u64);
  // Which tables are fresh is part of the state, too.
  struct Fresh {
    PhysAddr table;
    u32 owner;
  };
  const std::vector<Fresh>& fresh() const { return fresh_; }
  void set_fresh(const Fresh* first, std::size_t count) { fresh_.assign(first, first + count); }

 private:
  static constexpr u64 first_table = u64{1} << 30;
  static constexpr u64 first_frame = u64{1} << 36;
  static constexpr u64 tables_each = 128, small_each = 2048, large_each = 8, huge_each = 2;
  static constexpr u64 table_bytes = max_owners * tables_each * page_bytes;
  static constexpr u64 region_lg2 = 34;  // of one owner's frames: 1 GiB of small ones, 1 GiB of 2-MiB ones, 1-GiB ones

  // Where a frame's flags stand; null: it is no address of a frame.
  u8* flags_at(PhysAddr page) const;
  void change_flags(PhysAddr page, u8& flags, u8 value);
  u64 hash_of(PhysAddr table) const;
  bool is_fresh(PhysAddr table) const;

  UndoLog& log_;
  std::unique_ptr<u64[]> words_;
  mutable std::vector<u8> flags_, small_, large_;
  mutable std::array<std::vector<u8>, max_owners * huge_each> huge_;
  std::vector<Fresh> fresh_;
};

}  // namespace morsel::sim
