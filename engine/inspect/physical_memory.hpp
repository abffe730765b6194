// SPDX-License-Identifier: GPL-2.0-or-later
//
// The physical memory of a target as its inspector sees it: a few segments mapped read-only into this process. What
// stands in it is hostile input: nothing outside the segments is ever touched.
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

#include "engine/base/bits.hpp"
#include "engine/base/types.hpp"

namespace morsel::inspect {

struct MemorySegment {
  u64 start = 0;  // physical address of the first byte, multiple of 4096
  u64 bytes = 0;  // multiple of 4096
  const std::byte* host = nullptr;
};

// A word of memory: in a dump it stands where the file has it, on no boundary.
using MemoryWord [[gnu::aligned(1)]] = u64;

class PhysicalMemory {
 public:
  PhysicalMemory() = default;
  // They do not overlap.
  explicit PhysicalMemory(std::vector<MemorySegment> segments) : segments_(std::move(segments))
  {
    std::sort(segments_.begin(), segments_.end(), [](const auto& a, const auto& b) { return a.start < b.start; });
  }

  // `count` words at `at`; null if any of them is outside memory or `at` is not a multiple of 8.
  const MemoryWord* words(PhysAddr at, u64 count) const
  {
    if (!is_aligned(at.value, sizeof(u64)) || count > (~u64{0} >> 3)) return nullptr;
    const auto after = std::upper_bound(segments_.begin(), segments_.end(), at.value,
                                        [](u64 value, const MemorySegment& s) { return value < s.start; });
    if (after == segments_.begin()) return nullptr;
    const MemorySegment& s = *std::prev(after);
    if (at.value - s.start > s.bytes || count * sizeof(u64) > s.bytes - (at.value - s.start)) return nullptr;
    return reinterpret_cast<const MemoryWord*>(s.host + (at.value - s.start));
  }
  // Ascending.
  const std::vector<MemorySegment>& segments() const { return segments_; }
  u64 bytes() const
  {
    u64 sum = 0;
    for (const MemorySegment& s : segments_) sum += s.bytes;
    return sum;
  }

 private:
  std::vector<MemorySegment> segments_;
};

}  // namespace morsel::inspect
