// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine: physical memory, objects, and a walker for every format, in this process and deterministic.
// One operation runs at a time, from its first point to its last, on plain memory; the same calls give the same words
// in the same places. Its walker caches nothing and sets accessed and dirty bits as hardware does.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "engine/morsel/all.hpp"
#include "engine/sim/arena.hpp"
#include "engine/sim/fault_plan.hpp"

namespace morsel::sim {

// What waits for the end of a grace period.
struct RetiredFrame {
  PhysAddr frame;
  Level level;
};
struct RetiredList {
  std::vector<RetiredTable> tables;
  std::vector<RetiredFrame> frames;
  bool empty() const { return tables.empty() && frames.empty(); }
};

struct EmbeddedObject {
  std::string name;
  u32 id = 0;
  std::string base;  // the name of the object that it is a clone of
  Object object;
  std::map<TreeId, std::unique_ptr<View>> views;
  RetiredList retired;  // since the section that is open now began
  u64 tables = 0;       // of all trees, retired ones included
  u64 frames = 0;
  u32 inside = 0;  // open grace sections
  u64 last_token = 0;
};

class Machine {
 public:
  explicit Machine(u64 memory_bytes) : arena_(memory_bytes), dirty_(arena_.pages()) {}

  Arena& arena() { return arena_; }
  FaultPlan& faults() { return faults_; }
  u64 flushes = 0;  // since the start
  u64 fills = 0;

  // The frame state's dirty-log bit; the dirty log reads it.
  void mark_dirty(PhysAddr frame, Level level);
  bool is_dirty(PhysAddr frame) const { return dirty_[arena_.page_number(frame)]; }
  bool take_dirty(PhysAddr frame)
  {
    const bool dirty = is_dirty(frame);
    dirty_[arena_.page_number(frame)] = false;
    return dirty;
  }

 private:
  Arena arena_;
  FaultPlan faults_;
  std::vector<bool> dirty_;
};

// The embedded machine as the engine's platform.
class EmbeddedPlatform {
 public:
  using Retired = RetiredList;
  static constexpr bool own_walker = true;
  EmbeddedPlatform(Machine& machine, EmbeddedObject& object) : machine_(machine), object_(object) {}

  void enter() { ++object_.inside; }
  void leave();

  Expected<PhysAddr> allocate_table(TreeId tree, Level level, u32 order = 0);
  void discard_table(TreeId tree, Level level, PhysAddr table) { free_table(tree, level, table, 0); }
  u64* words(PhysAddr table) { return machine_.arena().words(table); }
  Expected<PhysAddr> allocate_frame(Level level);
  void discard_frame(PhysAddr frame, Level level) { free_frame(frame, level); }

  u64 load(SyncPoint, const EntryRef& e) { return *e.word; }
  void store_private(SyncPoint, const EntryRef& e, u64 word) { *e.word = word; }
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired);
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired);
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta);
  u32 read(SyncPoint, TreeId, const Counter& counter) { return counter.value; }
  u64 load_word(SyncPoint, const u64& word) { return word; }
  void store_word(SyncPoint, u64& word, u64 value) { word = value; }
  void* load_pointer(SyncPoint, void* const& slot) { return slot; }
  void store_pointer(SyncPoint, void*& slot, void* value) { slot = value; }
  void flush(SyncPoint at, const FlushRequest& request);
  void carry(SyncPoint at, PhysAddr frame, Level level);
  bool is_dirty(PhysAddr frame) const { return machine_.is_dirty(frame); }
  bool take_dirty(SyncPoint, PhysAddr frame) { return machine_.take_dirty(frame); }
  void copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level);
  // One operation runs at a time: nobody is inside a section.
  void wait_for_grace_period(SyncPoint) {}

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table);
  void note_frame(Retired& retired, PhysAddr frame, Level level) { retired.frames.push_back({frame, level}); }
  template <class Visitor>
  void for_each_table(Retired& retired, Visitor&& visit)
  {
    for (const RetiredTable& t : retired.tables) visit(t.tree, t.level, t.table);
  }
  void retire(SyncPoint at, Retired& retired);
  void free_table(TreeId tree, Level level, PhysAddr table, u32 order);
  void free_frame(PhysAddr frame, Level level);
  u64 token() { return ++object_.last_token; }

 private:
  bool dropped(SyncPoint at, TreeId tree) { return machine_.faults().decide(at, tree) == MORSEL_FAULT_DROP; }
  FormatId format_of(TreeId tree) const;

  Machine& machine_;
  EmbeddedObject& object_;
};
static_assert(Platform<EmbeddedPlatform>);

}  // namespace morsel::sim
