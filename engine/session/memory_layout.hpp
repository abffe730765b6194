// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where a guest sees the bytes of its RAM. QEMU's PCs leave a hole below 4 GiB for devices, and put what does not fit
// before it above 4 GiB; in a RAM image or a RAM file both parts follow each other.
//
//   file    |0 ............ low|low ............ end|
//   guest   |0 ............ low|  hole  |4 GiB ............|
//
//   flat    none: the file is physical memory from 0 on
//   q35     with at least 0xb0000000 bytes the first part has 2 GiB, with less it is all (hw/i386/pc_q35.c,
//   pc_q35_init) pc      i440FX: from 0xe0000000 bytes on the first part has 3 GiB (hw/i386/pc_piix.c, pc_init1)
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::session {

enum class MemoryLayout : u8 { flat, q35, pc };

constexpr std::optional<MemoryLayout> find_layout(std::string_view name)
{
  if (name == "flat") return MemoryLayout::flat;
  if (name == "q35") return MemoryLayout::q35;
  if (name == "pc") return MemoryLayout::pc;
  return {};
}

struct MemoryPart {
  u64 guest_start = 0, file_offset = 0, bytes = 0;
  bool operator==(const MemoryPart&) const = default;
};

inline std::vector<MemoryPart> memory_parts(MemoryLayout layout, u64 bytes)
{
  constexpr u64 high_start = 4 * gibibyte;
  const u64 split_from = layout == MemoryLayout::q35 ? 0xb0000000 : 0xe0000000;
  const u64 low_bytes = layout == MemoryLayout::q35 ? 2 * gibibyte : 3 * gibibyte;
  if (layout == MemoryLayout::flat || bytes < split_from) return {{0, 0, bytes}};
  return {{0, 0, low_bytes}, {high_start, low_bytes, bytes - low_bytes}};
}

}  // namespace morsel::session
