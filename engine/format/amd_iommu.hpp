// SPDX-License-Identifier: GPL-2.0-or-later
//
// AMD IOMMU host tables ("v1"), 4 levels (DTE mode 4): from the addresses that a device uses to system-physical ones.
// What an entry is stands in its next-level field: 0 maps a page of the level's own size, n points to a table of AMD
// level n (ours n - 1). Hardware also knows 7 (a page whose size is encoded in its address, in several equal entries)
// and pointers that skip levels; trees here have neither, and such an entry counts as malformed. So do 512-GiB pages,
// which have an erratum (Linux, drivers/iommu/generic_pt/fmt/amdv1.h). Host accessed and dirty flags (DTE.HAD) are off:
// whatever a device may write counts as written. AMD I/O Virtualization Technology Specification 48882, section 2.2.3.
//
//   device       [47:39]  [38:30]  [29:21]  [20:12]  [11:0]
//   DTE root --> level 4 -> level 3 -> level 2 -> level 1 --> frame     AMD's level n is our level n - 1
#pragma once
#include "engine/format/format.hpp"

namespace morsel {

struct AmdIommuV1 {
  static constexpr FormatId id = FormatId::amd_iommu_v1;
  static constexpr std::string_view name = "amd_iommu_v1";
  static constexpr std::string_view title = "AMD IOMMU host tables (v1), 4 levels";
  static constexpr bool break_before_make = true;
  static constexpr bool caches_non_present = true;  // capability NpCache, which virtual IOMMUs announce
  static constexpr u64 present = bit(0);
  static constexpr u64 next_level = bits(11, 9);
  static constexpr u64 force_coherent = bit(60);
  static constexpr u64 read = bit(61);
  static constexpr u64 write = bit(62);
  static constexpr u64 accessed_bit = 0;
  static constexpr u64 dirty_bit = 0;
  static constexpr u64 frame_4k = bits(51, 12);
  static constexpr auto levels = levels_up_to<4>(2);
  static constexpr u64 frame_mask(Level level) { return frame_bits(51, level); }

  static constexpr u8 all = at_levels(0, 3);
  static constexpr u8 upper = at_levels(1, 3);
  static constexpr std::array own_fields{
      Field{"PR", present, all, in_present, "present", "48882 §2.2.3"},
      Field{"ign", bits(4, 1), all, in_present, "ignored", "48882 §2.2.3"},
      Field{"A", bit(5), all, in_present, "ignored: host accessed flags are off", "48882 §2.2.3"},
      Field{"D", bit(6), all, in_leaf, "ignored: host dirty flags are off", "48882 §2.2.3"},
      Field{"ign", bit(6), upper, in_table, "ignored", "48882 §2.2.3"},
      Field{"ign", bits(8, 7), all, in_present, "ignored", "48882 §2.2.3"},
      Field{"NL", next_level, all, in_leaf, "next level: 0, a page of this level's size", "48882 §2.2.3"},
      Field{"NL", next_level, upper, in_table, "next level: the AMD level of the next table", "48882 §2.2.3"},
      Field{"frame", frame_4k, at_level(0), in_leaf, "physical address of the 4-KiB frame", "48882 §2.2.3"},
      Field{"frame", frame_bits(51, 1), at_level(1), in_leaf, "physical address of the 2-MiB frame", "48882 §2.2.3"},
      Field{"frame", frame_bits(51, 2), at_level(2), in_leaf, "physical address of the 1-GiB frame", "48882 §2.2.3"},
      Field{"table", frame_4k, upper, in_table, "physical address of the next table", "48882 §2.2.3"},
      Field{"U", bit(59), at_levels(0, 2), in_leaf, "answer to ATS: untranslated accesses only", "48882 §2.2.3"},
      Field{"FC", force_coherent, at_levels(0, 2), in_leaf, "force coherent", "48882 §2.2.3"},
      Field{"IR", read, all, in_present, "reads allowed", "48882 §2.2.3"},
      Field{"IW", write, all, in_present, "writes allowed", "48882 §2.2.3"},
      Field{"ign", bit(63), all, in_present, "ignored", "48882 §2.2.3"},
  };
  static constexpr auto fields = join_fields(own_fields, software_fields(all));

  static constexpr bool is_leaf(u64 word) { return (word & next_level) == 0; }
  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    if (!(word & present)) return absent_kind(word);
    const bool leaf = is_leaf(word);
    if (leaf ? !levels[level].leaf_allowed : field_value(word, next_level) != level) return EntryKind::malformed;
    if (has_undefined_bits<AmdIommuV1>(word, level, leaf)) return EntryKind::malformed;
    return leaf ? EntryKind::leaf : EntryKind::table;
  }
  static constexpr PhysAddr address(u64 word, Level level)
  {
    return {word & (is_leaf(word) ? frame_mask(level) : frame_4k)};
  }
  // A table entry has no execute right to withhold.
  static constexpr Rights access(u64 word, Level)
  {
    const u64 rights = field_value(word, read | write) | (is_leaf(word) ? 0 : 4);
    return Rights::from_bits(static_cast<u8>(rights));
  }
  static constexpr u64 make_table(PhysAddr table, Level level)
  {
    return table.value | present | read | write | u64{level} << 9;
  }
  static constexpr u64 make_leaf(PhysAddr frame, Level, LeafAttributes a)
  {
    return frame.value | present | (a.rights.read() ? read : 0) | (a.rights.write() ? write : 0);
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return (word & write) != 0; }
  static constexpr Rights reduce(Rights r) { return r & rights_rw; }
  static constexpr u64 memory_type_mask(Level) { return force_coherent; }
};
static_assert(PageFormat<AmdIommuV1> && well_formed<AmdIommuV1>());

}  // namespace morsel
