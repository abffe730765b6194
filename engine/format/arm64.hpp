// SPDX-License-Identifier: GPL-2.0-or-later
//
// Arm VMSAv8-64 with the 4-KiB granule and 48-bit addresses: stage 1, as a process at EL0 sees it, and stage 2, from
// intermediate physical to physical addresses. Hardware updates (FEAT_HAFDBS) are off: the access flag is always set,
// and whatever may be written counts as written. Reserved bits must be zero here, although hardware ignores most of
// them. Arm Architecture Reference Manual (DDI 0487), chapter D8; Arm's lookup level n is our level 3 - n.
//
//   input      [47:39]    [38:30]    [29:21]    [20:12]   [11:0]
//   TTBR -->  level 0 -> level 1 -> level 2 -> level 3 --> frame
//              our 3      our 2      our 1      our 0
//                         1-GiB      2-MiB block
#pragma once
#include "engine/format/format.hpp"

namespace morsel {

// What both stages share.
struct Arm64Bits {
  static constexpr bool break_before_make = true;    // D8.16
  static constexpr bool caches_non_present = false;  // D8.16: entries that fault are never cached
  static constexpr u64 accessed_bit = 0;
  static constexpr u64 dirty_bit = 0;
  static constexpr u64 valid = bit(0);
  static constexpr u64 table_or_page = bit(1);
  static constexpr u64 inner_shareable = u64{3} << 8;
  static constexpr u64 access_flag = bit(10);
  static constexpr u64 frame_4k = bits(47, 12);
  static constexpr auto levels = levels_up_to<4>(2);
  static constexpr u64 frame_mask(Level level) { return frame_bits(47, level); }

  static constexpr u8 all = at_levels(0, 3);
  static constexpr u8 upper = at_levels(1, 3);
  static constexpr u8 leaves = at_levels(0, 2);
  static constexpr std::array shared_fields{
      Field{"valid", valid, all, in_present, "present", "Arm ARM D8.3"},
      Field{"type", table_or_page, all, in_present, "1: a table, at the lowest level a page; 0: a block",
            "Arm ARM D8.3"},
      Field{"SH", bits(9, 8), leaves, in_leaf, "shareability: 0 non, 2 outer, 3 inner", "Arm ARM D8.6"},
      Field{"AF", access_flag, leaves, in_leaf, "access flag: an access without it faults", "Arm ARM D8.5"},
      Field{"frame", frame_4k, at_level(0), in_leaf, "physical address of the 4-KiB frame", "Arm ARM D8.3"},
      Field{"frame", frame_bits(47, 1), at_level(1), in_leaf, "physical address of the 2-MiB frame", "Arm ARM D8.3"},
      Field{"frame", frame_bits(47, 2), at_level(2), in_leaf, "physical address of the 1-GiB frame", "Arm ARM D8.3"},
      Field{"nT", bit(16), at_levels(1, 2), in_leaf, "block entry only with care for the TLB (FEAT_BBM)",
            "Arm ARM D8.3"},
      Field{"DBM", bit(51), leaves, in_leaf, "dirty bit modifier; ignored: hardware updates are off", "Arm ARM D8.5"},
      Field{"Contig", bit(52), leaves, in_leaf, "one of 16 adjacent entries that may share a TLB entry",
            "Arm ARM D8.7"},
      Field{"SW", bits(58, 55), leaves, in_leaf, "for software", "Arm ARM D8.3"},
      Field{"PBHA", bits(62, 59), leaves, in_leaf, "page-based hardware attributes; ignored unless enabled",
            "Arm ARM D8.3"},
      Field{"ign", bit(63), leaves, in_leaf, "ignored", "Arm ARM D8.3"},
      Field{"ign", bits(11, 2), upper, in_table, "ignored", "Arm ARM D8.3"},
      Field{"table", frame_4k, upper, in_table, "physical address of the next table", "Arm ARM D8.3"},
      Field{"ign", bits(58, 51), upper, in_table, "ignored", "Arm ARM D8.3"},
  };

