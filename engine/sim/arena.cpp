// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace morsel::sim {

Arena::Arena(u64 bytes) : bytes_(bytes), blocks_(bytes / (block_pages * page_bytes))
{
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* const at = ::mmap(nullptr, bytes + behind_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::byte*>(at);
}

Arena::~Arena() { ::munmap(memory_, bytes_ + behind_bytes); }

Expected<PhysAddr> Arena::allocate(u32 order_lg2)
{
  const std::lock_guard lock(mutex_);
  if (order_lg2 == 0) return allocate_page();
  if (order_lg2 < 9) return allocate_run(order_lg2);
  return allocate_blocks(order_lg2 - 9);
}

PhysAddr Arena::zeroed(std::size_t block, u32 page, u32 count)
{
  const PhysAddr at = base + (block * block_pages + page) * page_bytes;
  for (u32 i = page; i < page + count; ++i) {
    if (blocks_[block].written[i]) std::memset(host(at + (i - page) * page_bytes), 0, page_bytes);
    blocks_[block].written[i] = true;
    blocks_[block].used[i] = true;
  }
  used_pages_ += count;
  return at;
}

Expected<PhysAddr> Arena::allocate_page()
{
  for (; first_partial_ < blocks_.size(); ++first_partial_) {
    const auto free = ~blocks_[first_partial_].used;
    if (free.any()) return zeroed(first_partial_, static_cast<u32>(free._Find_first()), 1);
  }
  return Error::no_memory;
}

Expected<PhysAddr> Arena::allocate_run(u32 order_lg2)
{
  const u32 count = 1u << order_lg2;
  for (std::size_t i = first_partial_; i < blocks_.size(); ++i)
    for (u32 page = 0; page < block_pages; page += count) {
      u32 free = 0;
      while (free < count && !blocks_[i].used[page + free]) ++free;
      if (free == count) return zeroed(i, page, count);
    }
  return Error::no_memory;
}

// From the end, so that single pages and blocks do not mix.
Expected<PhysAddr> Arena::allocate_blocks(u32 count_lg2)
{
  const std::size_t count = std::size_t{1} << count_lg2;
  for (std::size_t first = align_down(blocks_.size(), count); first >= count;) {
    first -= count;
    std::size_t free = 0;
    while (free < count && blocks_[first + free].used.none()) ++free;
    if (free < count) continue;
    for (std::size_t i = 0; i < count; ++i) zeroed(first + i, 0, block_pages);
    return base + first * block_pages * page_bytes;
  }
  return Error::no_memory;
}

void Arena::release(PhysAddr at, u32 order_lg2)
{
  if (!contains(at)) return;
  const std::lock_guard lock(mutex_);
  const u64 first = page_number(at), end = std::min(first + (u64{1} << order_lg2), pages());
  for (u64 page = first; page < end; ++page) {
    auto used = blocks_[page / block_pages].used[page % block_pages];
    used_pages_ -= used ? 1 : 0;
    used = false;
  }
  if (first / block_pages < first_partial_) first_partial_ = first / block_pages;
}

void Arena::reset()
{
  const std::lock_guard lock(mutex_);
  ::madvise(memory_, bytes_ + behind_bytes, MADV_DONTNEED);
  std::fill(blocks_.begin(), blocks_.end(), Block{});
  first_partial_ = 0;
  used_pages_ = 0;
}

u64 Arena::used_pages() const
{
  const std::lock_guard lock(mutex_);
  return used_pages_;
}

}  // namespace morsel::sim
