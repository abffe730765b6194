// SPDX-License-Identifier: GPL-2.0-or-later
//
// Intel extended page tables (EPT), 4 and 5 levels: from guest-physical to host-physical addresses. Not present when
// all rights are clear. What a processor and its VMCS may switch is a parameter (EptOptions): accessed and dirty flags
// (EPTP bit 6), mode-based execute control, execute-only pages, the memory type of leaves. Intel SDM volume 3C,
// section 29.3 (28.3 in older editions).
//
//   guest-physical [56:48]  [47:39]  [38:30]  [29:21]  [20:12]  [11:0]
//    EPTP -------> PML5 --> PML4 --> PDPT -->  PD  -->   PT  --> frame
#pragma once
#include "engine/format/format.hpp"

namespace morsel {

enum class EptMemoryType : u8 {
  uncached = 0,
  write_combining = 1,
  write_through = 4,
  write_protected = 5,
  write_back = 6
};

struct EptOptions {
  bool accessed_dirty = true;       // EPTP bit 6
  bool mode_based_execute = false;  // secondary control 22: XU counts, and X is for supervisor mode only
  bool execute_only = true;         // IA32_VMX_EPT_VPID_CAP bit 0
  EptMemoryType memory_type = EptMemoryType::write_back;  // of the leaves that are made
};

template <unsigned Depth, EptOptions options = EptOptions{}>
struct Ept {
  static_assert(Depth == 4 || Depth == 5);
  static constexpr bool ad = options.accessed_dirty, mbe = options.mode_based_execute;
  static constexpr FormatId id = mbe          ? FormatId::ept_mbe
                                 : !ad        ? FormatId::ept_no_ad
                                 : Depth == 4 ? FormatId::ept
                                              : FormatId::ept_l5;
  static constexpr std::string_view name = mbe ? "ept_mbe" : !ad ? "ept_no_ad" : Depth == 4 ? "ept" : "ept_l5";
  static constexpr std::string_view title = mbe          ? "Intel EPT, 4 levels, mode-based execute control"
                                            : !ad        ? "Intel EPT, 4 levels, without accessed and dirty flags"
                                            : Depth == 4 ? "Intel EPT, 4 levels"
                                                         : "Intel EPT, 5 levels";
  static constexpr bool break_before_make = true;
  static constexpr bool caches_non_present = false;
  static constexpr u64 read = bit(0);
  static constexpr u64 write = bit(1);
  static constexpr u64 execute = bit(2);
  static constexpr u64 memory_type = bits(5, 3);
  static constexpr u64 page_size = bit(7);
  static constexpr u64 accessed = bit(8);
  static constexpr u64 dirty = bit(9);
  static constexpr u64 user_execute = bit(10);
  static constexpr u64 accessed_bit = ad ? accessed : 0;
  static constexpr u64 dirty_bit = ad ? dirty : 0;
  static constexpr u64 execute_mask = mbe ? execute | user_execute : execute;
  static constexpr u64 frame_4k = bits(51, 12);

  static constexpr auto levels = levels_up_to<Depth>(2);
  static constexpr u64 frame_mask(Level level) { return frame_bits(51, level); }

