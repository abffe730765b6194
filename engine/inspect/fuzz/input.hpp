// SPDX-License-Identifier: GPL-2.0-or-later
//
// An input of inspect_fuzz: this header, then the contents of physical memory from `memory_start` on.
#pragma once
#include "engine/sim/arena.hpp"

namespace morsel::inspect {

struct FuzzHeader {
  u8 formats[2];       // index into format_table: ignored for the primary, the view's
  u8 root_levels[2];   // of the primary and of the view
  u16 root_pages[2];   // number of the page at which the root stands
  u32 range_pages[2];  // first page of the range, and how many
  u64 address;         // to walk
  u8 right;            // of that walk: 0 read, 1 write, 2 execute
};

// Where the embedded machine's memory is, so that a copy of it is an input as it stands.
inline constexpr PhysAddr memory_start = sim::Arena::base;

}  // namespace morsel::inspect
