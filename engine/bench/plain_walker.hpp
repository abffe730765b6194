// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the readers are measured against: loops written by hand for one format, with only the checks that the job needs,
// on the same memory. They share nothing with engine/inspect.
#pragma once
#include <vector>

#include "engine/base/types.hpp"
#include "engine/inspect/physical_memory.hpp"

namespace morsel::bench {

struct LeafRecord {
  u64 address;
  u64 word;
};

// Every present leaf of a 4-level AMD64 tree, in order, into records. Refuses to leave memory; nothing more.
class PlainWalker {
 public:
  explicit PlainWalker(const inspect::PhysicalMemory& memory) : memory_(memory) {}

  const std::vector<LeafRecord>& walk(u64 root, unsigned root_level)
  {
    records_.clear();
    table(root, root_level, 0);
    return records_;
  }

 private:
  void table(u64 at, unsigned level, u64 address)
  {
    const u64* words = memory_.words(PhysAddr{at}, 512);
    if (!words) return;
    const unsigned shift = 12 + 9 * level;
    for (u64 i = 0; i < 512; ++i) {
      const u64 word = words[i];
      if (!(word & 1)) continue;
      const u64 here = address + (i << shift);
      if (level == 0 || (word & 0x80)) records_.push_back({here, word});
      else table(word & 0x000f'ffff'ffff'f000, level - 1, here);
    }
  }

  const inspect::PhysicalMemory& memory_;
  std::vector<LeafRecord> records_;
};

// Reads every word of a tree once. `present` is the mask of the format's presence bits.
inline u64 read_once(const inspect::PhysicalMemory& memory, u64 at, unsigned level, u64 present)
{
  const u64* words = memory.words(PhysAddr{at}, 512);
  u64 sum = 0;
  if (level == 0) {
    for (u64 i = 0; i < 512; ++i) sum += words[i];
    return sum;
  }
  for (u64 i = 0; i < 512; ++i) {
    sum += words[i];
    if (words[i] & present) sum += read_once(memory, words[i] & 0x000f'ffff'ffff'f000, level - 1, present);
  }
  return sum;
}

}  // namespace morsel::bench
