// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's world in the benches, and the memory that it shares with the hand-written loops, so that both pay the
// same for a table, a frame, an atomic access and a grace section.
//
// Tables lie in one block of memory that was touched beforehand. Frames are numbers: nobody reads or writes them.
//
//   Access::sole  nobody else can reach the object: plain loads and stores, no sections. What libraries without
//                 concurrency are compared with.
//   Access::live  anybody may: sequentially consistent atomics, sections as in epoch reclamation (one full barrier).
#pragma once
#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "engine/morsel/all.hpp"

namespace morsel::bench {

inline constexpr u64 words_in_table = page_bytes / sizeof(u64);

// One thread's supply of tables and frames.
class Pool {
 public:
  // At most `tables` tables, and `frames` frames retired by one operation.
  Pool(u64 tables, u64 frames)
      : tables_(tables), memory_(new(std::align_val_t{page_bytes}) u64[tables * words_in_table])
  {
    std::memset(memory_.get(), 0, tables * page_bytes);
    free_.reserve(tables);
    unlinked_.reserve(tables);
    retired_frames_ = std::make_unique<u64[]>(frames);
    std::memset(retired_frames_.get(), 0, frames * sizeof(u64));
  }

  PhysAddr table()
  {
    if (free_.empty()) {
      if (next_table_ == tables_) return {};
      return zeroed(PhysAddr{reinterpret_cast<u64>(memory_.get()) + next_table_++ * page_bytes});
    }
    const PhysAddr table = free_.back();
    free_.pop_back();
    return zeroed(table);
  }
  void give_table(PhysAddr table) { free_.push_back(table); }

  PhysAddr frame(u64 bytes)
  {
    const u64 at = next_frame_;
    next_frame_ = at + bytes;
    return PhysAddr{at};
  }
  u64* retired_frames() { return retired_frames_.get(); }

  // Tables that were unlinked: `first` on of them since an operation began.
  void unlink(const RetiredTable& table) { unlinked_.push_back(table); }
  std::vector<RetiredTable>& unlinked() { return unlinked_; }

  // Everything is given back at once.
  void reset()
  {
    free_.clear();
    unlinked_.clear();
    next_table_ = 0;
    next_frame_ = first_frame;
  }
  u64 tables_in_use() const { return next_table_ - free_.size(); }
  u64 next_token() { return ++token_; }
  void set_first_token(u64 token) { token_ = token; }

  alignas(64) u64 section = 0;  // the epoch in which the thread's section began, 0: outside

 private:
  static constexpr u64 first_frame = u64{1} << 40;
  struct Freed {
    void operator()(u64* memory) const { ::operator delete[](memory, std::align_val_t{page_bytes}); }
  };
  static PhysAddr zeroed(PhysAddr table)
  {
    std::memset(reinterpret_cast<void*>(table.value), 0, page_bytes);
    return table;
  }

  u64 tables_;
  std::unique_ptr<u64[], Freed> memory_;
  std::unique_ptr<u64[]> retired_frames_;
  std::vector<PhysAddr> free_;
  std::vector<RetiredTable> unlinked_;
  u64 next_table_ = 0;
  unsigned long long next_frame_ = first_frame;  // no u64: a store to an entry cannot change it, and compilers know
  u64 token_ = 0;
};

// A table's physical address is where it lies in this program.
inline u64* table_words(PhysAddr table) { return reinterpret_cast<u64*>(table.value); }

inline u64 epoch = 1;  // of all sections; nobody waits for them here

enum class Access : u8 { sole, live };

// The accesses themselves, for the engine and for the hand-written loops.
template <Access A>
struct Word {
  template <class T>
  static T load(const T& word)
  {
    if constexpr (A == Access::sole) return word;
    return std::atomic_ref(const_cast<T&>(word)).load();
  }
  template <class T>
  static void store(T& word, T value)
  {
    if constexpr (A == Access::sole) word = value;
    else std::atomic_ref(word).store(value);
  }
  static u64 exchange(u64& word, u64 value)
  {
    if constexpr (A == Access::sole) return std::exchange(word, value);
    return std::atomic_ref(word).exchange(value);
  }
  static bool compare_exchange(u64& word, u64 expected, u64 desired)
  {
    if constexpr (A == Access::live) return std::atomic_ref(word).compare_exchange_strong(expected, desired);
    if (word != expected) return false;
    word = desired;
    return true;
  }
  static void add(u32& word, u32 delta)
  {
    if constexpr (A == Access::sole) word += delta;
    else std::atomic_ref(word).fetch_add(delta);
  }
  static void enter(Pool& pool)
  {
    if constexpr (A == Access::live) std::atomic_ref(pool.section).store(load(epoch));
  }
  static void leave(Pool& pool)
  {
    if constexpr (A == Access::live) std::atomic_ref(pool.section).store(0, std::memory_order_release);
  }
};

template <Access A>
class BenchPlatform {
  using W = Word<A>;

