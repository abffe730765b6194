// SPDX-License-Identifier: GPL-2.0-or-later
//
// Physical memory of a machine inside this process: one reserved mapping, of which only what is used takes memory, and
// an allocator of 4-KiB pages and naturally aligned runs of them. A run may be given back page by page.
//
// Entries that an injected fault has spoilt name any address: those outside are memory that is not there.
//
// Thread safety: allocation and release may run at once; the contents are the callers'.
#pragma once
#include <bitset>
#include <cstddef>
#include <mutex>
#include <vector>

#include "engine/base/bits.hpp"
#include "engine/base/expected.hpp"
#include "engine/inspect/physical_memory.hpp"

namespace morsel::sim {

class Arena {
 public:
  // `bytes`: a multiple of 2 MiB. Throws std::bad_alloc if the address space cannot be reserved.
  explicit Arena(u64 bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // One zeroed page, or 2^order_lg2 naturally aligned ones. no_memory when full.
  Expected<PhysAddr> allocate(u32 order_lg2);
  // What is not there, or is free, stays so.
  void release(PhysAddr at, u32 order_lg2);
  // As it was when it was made. Nobody may use anything of it.
  void reset();

  std::byte* host(PhysAddr at) const { return memory_ + (at.value - base.value); }
  u64* words(PhysAddr at) const { return reinterpret_cast<u64*>(host(at)); }
  // The table at an address that an entry names: where no memory is, one that nobody else looks at.
  u64* table_words(PhysAddr at) const { return words(contains(at) ? at : base + bytes_); }
  bool contains(PhysAddr at) const { return at.value >= base.value && at.value - base.value < bytes_; }
  bool contains(PhysAddr at, u64 bytes) const { return contains(at) && bytes <= bytes_ - (at.value - base.value); }
  u64 page_number(PhysAddr at) const { return (at.value - base.value) >> page_lg2; }
  u64 pages() const { return bytes_ >> page_lg2; }
  u64 used_pages() const;
  inspect::PhysicalMemory memory() const { return inspect::PhysicalMemory({{base.value, bytes_, memory_}}); }

  // Not zero, so that a physical address is never mistaken for a hole.
  static constexpr PhysAddr base{u64{1} << 30};

 private:
  static constexpr u32 block_pages = 512;
  static constexpr u64 behind_bytes = 16 * page_bytes;  // mapped behind the end: a table is no larger
  struct Block {
    std::bitset<block_pages> used;
    std::bitset<block_pages> written;  // handed out before: must be zeroed
  };
  Expected<PhysAddr> allocate_page();
  Expected<PhysAddr> allocate_run(u32 order_lg2);
  Expected<PhysAddr> allocate_blocks(u32 count_lg2);
  PhysAddr zeroed(std::size_t block, u32 page, u32 count);

  mutable std::mutex mutex_;
  std::byte* memory_ = nullptr;
  const u64 bytes_;
  std::vector<Block> blocks_;
  std::size_t first_partial_ = 0;  // no block before it has a free page
  u64 used_pages_ = 0;
};

}  // namespace morsel::sim