  static constexpr u8 all = at_levels(0, Depth - 1);
  static constexpr u8 upper = at_levels(1, Depth - 1);
  static constexpr std::array own_fields{
      Field{"R", read, all, in_present, "reads allowed", "SDM 3C §29.3.2"},
      Field{"W", write, all, in_present, "writes allowed", "SDM 3C §29.3.2"},
      Field{"X", execute, all, in_present,
            mbe ? "instruction fetches in supervisor mode allowed" : "instruction fetches allowed", "SDM 3C §29.3.2"},
      Field{"MT", memory_type, all, in_leaf, "memory type: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB", "SDM 3C §29.3.7.2"},
      Field{"IPAT", bit(6), all, in_leaf, "ignore the guest's PAT", "SDM 3C §29.3.7.2"},
      Field{"ign", bit(7), at_level(0), in_leaf, "ignored", "SDM 3C §29.3.2"},
      Field{"PS", page_size, at_levels(1, 2), in_leaf, "maps a large page", "SDM 3C §29.3.2"},
      Field{"A", accessed, all, in_present, ad ? "accessed, set by hardware" : "ignored: accessed flags are off",
            "SDM 3C §29.3.5"},
      Field{"D", dirty, all, in_leaf, ad ? "dirty, set by hardware" : "ignored: dirty flags are off", "SDM 3C §29.3.5"},
      Field{"ign", bit(9), upper, in_table, "ignored", "SDM 3C §29.3.2"},
      Field{"XU", user_execute, all, in_present,
            mbe ? "instruction fetches in user mode allowed" : "ignored without mode-based execute control",
            "SDM 3C §29.3.3"},
      Field{"ign", bit(11), all, in_present, "ignored", "SDM 3C §29.3.2"},
      Field{"frame", frame_4k, at_level(0), in_leaf, "physical address of the 4-KiB frame", "SDM 3C §29.3.2"},
      Field{"frame", frame_bits(51, 1), at_level(1), in_leaf, "physical address of the 2-MiB frame", "SDM 3C §29.3.2"},
      Field{"frame", frame_bits(51, 2), at_level(2), in_leaf, "physical address of the 1-GiB frame", "SDM 3C §29.3.2"},
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
  };
  static constexpr auto fields = join_fields(own_fields, software_fields(all));

  static constexpr bool is_leaf(u64 word, Level level) { return level == 0 || (word & page_size); }

  // Misconfigured: what the SDM §29.3.3.1 lists. A walk that meets such an entry does not end in a violation.
  static constexpr bool misconfigured(u64 word, bool leaf)
  {
    if ((word & write) && !(word & read)) return true;
    if (!options.execute_only && (word & execute_mask) && !(word & read)) return true;
    if (!leaf) return false;
    const u64 type = field_value(word, memory_type);
    return type == 2 || type == 3 || type == 7;
  }
  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    if (!(word & (read | write | execute_mask))) return absent_kind(word);
    const bool leaf = is_leaf(word, level);
    if (has_undefined_bits<Ept>(word, level, leaf) || misconfigured(word, leaf)) return EntryKind::malformed;
    return leaf ? EntryKind::leaf : EntryKind::table;
  }
  static constexpr PhysAddr address(u64 word, Level level)
  {
    return {word & (is_leaf(word, level) ? frame_mask(level) : frame_4k)};
  }
  // With mode-based execute control: execute if either mode may.
  static constexpr Rights access(u64 word, Level)
  {
    return Rights::from_bits(static_cast<u8>((word & (read | write)) | ((word & execute_mask) ? 4 : 0)));
  }
  static constexpr u64 make_table(PhysAddr table, Level = 1)
  {
    return table.value | read | write | execute_mask | accessed_bit;
  }
  static constexpr u64 make_leaf(PhysAddr frame, Level level, LeafAttributes a)
  {
    constexpr u64 type = static_cast<u64>(options.memory_type) << 3;
    return frame.value | (a.rights.bits() & (read | write)) | (a.rights.exec() ? execute_mask : 0) | type |
           (level ? page_size : 0) | (a.accessed ? accessed_bit : 0) | (a.dirty ? dirty_bit : 0);
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return (word & (ad ? dirty : write)) != 0; }
  // Write without read would be misconfigured.
  static constexpr Rights reduce(Rights r) { return r.read() ? r : options.execute_only ? r & right_exec : Rights{}; }
  static constexpr u64 memory_type_mask(Level) { return memory_type | bit(6); }
};

// Structs, not aliases: the options would make the symbols of what is made for them too long for objtool.
struct EptL4 : Ept<4> {};
struct EptL5 : Ept<5> {};
struct EptNoAd : Ept<4, EptOptions{.accessed_dirty = false}> {};
struct EptMbe : Ept<4, EptOptions{.mode_based_execute = true}> {};
static_assert(PageFormat<EptL4> && well_formed<EptL4>());
static_assert(PageFormat<EptL5> && well_formed<EptL5>());
static_assert(PageFormat<EptNoAd> && well_formed<EptNoAd>());
static_assert(PageFormat<EptMbe> && well_formed<EptMbe>());

}  // namespace morsel
