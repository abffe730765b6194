// SPDX-License-Identifier: GPL-2.0-or-later
//
// Persistent memory behind a volatile cache: 8-byte stores are atomic, a 64-byte line reaches memory as a whole, in any
// state that it passed through since it was last written back (stores to one line keep their order, lines have none).
// A line may be evicted at any moment. write_back() begins to make what it holds certain, the next fence() ends that.
//
// crash() leaves every line that is not certain undecided; each is decided when it is first read, by the next number of
// a script. Running through all scripts is running through all memories that a crash can leave, as far as anybody who
// reads can tell them apart.
//
// A page of frames is modelled by its first line: enough to tell whose contents it holds.
#pragma once
#include <array>
#include <map>
#include <vector>

#include "engine/base/expected.hpp"

namespace morsel::sim {

inline constexpr u64 line_bytes = 64;

class PersistentMemory {
 public:
  explicit PersistentMemory(u64 pages);

  static constexpr u64 words_per_page = page_bytes / sizeof(u64);
  // Not zero, so that a physical address is never mistaken for a hole; 2^order pages, naturally aligned.
  static constexpr PhysAddr base{u64{1} << 30};
  Expected<PhysAddr> allocate(u32 order);
  void release(PhysAddr at, u32 order);
  bool adopt(PhysAddr at, u32 order);  // after a crash: false if it is in use or no memory
  u64 used_pages() const { return used_pages_; }

  // Stores that are seen one by one. What is written through words() is private until it is persisted.
  u64* words(PhysAddr at);
  // The contents of a frame, for load() and for writing privately: one line stands for all.
  u64* content(PhysAddr frame);
  u64 load(const u64* word);
  void store(u64* word, u64 value);
  void write_back(const u64* word, u64 bytes);
  void fence();
  void persist(const u64* word, u64 bytes)
  {
    write_back(word, bytes);
    fence();
  }

  // Copies of it cost what was touched since they were the same.
  void become(const PersistentMemory& other);
  // What a crash of `other` leaves, to be decided by `script`.
  void become_crashed(const PersistentMemory& other, std::vector<u32>* script);

 private:
  struct Store {
    u64 word;
    u64 value;
  };
  struct Line {
    std::vector<Store> stores;  // since it was last persistent, oldest first
  };
  // A line on its way to persistent memory.
  struct WrittenBack {
    std::size_t stores = 0;  // of those that lines_ has, the first so many are in it
    std::array<u64, line_bytes / sizeof(u64)> words{};
  };
  u64 index_of(const u64* word) const { return static_cast<u64>(word - now_.data()); }
  static u64 line_of(u64 word) { return word / (line_bytes / sizeof(u64)); }
  void decide(u64 line);
  void touch(u64 page);
  template <class Copy>
  void copy_pages(const PersistentMemory& other, Copy&& copy);
  bool in_use(u64 first, u64 count) const;

  std::vector<u64> now_;   // what actors see
  std::vector<u64> kept_;  // what is persistent for certain
  std::map<u64, Line> lines_;
  std::map<u64, WrittenBack> written_back_;  // since the last fence
  std::vector<bool> used_;
  u64 used_pages_ = 0;
  std::vector<bool> is_touched_;  // pages that may differ from those of the others
  std::vector<u64> touched_;

  // After a crash only.
  std::vector<bool> undecided_;
  std::vector<u64> evicted_;   // what the cache held
  std::vector<u32>* script_ = nullptr;
  std::size_t decisions_ = 0;

 public:
  // The next script in the order of enumeration; false: that was the last.
  static bool advance(std::vector<u32>& script, const std::vector<u32>& options);
  std::vector<u32> options;  // how many states each decided line had, in the order of decisions
};

}  // namespace morsel::sim
