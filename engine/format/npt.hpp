// SPDX-License-Identifier: GPL-2.0-or-later
//
// AMD nested page tables (NPT): the AMD64 long-mode format, walked as user accesses, from guest-physical to
// system-physical addresses. Four levels, as the host's paging mode without LA57. AMD APM volume 2, section 15.25.
//
//   guest-physical  [47:39]  [38:30]  [29:21]  [20:12]  [11:0]
//    nCR3 ------->  PML4 --> PDPT -->  PD  -->   PT  --> frame
#pragma once
#include "engine/format/amd64.hpp"

namespace morsel {

struct Npt : Amd64Bits {
  static constexpr FormatId id = FormatId::npt;
  static constexpr std::string_view name = "npt";
  static constexpr std::string_view title = "AMD nested page tables, 4 levels";
  static constexpr bool break_before_make = true;
  static constexpr bool caches_non_present = false;
  static constexpr u64 accessed_bit = accessed;
  static constexpr u64 dirty_bit = dirty;
  static constexpr auto levels = levels_up_to<4>(2);

  static constexpr u8 all = at_levels(0, 3);
  static constexpr u8 upper = at_levels(1, 3);
  static constexpr std::array own_fields{
      Field{"P", present, all, in_present, "present", "APM 2 §15.25.5"},
      Field{"R/W", writable, all, in_present, "writes allowed", "APM 2 §15.25.5"},
      Field{"U/S", user, all, in_present, "must be set: every nested access counts as a user access", "APM 2 §15.25.5"},
      Field{"PWT", bit(3), all, in_present, "write-through; PAT index bit 0", "APM 2 §15.25.8"},
      Field{"PCD", bit(4), all, in_present, "cache disable; PAT index bit 1", "APM 2 §15.25.8"},
      Field{"A", accessed, all, in_present, "accessed, set by hardware", "APM 2 §15.25.6"},
      Field{"D", dirty, all, in_leaf, "dirty, set by hardware", "APM 2 §15.25.6"},
      Field{"ign", bit(6), upper, in_table, "ignored", "APM 2 §5.3.3"},
      Field{"PAT", bit(7), at_level(0), in_leaf, "PAT index bit 2", "APM 2 §15.25.8"},
      Field{"PS", page_size, at_levels(1, 2), in_leaf, "maps a large page", "APM 2 §15.25.5"},
      Field{"G", bit(8), all, in_leaf, "ignored in nested tables", "APM 2 §15.25.5"},
      Field{"ign", bit(8), upper, in_table, "ignored", "APM 2 §5.3.3"},
      Field{"AVL", bits(11, 9), all, in_present, "available to software", "APM 2 §5.4.1"},
      Field{"frame", frame_4k, at_level(0), in_leaf, "system-physical address of the 4-KiB frame", "APM 2 §15.25.5"},
      Field{"PAT", bit(12), at_levels(1, 2), in_leaf, "PAT index bit 2", "APM 2 §15.25.8"},
      Field{"frame", frame_bits(51, 1), at_level(1), in_leaf, "system-physical address of the 2-MiB frame",
            "APM 2 §15.25.5"},
      Field{"frame", frame_bits(51, 2), at_level(2), in_leaf, "system-physical address of the 1-GiB frame",
            "APM 2 §15.25.5"},
      Field{"table", frame_4k, upper, in_table, "system-physical address of the next table", "APM 2 §15.25.5"},
      Field{"AVL", bits(62, 52), all, in_present, "available to software", "APM 2 §5.4.1"},
      Field{"NX", no_execute, all, in_present, "instruction fetches forbidden", "APM 2 §15.25.5"},
  };
  static constexpr auto fields = join_fields(own_fields, software_fields(all));

  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    return Amd64Bits::kind<Npt>(word, level);
  }
};
static_assert(PageFormat<Npt> && well_formed<Npt>());

}  // namespace morsel