  static constexpr bool is_leaf(u64 word, Level level) { return level == 0 || !(word & table_or_page); }
  template <class F>
  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    if (!(word & valid)) return absent_kind(word);
    const bool leaf = is_leaf(word, level);
    if (level == 0 && !(word & table_or_page)) return EntryKind::malformed;
    if (leaf && !levels[level].leaf_allowed) return EntryKind::malformed;
    if (has_undefined_bits<F>(word, level, leaf)) return EntryKind::malformed;
    return leaf ? EntryKind::leaf : EntryKind::table;
  }
  static constexpr PhysAddr address(u64 word, Level level)
  {
    return {word & (is_leaf(word, level) ? frame_mask(level) : frame_4k)};
  }
  static constexpr u64 make_table(PhysAddr table, Level) { return table.value | valid | table_or_page; }
  static constexpr u64 leaf_of(PhysAddr frame, Level level)
  {
    return frame.value | valid | (level ? 0 : table_or_page) | inner_shareable | access_flag;
  }
};

struct Arm64Stage1 : Arm64Bits {
  static constexpr FormatId id = FormatId::arm64_stage1;
  static constexpr std::string_view name = "arm64_stage1";
  static constexpr std::string_view title = "Arm64 stage 1, 4-KiB granule, 48 bits";
  static constexpr u64 attribute_index = bits(4, 2);  // 0: normal, write-back, by Linux' MAIR_EL1
  static constexpr u64 user = bit(6);                 // AP[1]
  static constexpr u64 read_only = bit(7);            // AP[2]
  static constexpr u64 not_global = bit(11);
  static constexpr u64 privileged_no_execute = bit(53);
  static constexpr u64 user_no_execute = bit(54);
  static constexpr u64 table_no_user = bit(61);     // APTable[0]
  static constexpr u64 table_read_only = bit(62);   // APTable[1]
  static constexpr u64 table_no_execute = bit(60);  // UXNTable

  static constexpr std::array own_fields{
      Field{"AttrIndx", attribute_index, leaves, in_leaf, "memory attributes, by MAIR", "Arm ARM D8.6"},
      Field{"NS", bit(5), leaves, in_leaf, "non-secure; ignored outside Secure state", "Arm ARM D8.3"},
      Field{"AP[1]", user, leaves, in_leaf, "data accesses from EL0 allowed", "Arm ARM D8.4"},
      Field{"AP[2]", read_only, leaves, in_leaf, "writes forbidden", "Arm ARM D8.4"},
      Field{"nG", not_global, leaves, in_leaf, "not global: belongs to an ASID", "Arm ARM D8.16"},
      Field{"GP", bit(50), leaves, in_leaf, "guarded page (FEAT_BTI)", "Arm ARM D8.4"},
      Field{"PXN", privileged_no_execute, leaves, in_leaf, "instruction fetches at EL1 forbidden", "Arm ARM D8.4"},
      Field{"UXN", user_no_execute, leaves, in_leaf, "instruction fetches at EL0 forbidden", "Arm ARM D8.4"},
      Field{"PXNTable", bit(59), upper, in_table, "as PXN, for all below", "Arm ARM D8.4"},
      Field{"UXNTable", table_no_execute, upper, in_table, "as UXN, for all below", "Arm ARM D8.4"},
      Field{"APTable[0]", table_no_user, upper, in_table, "no data accesses from EL0 below", "Arm ARM D8.4"},
      Field{"APTable[1]", table_read_only, upper, in_table, "no writes below", "Arm ARM D8.4"},
      Field{"NSTable", bit(63), upper, in_table, "non-secure below; ignored outside Secure state", "Arm ARM D8.4"},
  };
  static constexpr auto fields = join_fields(shared_fields, own_fields, software_fields(all));

  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    return Arm64Bits::kind<Arm64Stage1>(word, level);
  }
  // Of EL0. Execute-only is possible; write-only is not.
  static constexpr Rights access(u64 word, Level level)
  {
    const bool leaf = is_leaf(word, level);
    const bool reads = leaf ? (word & user) != 0 : !(word & table_no_user);
    const bool writes = reads && !(word & (leaf ? read_only : table_read_only));
    const bool fetches = !(word & (leaf ? user_no_execute : table_no_execute));
    return Rights::from_bits(static_cast<u8>((reads ? 1 : 0) | (writes ? 2 : 0) | (fetches ? 4 : 0)));
  }
  static constexpr u64 make_leaf(PhysAddr frame, Level level, LeafAttributes a)
  {
    return leaf_of(frame, level) | not_global | privileged_no_execute | (a.rights.read() ? user : 0) |
           (a.rights.write() ? 0 : read_only) | (a.rights.exec() ? 0 : user_no_execute);
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return !(word & read_only); }  // the kernel may write as well
  static constexpr Rights reduce(Rights r) { return r.read() ? r : r & right_exec; }
  static constexpr u64 memory_type_mask(Level) { return attribute_index | bits(9, 8); }
};
static_assert(PageFormat<Arm64Stage1> && well_formed<Arm64Stage1>());

