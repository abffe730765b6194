// SPDX-License-Identifier: GPL-2.0-or-later
//
// A small physical memory that tests write tables into by hand, with nothing of the engine's operations.
#pragma once
#include <gtest/gtest.h>

#include <random>

#include "engine/format/tests/slow_decoder.hpp"
#include "engine/inspect/physical_memory.hpp"
#include "engine/inspect/snapshot.hpp"

namespace morsel::inspect {

class TestMemory {
 public:
  static constexpr u64 start = u64{1} << 20;
  explicit TestMemory(u64 pages = 256) : words_(pages * 512) {}

  PhysicalMemory memory() const
  {
    return PhysicalMemory({{start, words_.size() * 8, reinterpret_cast<const std::byte*>(words_.data())}});
  }
  PhysAddr page(u64 n) const { return {start + n * page_bytes}; }
  u64& word(u64 page, u64 index) { return words_[page * 512 + index]; }
  u64 read(u64 table, u64 index) const
  {
    const u64 at = table + index * 8;
    return at >= start && at + 8 <= start + words_.size() * 8 ? words_[(at - start) / 8] : 0;
  }
  std::vector<u64>& words() { return words_; }

 private:
  std::vector<u64> words_;
};

inline constexpr u64 MiB = u64{1} << 20;

}  // namespace morsel::inspect
