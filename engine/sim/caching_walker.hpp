// SPDX-License-Identifier: GPL-2.0-or-later
//
// The walker of one tree in the embedded machine, an MMU's or an IOMMU's: it caches translations of pages, pointers to
// tables, and, in formats that allow it, that a page is absent (Intel SDM 3A 4.10, VT-d 6.1, RISC-V
// Privileged, SFENCE.VMA).
// What is cached is used without a look at memory until a flush takes it out, or another takes its place.
//
// As on hardware, an access that a cached translation does not allow, and a write through one that is not dirty yet,
// walks again; a flush of any range takes all pointers to tables; a large leaf is cached page by page. A pointer that a
// lost flush has left behind leads into whatever its table's memory is now, and accessed and dirty bits are set there.
#pragma once
#include <map>
#include <optional>
#include <utility>

#include "engine/session/target.hpp"
#include "engine/sim/arena.hpp"
#include "engine/table/tree.hpp"

namespace morsel::sim {

class CachingWalker {
 public:
  struct Translated {
    PhysAddr frame;  // of the 4-KiB page
    bool cached;     // no memory was looked at
  };
  // One access at a byte offset of the tree; `right` is exactly one. Nothing: it faults.
  std::optional<Translated> translate(const Arena& memory, const Tree& tree, u64 offset, Rights right);
  void flush(Range range);
  session::WalkerCaches caches() const;

 private:
  // As many as a small second-level TLB and a paging-structure cache have. Each has one place that it can stand in.
  static constexpr u64 translation_places = 1024, table_places = 16;
  using Translation = session::WalkerCaches::Translation;
  struct Pointer {
    session::WalkerCaches::Table to;
    Rights above;  // of the path from the root to it
  };

  template <PageFormat F>
  std::optional<Translated> walk(const Arena& memory, const Tree& tree, u64 page, Rights right);
  template <PageFormat F>
  Pointer nearest_table(const Tree& tree, u64 page) const;
  void keep(const Translation& t) { translations_[(t.page >> page_lg2) % translation_places] = t; }

  std::map<u64, Translation> translations_;          // by place
  std::map<std::pair<Level, u64>, Pointer> tables_;  // by level and place
};

}  // namespace morsel::sim
