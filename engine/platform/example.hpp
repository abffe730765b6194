// SPDX-License-Identifier: GPL-2.0-or-later
//
// The smallest platform: one thread, a fixed pool of tables and frames, no hardware. A specimen to start from: its
// comments say what each member owes the engine. It is also what the engine is compiled for in its static checks.
#pragma once
#include <array>
#include <utility>

#include "engine/platform/platform.hpp"

namespace morsel {

template <std::size_t Pages>
class ExamplePlatform {
 public:
  // What an operation has unlinked. One thread and no hardware: nothing has to wait, so nothing is kept.
  struct Retired {};

  // Between enter and leave, nothing retired after `enter` may be reused.
  void enter() { ++inside_; }
  void leave() { --inside_; }

  // A zeroed table of 2^order pages. `tree` and `level` say what for: a platform may need another kind of memory for
  // each. This pool has single pages only.
  Expected<PhysAddr> allocate_table(TreeId, Level, u32 order = 0)
  {
    return order == 0 ? take() : Expected<PhysAddr>(Error::no_memory);
  }
  void discard_table(TreeId, Level, PhysAddr table) { give(table); }
  u64* words(PhysAddr table) { return memory_[index(table)].data(); }

  // A zeroed frame, naturally aligned. This pool has no large ones.
  Expected<PhysAddr> allocate_frame(Level level) { return level == 0 ? take() : Expected<PhysAddr>(Error::no_memory); }
  void discard_frame(PhysAddr frame, Level) { give(frame); }

  // Each shared access. With more than one thread these are sequentially consistent atomics; a platform that steps,
  // records or injects faults does so here, and knows where it is by the point and the entry.
  u64 load(SyncPoint, const EntryRef& e) { return *e.word; }
  void store_private(SyncPoint, const EntryRef& e, u64 word) { *e.word = word; }
  u64 exchange(SyncPoint, const EntryRef& e, u64 desired)
  {
    const u64 before = *e.word;
    *e.word = desired;
    return before;
  }
  bool compare_exchange(SyncPoint, const EntryRef& e, u64 expected, u64 desired)
  {
    if (*e.word != expected) return false;
    *e.word = desired;
    return true;
  }
  void add(SyncPoint, TreeId, Counter& counter, int delta) { counter.value += static_cast<u32>(delta); }
  u32 read(SyncPoint, TreeId, const Counter& counter) { return counter.value; }
  u64 load_word(SyncPoint, const u64& word) { return word; }
  void store_word(SyncPoint, u64& word, u64 value) { word = value; }
  void* load_pointer(SyncPoint, void* const& slot) { return slot; }
  void store_pointer(SyncPoint, void*& slot, void* value) { slot = value; }

  // Returns when no walker of the tree can use what it cached of the range before. Here nobody caches anything.
  void flush(SyncPoint, const FlushRequest&) {}

  // The frame was written through a mapping whose dirty bit has just been removed. Two states come of it: the dirty
  // log, which is_dirty and take_dirty read page by page, and the platform's own verdict when the frame is freed.
  void carry(SyncPoint, PhysAddr frame, Level) { dirty_[index(frame)] = true; }
  bool is_dirty(PhysAddr frame) const { return dirty_[index(frame)]; }
  bool take_dirty(SyncPoint, PhysAddr frame) { return std::exchange(dirty_[index(frame)], false); }

  void copy_frame(SyncPoint, PhysAddr from, PhysAddr to, Level) { memory_[index(to)] = memory_[index(from)]; }

  // Nobody else is here, so nobody has to leave.
  void wait_for_grace_period(SyncPoint) {}

  // Called inside a section, after the entry that pointed there is gone. retire() hands the list over: after the grace
  // period, release() (engine/morsel/reclaim.hpp) is called for each table and free_frame for each frame.
  void note_table(Retired&, TreeId, Level, PhysAddr) {}
  void note_frame(Retired&, PhysAddr frame, Level) { give(frame); }
  template <class Visitor>
  void for_each_table(Retired&, Visitor&&)
  {
  }
  void retire(SyncPoint, Retired&) {}
  void free_table(TreeId, Level, PhysAddr table, u32) { give(table); }
  void free_frame(PhysAddr frame, Level) { give(frame); }

  u64 token() { return ++token_; }

 private:
  // Page 0 stays free, so that no table has the address zero.
  Expected<PhysAddr> take()
  {
    for (std::size_t i = 1; i < Pages; ++i)
      if (!used_[i]) {
        used_[i] = true;
        memory_[i] = {};
        return PhysAddr{i * page_bytes};
      }
    return Error::no_memory;
  }
  void give(PhysAddr page) { used_[index(page)] = false; }
  static std::size_t index(PhysAddr pa) { return pa.value / page_bytes; }

  std::array<std::array<u64, page_bytes / sizeof(u64)>, Pages> memory_{};
  std::array<bool, Pages> used_{};
  std::array<bool, Pages> dirty_{};
  u64 token_ = 0;
  int inside_ = 0;
};

static_assert(Platform<ExamplePlatform<2>>);

}  // namespace morsel
