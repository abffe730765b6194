// SPDX-License-Identifier: GPL-2.0-or-later
//
// Physical memory with page tables in it, as a guest would have left them: tables lie at random places of an arena that
// looks like guest RAM. Made by the format headers only, so that a bench measures readers and not the engine's writers.
#pragma once
#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "engine/format/all.hpp"
#include "engine/inspect/physical_memory.hpp"
#include "engine/inspect/snapshot.hpp"

namespace morsel::bench {

class TableImage {
 public:
  // Room for `tables` tables, each at a random page of an arena four times as large.
  explicit TableImage(u64 tables) : pages_(tables * 4), words_(std::make_unique<u64[]>(pages_ * 512)), free_(pages_ - 1)
  {
    std::iota(free_.begin(), free_.end(), u64{1});
    std::shuffle(free_.begin(), free_.end(), std::mt19937_64(pages_));
  }

  PhysAddr allocate()
  {
    const u64 page = free_.back();
    free_.pop_back();
    return PhysAddr{page << page_lg2};
  }
  u64* words(PhysAddr at) { return words_.get() + at.value / sizeof(u64); }
  const u64* words(PhysAddr at) const { return words_.get() + at.value / sizeof(u64); }

  // A tree of format F whose `pages` first pages are mapped by 4-KiB leaves. Frames of two neighbouring pages are never
  // neighbours, as in a guest that has run for a while.
  template <PageFormat F>
  inspect::TreeSource map(u64 pages, Level root_level)
  {
    const PhysAddr root = allocate();
    for (u64 page = 0; page < pages; ++page) {
      const u64 offset = page << page_lg2;
      PhysAddr table = root;
      for (Level level = root_level; level > 0; --level) {
        u64& entry = words(table)[entry_index<F>(offset, level)];
        if (entry == 0) entry = F::make_table(allocate(), level);
        table = F::address(entry, level);
      }
      const PhysAddr frame{((page ^ 1) + 0x100000) << page_lg2};
      words(table)[entry_index<F>(offset, 0)] = F::make_leaf(frame, 0, {rights_rw, true, true});
    }
    return {F::id, root, root_level};
  }

  inspect::PhysicalMemory memory() const
  {
    return inspect::PhysicalMemory({{0, pages_ << page_lg2, reinterpret_cast<const std::byte*>(words_.get())}});
  }

 private:
  u64 pages_;
  std::unique_ptr<u64[]> words_;
  std::vector<u64> free_;
};

}  // namespace morsel::bench
