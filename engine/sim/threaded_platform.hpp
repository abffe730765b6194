// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine on real threads and real atomics, for stress tests, ThreadSanitizer and benches. No hardware walks these
// trees; walkers are threads that call lookup() inside a grace section.
//
// Grace periods by epochs: a section publishes the epoch it began in; what is retired is stamped with a later one and
// released when every open section began after that stamp.
#pragma once
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <mutex>
#include <vector>

#include "engine/morsel/all.hpp"
#include "engine/sim/arena.hpp"

namespace morsel::sim {

inline constexpr u32 max_threads = 64;

class ThreadedWorld {
 public:
  struct Retired {
    std::vector<RetiredTable> tables;
    std::vector<std::pair<PhysAddr, Level>> frames;
  };

  explicit ThreadedWorld(u64 memory_bytes) : arena_(memory_bytes), dirty_(arena_.pages()) {}

  Arena& arena() { return arena_; }
  u64 next_token() { return tokens_.fetch_add(1, std::memory_order_relaxed) + 1; }
  u64 flushes() const { return flushes_.load(std::memory_order_relaxed); }
  void count_flush() { flushes_.fetch_add(1, std::memory_order_relaxed); }

  void enter(u32 thread) { sections_[thread].began.store(epoch_.load()); }
  void leave(u32 thread) { sections_[thread].began.store(0); }
  void retire(Retired retired);
  void wait_for_grace_period() const;
  std::atomic<bool>& dirty(PhysAddr frame) { return dirty_[arena_.page_number(frame)]; }
  // What may be released now.
  std::vector<Retired> take_expired();

 private:
  struct alignas(64) Section {
    std::atomic<u64> began{0};  // 0: outside
  };
  struct Waiting {
    u64 stamp;
    Retired retired;
  };
  Arena arena_;
  std::vector<std::atomic<bool>> dirty_;  // the dirty log, for each page of memory
  mutable std::atomic<u64> epoch_{1};
  std::array<Section, max_threads> sections_;
  std::mutex mutex_;
  std::deque<Waiting> waiting_;  // ascending stamps
  std::atomic<u64> tokens_{0};
  std::atomic<u64> flushes_{0};
};

// One thread's door. `thread` is its number, below max_threads and nobody else's.
class ThreadedPlatform {
 public:
  using Retired = ThreadedWorld::Retired;
  ThreadedPlatform(ThreadedWorld& world, u32 thread) : world_(world), thread_(thread) {}

  void enter() { world_.enter(thread_); }
  void leave()
  {
    world_.leave(thread_);
    release_expired();
  }
  void release_expired();

  Expected<PhysAddr> allocate_table(TreeId, Level, u32 order = 0) { return world_.arena().allocate(order); }
  void discard_table(TreeId tree, Level level, PhysAddr table) { free_table(tree, level, table, 0); }
  u64* words(PhysAddr table) { return world_.arena().words(table); }
  Expected<PhysAddr> allocate_frame(Level level) { return world_.arena().allocate(9u * level); }
  void discard_frame(PhysAddr frame, Level level) { free_frame(frame, level); }

  u64 load(SyncPoint, const EntryRef& e) { return std::atomic_ref(*e.word).load(); }
  void store_private(SyncPoint, const EntryRef& e, u64 word) { *e.word = word; }
  u64 exchange(SyncPoint, const EntryRef& e, u64 desired) { return std::atomic_ref(*e.word).exchange(desired); }
  bool compare_exchange(SyncPoint, const EntryRef& e, u64 expected, u64 desired)
  {
    return std::atomic_ref(*e.word).compare_exchange_strong(expected, desired);
  }
  void add(SyncPoint, TreeId, Counter& counter, int delta)
  {
    std::atomic_ref(counter.value).fetch_add(static_cast<u32>(delta));
  }
  u32 read(SyncPoint, TreeId, Counter& counter) { return std::atomic_ref(counter.value).load(); }
  u64 load_word(SyncPoint, u64& word) { return std::atomic_ref(word).load(); }
  void store_word(SyncPoint, u64& word, u64 value) { std::atomic_ref(word).store(value); }
  void* load_pointer(SyncPoint, void*& slot) { return std::atomic_ref(slot).load(); }
  void store_pointer(SyncPoint, void*& slot, void* value) { std::atomic_ref(slot).store(value); }
  void flush(SyncPoint, const FlushRequest&) { world_.count_flush(); }
  void carry(SyncPoint, PhysAddr frame, Level level)
  {
    for (u64 page = 0; page < entry_bytes<PrimaryFormat>(level); page += page_bytes) world_.dirty(frame + page) = true;
  }
  bool is_dirty(PhysAddr frame) { return world_.dirty(frame); }
  bool take_dirty(SyncPoint, PhysAddr frame) { return world_.dirty(frame).exchange(false); }
  void copy_frame(SyncPoint, PhysAddr from, PhysAddr to, Level level)
  {
    std::memcpy(world_.arena().host(to), world_.arena().host(from), entry_bytes<PrimaryFormat>(level));
  }
  void wait_for_grace_period(SyncPoint) { world_.wait_for_grace_period(); }

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table);
  void note_frame(Retired& retired, PhysAddr frame, Level level) { retired.frames.emplace_back(frame, level); }
  template <class Visitor>
  void for_each_table(Retired& retired, Visitor&& visit)
  {
    for (const RetiredTable& t : retired.tables) visit(t.tree, t.level, t.table);
  }
  void retire(SyncPoint, Retired& retired) { world_.retire(std::exchange(retired, {})); }
  void free_table(TreeId, Level, PhysAddr table, u32 order) { world_.arena().release(table, order); }
  void free_frame(PhysAddr frame, Level level) { world_.arena().release(frame, 9u * level); }
  u64 token() { return world_.next_token(); }

  // The format of each view, by number, so that note_table can say what a retired table holds.
  void set_format(TreeId tree, FormatId format) { formats_[tree] = format; }

 private:
  ThreadedWorld& world_;
  const u32 thread_;
  std::array<FormatId, max_views + 1> formats_ = [] {
    std::array<FormatId, max_views + 1> all{};
    all.fill(FormatId::amd64);
    return all;
  }();
};
static_assert(Platform<ThreadedPlatform>);

}  // namespace morsel::sim