struct Arm64Stage2 : Arm64Bits {
  static constexpr FormatId id = FormatId::arm64_stage2;
  static constexpr std::string_view name = "arm64_stage2";
  static constexpr std::string_view title = "Arm64 stage 2, 4-KiB granule, 48 bits";
  static constexpr u64 memory_attributes = bits(5, 2);
  static constexpr u64 write_back = u64{0b1111} << 2;  // normal, outer and inner write-back
  static constexpr u64 read = bit(6);                  // S2AP[0]
  static constexpr u64 write = bit(7);                 // S2AP[1]
  static constexpr u64 no_execute = bits(54, 53);      // XN[1:0]; bit 53 needs FEAT_XNX
  static constexpr u64 never_execute = bit(54);

  static constexpr std::array own_fields{
      Field{"MemAttr", memory_attributes, leaves, in_leaf, "memory attributes: 0 device, 5 uncached, 15 write-back",
            "Arm ARM D8.6"},
      Field{"S2AP[0]", read, leaves, in_leaf, "reads allowed", "Arm ARM D8.4"},
      Field{"S2AP[1]", write, leaves, in_leaf, "writes allowed", "Arm ARM D8.4"},
      Field{"FnXS", bit(11), leaves, in_leaf, "not XS (FEAT_XS)", "Arm ARM D8.6"},
      Field{"XN", no_execute, leaves, in_leaf, "fetches: 0 all, 1 only EL0, 2 none, 3 only EL1", "Arm ARM D8.4"},
  };
  static constexpr auto fields = join_fields(shared_fields, own_fields, software_fields(all));

  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    return Arm64Bits::kind<Arm64Stage2>(word, level);
  }
  // A table entry withholds nothing in stage 2. Execute, if either exception level may.
  static constexpr Rights access(u64 word, Level level)
  {
    if (!is_leaf(word, level)) return rights_all;
    const u64 rights = field_value(word, read | write) | ((word & no_execute) != never_execute ? 4 : 0);
    return Rights::from_bits(static_cast<u8>(rights));
  }
  static constexpr u64 make_leaf(PhysAddr frame, Level level, LeafAttributes a)
  {
    return leaf_of(frame, level) | write_back | (a.rights.read() ? read : 0) | (a.rights.write() ? write : 0) |
           (a.rights.exec() ? 0 : never_execute);
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return (word & write) != 0; }
  static constexpr Rights reduce(Rights r) { return r; }
  static constexpr u64 memory_type_mask(Level) { return memory_attributes | bits(9, 8); }
};
static_assert(PageFormat<Arm64Stage2> && well_formed<Arm64Stage2>());

}  // namespace morsel
