// SPDX-License-Identifier: GPL-2.0-or-later
//
// Intel extended page tables (EPT), 4 and 5 levels: from guest-physical to host-physical addresses. Not present when
// read, write and execute are all clear. Mode-based execute control is off, accessed and dirty flags are on (EPTP
// bit 6), execute-only pages are supported. Intel SDM volume 3C, section 29.3 (28.3 in older editions).
//
//   guest-physical [56:48]  [47:39]  [38:30]  [29:21]  [20:12]  [11:0]
//    EPTP -------> PML5 --> PML4 --> PDPT -->  PD  -->   PT  --> frame
#pragma once
#include "engine/format/format.hpp"

namespace morsel {

template <unsigned Depth>
struct Ept {
  static_assert(Depth == 4 || Depth == 5);
  static constexpr FormatId id = Depth == 4 ? FormatId::ept : FormatId::ept_l5;
  static constexpr std::string_view name = Depth == 4 ? "ept" : "ept_l5";
  static constexpr std::string_view title = Depth == 4 ? "Intel EPT, 4 levels" : "Intel EPT, 5 levels";
  static constexpr bool break_before_make = true;
  static constexpr bool caches_non_present = false;
  static constexpr u64 read = bit(0);
  static constexpr u64 write = bit(1);
  static constexpr u64 execute = bit(2);
  static constexpr u64 memory_type = bits(5, 3);
  static constexpr u64 write_back = u64{6} << 3;
  static constexpr u64 page_size = bit(7);
  static constexpr u64 accessed_bit = bit(8);
  static constexpr u64 dirty_bit = bit(9);
  static constexpr u64 frame_4k = bits(51, 12);

  static constexpr auto levels = [] {
    std::array<LevelInfo, Depth> l{};
    for (unsigned n = 0; n < Depth; ++n) l[n] = {static_cast<u8>(12 + 9 * n), 9, n <= 2};
    return l;
  }();
  static constexpr u64 frame_mask(Level level) { return level == 0 ? frame_4k : bits(51, 12 + 9 * unsigned{level}); }

  static constexpr u8 all = at_levels(0, Depth - 1);
  static constexpr u8 upper = at_levels(1, Depth - 1);
  static constexpr std::array fields{
      Field{"R", read, all, in_present, "reads allowed", "SDM 3C §29.3.2"},
      Field{"W", write, all, in_present, "writes allowed", "SDM 3C §29.3.2"},
      Field{"X", execute, all, in_present, "instruction fetches allowed", "SDM 3C §29.3.2"},
      Field{"MT", memory_type, all, in_leaf, "memory type: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB", "SDM 3C §29.3.7.2"},
      Field{"IPAT", bit(6), all, in_leaf, "ignore the guest's PAT", "SDM 3C §29.3.7.2"},
      Field{"ign", bit(7), at_level(0), in_leaf, "ignored", "SDM 3C §29.3.2"},
      Field{"PS", page_size, at_levels(1, 2), in_leaf, "maps a large page", "SDM 3C §29.3.2"},
      Field{"A", accessed_bit, all, in_present, "accessed, set by hardware", "SDM 3C §29.3.5"},
      Field{"D", dirty_bit, all, in_leaf, "dirty, set by hardware", "SDM 3C §29.3.5"},
      Field{"ign", bit(9), upper, in_table, "ignored", "SDM 3C §29.3.2"},
      Field{"XU", bit(10), all, in_present, "user-mode execute; ignored without mode-based execute control",
            "SDM 3C §29.3.3"},
      Field{"ign", bit(11), all, in_present, "ignored", "SDM 3C §29.3.2"},
      Field{"frame", frame_4k, at_level(0), in_leaf, "physical address of the 4-KiB frame", "SDM 3C §29.3.2"},
      Field{"frame", frame_mask(1), at_level(1), in_leaf, "physical address of the 2-MiB frame", "SDM 3C §29.3.2"},
      Field{"frame", frame_mask(2), at_level(2), in_leaf, "physical address of the 1-GiB frame", "SDM 3C §29.3.2"},
      Field{"table", frame_4k, upper, in_table, "physical address of the next table", "SDM 3C §29.3.2"},
      Field{"ign", bits(56, 52), all, in_leaf, "ignored", "SDM 3C §29.3.2"},
      Field{"VGP", bit(57), all, in_leaf, "verify guest paging; ignored unless enabled", "SDM 3C §29.3.3.2"},
      Field{"PW", bit(58), all, in_leaf, "paging-write access; ignored unless enabled", "SDM 3C §29.3.3.2"},
      Field{"ign", bit(59), all, in_leaf, "ignored", "SDM 3C §29.3.2"},
      Field{"SSS", bit(60), all, in_leaf, "supervisor shadow stack; ignored unless enabled", "SDM 3C §29.3.3.2"},
      Field{"SPP", bit(61), at_level(0), in_leaf, "sub-page write permissions; ignored unless enabled",
            "SDM 3C §29.3.4"},
      Field{"ign", bit(61), at_levels(1, 2), in_leaf, "ignored", "SDM 3C §29.3.2"},
      Field{"ign", bit(62), all, in_leaf, "ignored", "SDM 3C §29.3.2"},
      Field{"SVE", bit(63), all, in_leaf, "suppress #VE; ignored unless enabled", "SDM 3C §29.3.2"},
      Field{"ign", bits(63, 52), upper, in_table, "ignored", "SDM 3C §29.3.2"},
      Field{"class", software::class_mask, all, in_software, "a software word", "morselscope: software_word.hpp"},
      Field{"payload", software::payload_mask, all, in_software, "token or frame, inverted",
            "morselscope: software_word.hpp"},
      Field{"tag", bits(6, 3), all, in_software, "reserved or moving; stale; old write right",
            "morselscope: software_word.hpp"},
  };

