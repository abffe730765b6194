// SPDX-License-Identifier: GPL-2.0-or-later
//
// An object in persistent memory, and the platform that its operations run on: every access is counted, and before one
// of them the machine may stop, or another operation run from begin to end.
#pragma once
#include <functional>
#include <map>
#include <memory>

#include "engine/morsel/all.hpp"
#include "engine/morsel/persistent.hpp"
#include "engine/morsel/recover.hpp"
#include "engine/sim/fault_plan.hpp"
#include "engine/sim/machine.hpp"
#include "engine/sim/persistent_memory.hpp"

namespace morsel::sim {

struct CrashWorld {
  struct Stopped {};  // thrown where the machine stops

  explicit CrashWorld(PersistentMemory& m) : memory(m) {}

  // Before each access that others could see.
  void access()
  {
    if (stopped) return;  // destructors on the way out
    if (between) between();
    if (++accesses != stop_at) return;
    stopped = true;
    throw Stopped{};
  }

  PersistentMemory& memory;
  Object object;
  View view;
  FaultPlan faults;
  u64* size_word = nullptr;  // the object's size, as persistent memory has it
  u32 accesses = 0;
  u32 stop_at = 0;
  bool stopped = false;
  std::function<void()> between;
  RetiredList retired;  // since the outermost section that is open began
  u32 inside = 0;
  u64 last_token = 0;
};

class CrashBase {
 public:
  using Retired = RetiredList;
  explicit CrashBase(CrashWorld& world) : w_(world) {}

  void enter() { ++w_.inside; }
  void leave();
  void wait_for_grace_period(SyncPoint) { w_.access(); }

  Expected<PhysAddr> allocate_table(TreeId, Level, u32 order = 0) { return w_.memory.allocate(order); }
  void discard_table(TreeId, Level, PhysAddr table) { w_.memory.release(table, 0); }
  void free_table(TreeId, Level, PhysAddr table, u32 order) { w_.memory.release(table, order); }
  u64* words(PhysAddr table) { return w_.memory.words(table); }
  Expected<PhysAddr> allocate_frame(Level level) { return w_.memory.allocate(9u * level); }
  void discard_frame(PhysAddr frame, Level level) { w_.memory.release(frame, 9u * level); }
  void free_frame(PhysAddr frame, Level level) { w_.memory.release(frame, 9u * level); }
  bool adopt_table(Level, PhysAddr table) { return w_.memory.adopt(table, 0); }
  bool adopt_frame(PhysAddr frame, Level level) { return w_.memory.adopt(frame, 9u * level); }

  u64 load(SyncPoint, const EntryRef& e) { return w_.memory.load(e.word); }
  u64 exchange(SyncPoint, const EntryRef& e, u64 desired)
  {
    w_.access();
    const u64 before = w_.memory.load(e.word);
    w_.memory.store(e.word, desired);
    return before;
  }
  bool compare_exchange(SyncPoint, const EntryRef& e, u64 expected, u64 desired)
  {
    w_.access();
    if (w_.memory.load(e.word) != expected) return false;
    w_.memory.store(e.word, desired);
    return true;
  }
  void store_private(SyncPoint, const EntryRef& e, u64 leaf) { *e.word = leaf; }
  void add(SyncPoint, TreeId, Counter& counter, int delta) { counter.value += static_cast<u32>(delta); }
  u32 read(SyncPoint, TreeId, const Counter& counter) { return counter.value; }
  u64 load_word(SyncPoint, const u64& word) { return word; }
  void store_word(SyncPoint at, u64& word, u64 value)
  {
    w_.access();
    word = value;
    if (at == SyncPoint::resize) w_.memory.store(w_.size_word, value);
  }
  void* load_pointer(SyncPoint, void* const& slot) { return slot; }
  void store_pointer(SyncPoint, void*& slot, void* value) { slot = value; }
  void flush(SyncPoint, const FlushRequest&) { w_.access(); }
  void carry(SyncPoint, PhysAddr, Level) {}
  bool is_dirty(PhysAddr) { return false; }
  bool take_dirty(SyncPoint, PhysAddr) { return false; }
  void copy_frame(SyncPoint, PhysAddr from, PhysAddr to, Level level);

  void persist(SyncPoint at, const u64* words, u64 bytes);
  void persist_frame(SyncPoint at, PhysAddr frame, Level level);

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
  {
    retired.tables.push_back({tree, tree == primary_tree ? PrimaryFormat::id : w_.view.tree.format, level, table});
  }
  void note_frame(Retired& retired, PhysAddr frame, Level level) { retired.frames.push_back({frame, level}); }
  template <class Visitor>
  void for_each_table(Retired& retired, Visitor&& visit)
  {
    for (const RetiredTable& t : retired.tables) visit(t.tree, t.level, t.table);
  }
  void retire(SyncPoint at, Retired& retired);
  u64 token() { return ++w_.last_token; }

 private:
  template <class WriteBack>
  void persist_by(SyncPoint at, WriteBack&& write_back);

  CrashWorld& w_;
};

using CrashPlatform = Persistent<CrashBase>;
static_assert(RecoveryPlatform<CrashPlatform>);

}  // namespace morsel::sim