 public:
  struct Retired {
    u64 frames = 0;
    u64 tables = 0;
  };

  explicit BenchPlatform(Pool& pool) : pool_(pool) { retired_frames = pool.retired_frames(); }

  void enter() { W::enter(pool_); }
  void leave() { W::leave(pool_); }

  Expected<PhysAddr> allocate_table(TreeId, Level, u32 = 0)
  {
    const PhysAddr table = pool_.table();
    return table.value ? Expected<PhysAddr>(table) : Error::no_memory;
  }
  void discard_table(TreeId, Level, PhysAddr table) { pool_.give_table(table); }
  u64* words(PhysAddr table) { return table_words(table); }
  Expected<PhysAddr> allocate_frame(Level level) { return pool_.frame(entry_bytes<PrimaryFormat>(level)); }
  void discard_frame(PhysAddr, Level) {}

  u64 load(SyncPoint, const EntryRef& e) { return W::load(*e.word); }
  void store_private(SyncPoint, const EntryRef& e, u64 word) { *e.word = word; }
  u64 exchange(SyncPoint, const EntryRef& e, u64 desired) { return W::exchange(*e.word, desired); }
  bool compare_exchange(SyncPoint, const EntryRef& e, u64 expected, u64 desired)
  {
    return W::compare_exchange(*e.word, expected, desired);
  }
  void add(SyncPoint, TreeId, Counter& counter, int delta) { W::add(counter.value, static_cast<u32>(delta)); }
  u32 read(SyncPoint, TreeId, const Counter& counter) { return W::load(counter.value); }
  u64 load_word(SyncPoint, const u64& word) { return W::load(word); }
  void store_word(SyncPoint, u64& word, u64 value) { W::store(word, value); }
  void* load_pointer(SyncPoint, void* const& slot) { return W::load(slot); }
  void store_pointer(SyncPoint, void*& slot, void* value) { W::store(slot, value); }
  void flush(SyncPoint, const FlushRequest&) {}
  void carry(SyncPoint, PhysAddr, Level) {}
  bool is_dirty(PhysAddr) { return false; }
  bool take_dirty(SyncPoint, PhysAddr) { return false; }
  void copy_frame(SyncPoint, PhysAddr, PhysAddr, Level) {}
  void wait_for_grace_period(SyncPoint) {}

  void note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
  {
    pool_.unlink({tree, FormatId::amd64, level, table});
    ++retired.tables;
  }
  void note_frame(Retired& retired, PhysAddr frame, Level) { retired_frames[retired.frames++] = frame.value; }
  template <class Visitor>
  [[gnu::always_inline]] void for_each_table(Retired& retired, Visitor&& visit)
  {
    if (retired.tables == 0) return;
    const auto& unlinked = pool_.unlinked();
    for (u64 i = unlinked.size() - retired.tables; i < unlinked.size(); ++i)
      visit(unlinked[i].tree, unlinked[i].level, unlinked[i].table);
  }
  void retire(SyncPoint, Retired&) {}
  void free_table(TreeId, Level, PhysAddr table, u32 = 0) { pool_.give_table(table); }
  void free_frame(PhysAddr, Level) {}
  u64 token() { return pool_.next_token(); }

 private:
  Pool& pool_;
  // No member: reading one might fault as far as compilers know, and a loop would read it again for each frame, where
  // one by hand has it in a register.
  static inline thread_local u64* retired_frames = nullptr;
};
static_assert(Platform<BenchPlatform<Access::sole>> && Platform<BenchPlatform<Access::live>>);

}  // namespace morsel::bench