  static constexpr bool is_leaf(u64 word, Level level) { return level == 0 || (word & page_size); }

  // Misconfigured: what the SDM §29.3.3.1 lists. A walk that meets such an entry does not end in a violation.
  static constexpr bool misconfigured(u64 word, bool leaf)
  {
    if ((word & write) && !(word & read)) return true;
    if (!leaf) return false;
    const u64 type = field_value(word, memory_type);
    return type == 2 || type == 3 || type == 7;
  }
  static constexpr EntryKind kind(u64 word, Level level)
  {
    if (word == 0) return EntryKind::hole;
    if (!(word & (read | write | execute)))
      return software::is_reserved(word) ? EntryKind::reserved
             : software::is_moving(word) ? EntryKind::moving
                                         : EntryKind::malformed;
    const bool leaf = is_leaf(word, level);
    constexpr auto defined = [] {
      std::array<std::array<u64, 2>, Depth> masks{};
      for (Level n = 0; n < Depth; ++n) masks[n] = {defined_bits<Ept>(n, in_table), defined_bits<Ept>(n, in_leaf)};
      return masks;
    }();
    if ((word & ~defined[level][leaf]) || misconfigured(word, leaf)) return EntryKind::malformed;
    return leaf ? EntryKind::leaf : EntryKind::table;
  }
  static constexpr PhysAddr address(u64 word, Level level)
  {
    return {word & (is_leaf(word, level) ? frame_mask(level) : frame_4k)};
  }
  static constexpr Rights access(u64 word, Level) { return Rights::from_bits(static_cast<u8>(word & 7)); }
  static constexpr u64 make_table(PhysAddr table, Level = 1)
  {
    return table.value | read | write | execute | accessed_bit;
  }
  static constexpr u64 make_leaf(PhysAddr frame, Level level, LeafAttributes a)
  {
    return frame.value | a.rights.bits() | write_back | (level ? page_size : 0) | (a.accessed ? accessed_bit : 0) |
           (a.dirty ? dirty_bit : 0);
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return (word & dirty_bit) != 0; }
  // Write without read would be misconfigured.
  static constexpr Rights reduce(Rights r) { return r.read() ? r : r & right_exec; }
  static constexpr u64 memory_type_mask(Level) { return memory_type | bit(6); }
};

using EptL4 = Ept<4>;
using EptL5 = Ept<5>;
static_assert(PageFormat<EptL4> && well_formed<EptL4>());
static_assert(PageFormat<EptL5> && well_formed<EptL5>());

}  // namespace morsel
