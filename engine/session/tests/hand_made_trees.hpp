// SPDX-License-Identifier: GPL-2.0-or-later
//
// Trees written by hand into a small memory, so that every cell is known.
#pragma once
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "engine/morsel/object.hpp"
#include "engine/session/aligned.hpp"

namespace morsel::session {

inline constexpr u64 mib2 = u64{2} << 20;

// Physical memory of 64 pages at address 0; page n is table n.
class TableMemory {
 public:
  TableMemory() : words_(64 * 512) {}
  template <class F>
  void table(u64 page, u32 index, u64 to)
  {
    words_[page * 512 + index] = F::make_table(PhysAddr{to * page_bytes});
  }
  template <class F>
  void leaf(u64 page, u32 index, u64 frame, Level level = 0, Rights rights = rights_rw)
  {
    words_[page * 512 + index] = F::make_leaf(PhysAddr{frame}, level, {rights});
  }
  void word(u64 page, u32 index, u64 value) { words_[page * 512 + index] = value; }
  inspect::PhysicalMemory memory() const
  {
    return inspect::PhysicalMemory({{0, words_.size() * 8, reinterpret_cast<const std::byte*>(words_.data())}});
  }

 private:
  std::vector<u64> words_;
};

// A 4-MiB object with a PMD root in page 1, its first PTE table in page 2; an EPT view with a PML4 root in page 10.
class HandMadeTrees : public ::testing::Test {
 protected:
  HandMadeTrees()
  {
    object_.name = "a";
    object_.bytes = 2 * mib2;
    object_.root = PhysAddr{page_bytes};
    object_.root_level = 1;
    object_.views.push_back({1, FormatId::ept, PhysAddr{10 * page_bytes}, 3, 0});
    memory_.table<Amd64L4>(1, 0, 2);
    for (u32 n = 0; n < 8; ++n) memory_.leaf<Amd64L4>(2, n, 0x100000 + n * page_bytes);
    memory_.table<EptL4>(10, 0, 11);
    memory_.table<EptL4>(11, 0, 12);
    memory_.table<EptL4>(12, 0, 13);
    for (u32 n = 0; n < 4; ++n) memory_.leaf<EptL4>(13, n, 0x100000 + n * page_bytes);
  }
  AlignedTree tree(std::optional<Range> range = {}) const
  {
    return AlignedTree::capture(memory_.memory(), object_, range);
  }

  TableMemory memory_;
  ObjectState object_;
};

// Each page with a difference of its own: what is wrong with the view there.
class TreesThatDiffer : public HandMadeTrees {
 protected:
  TreesThatDiffer()
  {
    object_.bytes = 4 * mib2;
    memory_.leaf<EptL4>(13, 1, 0x30000);
    memory_.word(2, 2, 0);
    memory_.word(2, 8, software::make_moving({PhysAddr{0x108000}, rights_rw, 1}));
    memory_.leaf<EptL4>(13, 8, 0x108000);
    memory_.word(13, 4, software::make_reserved(9, software::Stale::no));
    memory_.leaf<Amd64L4>(2, 6, 0x106000, 0, right_read);
    memory_.leaf<EptL4>(13, 6, 0x106000);
    memory_.word(13, 7, 2);  // to be written and not to be read: there is no such entry
    memory_.table<Amd64L4>(1, 1, 3);
    memory_.leaf<Amd64L4>(3, 0, 0x200000);
    memory_.table<EptL4>(12, 1, 1000);  // outside memory
  }
};

}  // namespace morsel::session
