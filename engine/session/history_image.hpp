// SPDX-License-Identifier: GPL-2.0-or-later
//
// A copy of a target's tables at their physical addresses: address space is reserved for all of the target's memory,
// and only pages that something was written to take memory. So whatever reads a target's tables reads these as well.
//
// Thread safety: one thread at a time.
#pragma once
#include <optional>
#include <vector>

#include "engine/inspect/physical_memory.hpp"
#include "engine/session/failure.hpp"

namespace morsel::session {

// A part of physical memory.
struct Extent {
  u64 start = 0;
  u64 bytes = 0;
  bool operator==(const Extent&) const = default;
};
std::vector<Extent> extents_of(const inspect::PhysicalMemory& memory);

class TableImage {
 public:
  using Index = u64;  // of a word, counted through all extents

  // All zero. Failure if the address space cannot be reserved.
  explicit TableImage(std::vector<Extent> extents);
  ~TableImage();
  TableImage(const TableImage&) = delete;
  TableImage& operator=(const TableImage&) = delete;

  const inspect::PhysicalMemory& memory() const { return memory_; }
  const std::vector<Extent>& extents() const { return extents_; }
  // Of the first of `count` words; nothing if they do not lie in one extent.
  std::optional<Index> index(PhysAddr at, u64 count = 1) const;
  PhysAddr address(Index index) const;
  u64 get(Index index) const { return words_[index]; }
  void set(Index index, u64 word)
  {
    words_[index] = word;
    used_[index / words_per_page] = true;
  }
  // Pages that something was ever written to, ascending.
  std::vector<PhysAddr> used_pages() const;

  static constexpr u64 words_per_page = page_bytes / sizeof(u64);

 private:
  std::vector<Extent> extents_;
  u64 bytes_ = 0;
  u64* words_ = nullptr;
  std::vector<bool> used_;
  inspect::PhysicalMemory memory_;
};

}  // namespace morsel::session
