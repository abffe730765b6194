// SPDX-License-Identifier: GPL-2.0-or-later
//
// Intel VT-d second-stage tables, 4 and 5 levels: from the addresses that a device uses to host-physical ones. Not
// present when read and write are both clear; nothing fetches instructions. Accessed and dirty flags are off, as legacy
// mode has none and scalable mode has a switch (SSADE): whatever a device may write counts as written.
// Intel Virtualization Technology for Directed I/O, sections 3.7 and 9.8. Reserved bits as QEMU's hw/i386/intel_iommu.
//
//   device [56:48]  [47:39]  [38:30]  [29:21]  [20:12]  [11:0]
//  SSPTPTR -> PML5 --> PML4 --> PDPT -->  PD  -->   PT  --> frame
#pragma once
#include "engine/format/format.hpp"

namespace morsel {

template <unsigned Depth>
struct VtdSecondStage {
  static_assert(Depth == 4 || Depth == 5);
  static constexpr FormatId id = Depth == 4 ? FormatId::vtd_second_stage : FormatId::vtd_second_stage_l5;
  static constexpr std::string_view name = Depth == 4 ? "vtd_second_stage" : "vtd_second_stage_l5";
  static constexpr std::string_view title =
      Depth == 4 ? "Intel VT-d second stage, 4 levels" : "Intel VT-d second stage, 5 levels";
  static constexpr bool break_before_make = true;
  static constexpr bool caches_non_present = true;  // caching mode (section 6.1), which virtual IOMMUs announce
  static constexpr u64 read = bit(0);
  static constexpr u64 write = bit(1);
  static constexpr u64 page_size = bit(7);
  static constexpr u64 snoop = bit(11);
  static constexpr u64 accessed_bit = 0;
  static constexpr u64 dirty_bit = 0;
  static constexpr u64 frame_4k = bits(51, 12);

  static constexpr auto levels = levels_up_to<Depth>(2);
  static constexpr u64 frame_mask(Level level) { return frame_bits(51, level); }

  static constexpr u8 all = at_levels(0, Depth - 1);
  static constexpr u8 upper = at_levels(1, Depth - 1);
  static constexpr std::array own_fields{
      Field{"R", read, all, in_present, "reads allowed", "VT-d §9.8"},
      Field{"W", write, all, in_present, "writes allowed", "VT-d §9.8"},
      Field{"X", bit(2), all, in_present, "ignored: execute, in early revisions", "VT-d §9.8"},
      Field{"EMT", bits(5, 3), all, in_leaf, "extended memory type; ignored in legacy mode", "VT-d §9.8"},
      Field{"IPAT", bit(6), all, in_leaf, "ignore PAT; ignored in legacy mode", "VT-d §9.8"},
      Field{"ign", bits(6, 3), upper, in_table, "ignored", "VT-d §9.8"},
      Field{"ign", bit(7), at_level(0), in_leaf, "ignored", "VT-d §9.8"},
      Field{"PS", page_size, at_levels(1, 2), in_leaf, "maps a large page", "VT-d §9.8"},
      Field{"A", bit(8), all, in_present, "ignored: accessed flags are off", "VT-d §9.8"},
      Field{"D", bit(9), all, in_leaf, "ignored: dirty flags are off", "VT-d §9.8"},
      Field{"ign", bit(9), upper, in_table, "ignored", "VT-d §9.8"},
      Field{"ign", bit(10), all, in_present, "ignored", "VT-d §9.8"},
      Field{"SNP", snoop, all, in_leaf, "snoop CPU caches; reserved without snoop control", "VT-d §9.8"},
      Field{"frame", frame_4k, at_level(0), in_leaf, "physical address of the 4-KiB frame", "VT-d §9.8"},
      Field{"frame", frame_bits(51, 1), at_level(1), in_leaf, "physical address of the 2-MiB frame", "VT-d §9.8"},
      Field{"frame", frame_bits(51, 2), at_level(2), in_leaf, "physical address of the 1-GiB frame", "VT-d §9.8"},
      Field{"table", frame_4k, upper, in_table, "physical address of the next table", "VT-d §9.8"},
      Field{"ign", bits(61, 52), all, in_present, "ignored", "VT-d §9.8"},
      Field{"ign", bit(63), all, in_present, "ignored", "VT-d §9.8"},
  };
  static constexpr auto fields = join_fields(own_fields, software_fields(all));

  static constexpr bool is_leaf(u64 word, Level level) { return level == 0 || (word & page_size); }
  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    if (!(word & (read | write))) return absent_kind(word);
    const bool leaf = is_leaf(word, level);
    if (has_undefined_bits<VtdSecondStage>(word, level, leaf)) return EntryKind::malformed;
    return leaf ? EntryKind::leaf : EntryKind::table;
  }
  static constexpr PhysAddr address(u64 word, Level level)
  {
    return {word & (is_leaf(word, level) ? frame_mask(level) : frame_4k)};
  }
  // A table entry has no execute right to withhold.
  static constexpr Rights access(u64 word, Level level)
  {
    const Rights rights = Rights::from_bits(static_cast<u8>(word & (read | write)));
    return is_leaf(word, level) ? rights : rights | right_exec;
  }
  static constexpr u64 make_table(PhysAddr table, Level) { return table.value | read | write; }
  static constexpr u64 make_leaf(PhysAddr frame, Level level, LeafAttributes a)
  {
    return frame.value | (a.rights.bits() & (read | write)) | (level ? page_size : 0);
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return (word & write) != 0; }
  static constexpr Rights reduce(Rights r) { return r & rights_rw; }
  static constexpr u64 memory_type_mask(Level) { return bits(6, 3) | snoop; }
};

struct VtdSecondStageL4 : VtdSecondStage<4> {};
struct VtdSecondStageL5 : VtdSecondStage<5> {};
static_assert(PageFormat<VtdSecondStageL4> && well_formed<VtdSecondStageL4>());
static_assert(PageFormat<VtdSecondStageL5> && well_formed<VtdSecondStageL5>());

}  // namespace morsel
