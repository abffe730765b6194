// SPDX-License-Identifier: GPL-2.0-or-later
//
// The platform of an actor under exploration: it stops before every shared access. Without a stop it is quiet, for
// setting the stage and for looking.
#pragma once
#include <functional>

#include "engine/sim/explored_world.hpp"

namespace morsel::sim {

class ExploredPlatform {
 public:
  using Retired = RetiredList;
  using Stop = std::function<void(SyncPoint, const EntryRef&)>;  // returns when the actor may go on
  using Record = std::function<void(u64 before, u64 after)>;

  explicit ExploredPlatform(ExploredWorld& world, u32 actor = 0, Stop stop = {}, Record record = {})
      : world_(world), actor_(actor), stop_(std::move(stop)), record_(std::move(record))
  {
  }

  void enter()
  {
    stop(SyncPoint::enter, {});
    world_.enter(actor_);
  }
  void leave()
  {
    stop(SyncPoint::leave, {});
    world_.leave(actor_);
  }

  Expected<PhysAddr> allocate_table(TreeId tree, Level, u32 order = 0)
  {
    if (world_.faults.decide(SyncPoint::alloc, tree) == MORSEL_FAULT_FAIL) return Error::no_memory;
    return world_.allocate_table(order);
  }
  void discard_table(TreeId, Level, PhysAddr table) { world_.free_table(table, 0); }
  u64* words(PhysAddr table) { return world_.table_words(table); }
  Expected<PhysAddr> allocate_frame(Level level) { return world_.allocate_frame(level); }
  void discard_frame(PhysAddr frame, Level level) { world_.free_frame(frame, level); }

  u64 load(SyncPoint at, const EntryRef& e)
  {
    reach(at, e);
    record(*e.word, *e.word);
    return *e.word;
  }
  u64 exchange(SyncPoint at, const EntryRef& e, u64 desired)
  {
    reach(at, e);
    const u64 before = *e.word;
    if (!dropped(at, e.tree)) *e.word = desired;
    record(before, *e.word);
    return before;
  }
  bool compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
  {
    reach(at, e);
    const u64 before = *e.word;
    const bool equal = before == expected;
    if (equal && !dropped(at, e.tree)) *e.word = desired;
    record(before, *e.word);
    return equal;
  }
  void add(SyncPoint at, TreeId tree, Counter& counter, int delta)
  {
    stop(at, {nullptr, 0, tree, 0});
    if (!dropped(at, tree)) counter.value += static_cast<u32>(delta);
  }
  u32 read(SyncPoint at, TreeId tree, const Counter& counter)
  {
    stop(at, {nullptr, 0, tree, 0});
    return dropped(at, tree) ? 0 : counter.value;
  }
  u64 load_word(SyncPoint at, const u64& word)
  {
    stop(at, {});
    return word;
  }
  void store_word(SyncPoint at, u64& word, u64 value)
  {
    stop(at, {});
    word = value;
  }
  void* load_pointer(SyncPoint at, void* const& slot)
  {
    stop(at, {});
    return slot;
  }
  void store_pointer(SyncPoint at, void*& slot, void* value)
  {
    stop(at, {});
    slot = value;
  }
  void flush(SyncPoint at, const FlushRequest& request)
  {
    stop(at, {nullptr, request.range.start, request.tree, 0});
    if (dropped(at, request.tree)) return;
    Hardware& hardware = world_.hardware(request.tree);
    const Hardware::FlushId flush = hardware.begin_flush();
    stop(at, {nullptr, request.range.start, request.tree, 0});
    hardware.end_flush(flush, request.range);
  }
  void carry(SyncPoint at, PhysAddr frame, Level level)
  {
    stop(at, {});
    if (!dropped(at, primary_tree)) world_.carry(frame, level);
  }

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
  {
    retired.tables.push_back({tree, world_.tree(tree).format, level, table});
  }
  void note_frame(Retired& retired, PhysAddr frame, Level level) { retired.frames.push_back({frame, level}); }
  template <class Visitor>
  void for_each_table(Retired& retired, Visitor&& visit)
  {
    for (const RetiredTable& t : retired.tables) visit(t.tree, t.level, t.table);
  }
  void retire(SyncPoint at, Retired& retired)
  {
    stop(at, {});
    world_.retire(std::exchange(retired, {}));
  }
  void free_table(TreeId, Level, PhysAddr table, u32 order) { world_.free_table(table, order); }
  void free_frame(PhysAddr frame, Level level) { world_.free_frame(frame, level); }
  u64 token() { return world_.scenario.reuse_tokens ? 1 : ++world_.last_token; }

 private:
  void stop(SyncPoint at, const EntryRef& e)
  {
    if (stop_) stop_(at, e);
  }
  // An access to an entry: its table must still be one when the actor goes on.
  void reach(SyncPoint at, const EntryRef& e)
  {
    stop(at, e);
    world_.check_in_table(e.word);
  }
  void record(u64 before, u64 after)
  {
    if (record_) record_(before, after);
  }
  bool dropped(SyncPoint at, TreeId tree) { return stop_ && world_.faults.decide(at, tree) == MORSEL_FAULT_DROP; }

  ExploredWorld& world_;
  const u32 actor_;
  const Stop stop_;
  const Record record_;
};
static_assert(Platform<ExploredPlatform>);

}  // namespace morsel::sim
