// SPDX-License-Identifier: GPL-2.0-or-later
//
// Walk traces: every entry that a hardware walk touches, decoded. One-dimensional (a view, the primary), and
// two-dimensional (a guest's tables whose every address goes through a nested view).
#pragma once
#include <vector>

#include "engine/inspect/decode.hpp"
#include "engine/inspect/snapshot.hpp"

namespace morsel::inspect {

enum class WalkEnd : u8 { translated, not_present, denied, malformed, outside_memory };
std::string_view walk_end_name(WalkEnd end);

struct WalkStep {
  PhysAddr table;
  u32 index = 0;
  PhysAddr entry_address;  // where the word stands
  DecodedEntry entry;
};

struct WalkTrace {
  std::vector<WalkStep> steps;  // root first
  WalkEnd end = WalkEnd::not_present;
  PhysAddr target;  // translated: the byte's physical address
  Level leaf_level = 0;
  Rights rights;      // of the whole path
  bool user = false;  // foreign: user mode has them, too
};

// `offset` is a byte address in the tree's own address space.
WalkTrace trace_walk(const PhysicalMemory& memory, TreeSource source, u64 offset, Rights wanted);

// A guest-virtual address through the guest's own tables (`guest`: its root is a guest-physical address) and the
// nested tables. nested[i] translates the guest table of guest step i; the last one translates the result.
struct NestedWalkTrace {
  std::vector<WalkStep> guest;
  std::vector<WalkTrace> nested;
  WalkEnd end = WalkEnd::not_present;
  PhysAddr target;
};
NestedWalkTrace trace_nested_walk(const PhysicalMemory& memory, TreeSource guest, TreeSource nested, u64 address,
                                  Rights wanted);

}  // namespace morsel::inspect
