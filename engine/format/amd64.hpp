// SPDX-License-Identifier: GPL-2.0-or-later
//
// AMD64 long-mode paging with 4-KiB granules, 4 and 5 levels: the format of every primary, and of views that a CPU
// walks for a process. AMD APM volume 2, section 5.3; Intel SDM volume 3A, section 4.5.
//
//   virtual   [56:48]  [47:39]  [38:30]  [29:21]  [20:12]  [11:0]
//   address      |        |        |        |        |        |
//              PML5 --> PML4 --> PDPT -->  PD  -->   PT  --> frame
//             level 4  level 3  level 2  level 1  level 0
//                               1-GiB    2-MiB    4-KiB leaf
#pragma once
#include "engine/format/format.hpp"

namespace morsel {

// The bits that AMD64 and NPT share.
struct Amd64Bits {
  static constexpr u64 present = bit(0);
  static constexpr u64 writable = bit(1);
  static constexpr u64 user = bit(2);
  static constexpr u64 accessed = bit(5);
  static constexpr u64 dirty = bit(6);
  static constexpr u64 page_size = bit(7);  // a leaf at levels 1 and 2
  static constexpr u64 no_execute = bit(63);
  static constexpr u64 frame_4k = bits(51, 12);

  static constexpr u64 frame_mask(Level level) { return frame_bits(51, level); }
  static constexpr bool is_leaf(u64 word, Level level) { return level == 0 || (word & page_size); }
  static constexpr PhysAddr address(u64 word, Level level)
  {
    return {word & (is_leaf(word, level) ? frame_mask(level) : frame_4k)};
  }
  // Both A and D: Linux takes a table entry without them, or with any other flag, for a bad one (pmd_bad).
  static constexpr u64 make_table(PhysAddr table, Level = 1)
  {
    return table.value | present | writable | user | accessed | dirty;
  }
  static constexpr u64 make_leaf(PhysAddr frame, Level level, LeafAttributes a)
  {
    return frame.value | present | user | (level ? page_size : 0) | (a.rights.write() ? writable : 0) |
           (a.rights.exec() ? 0 : no_execute) | (a.accessed ? accessed : 0) | (a.dirty ? dirty : 0);
  }
  static constexpr Rights access(u64 word, Level)
  {
    if (!(word & present) || !(word & user)) return {};
    return Rights::from_bits(static_cast<u8>(1 | ((word & writable) ? 2 : 0) | ((word & no_execute) ? 0 : 4)));
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return (word & dirty) != 0; }
  // Present means readable: rights without read cannot be expressed.
  static constexpr Rights reduce(Rights r) { return r.read() ? r : Rights{}; }
  static constexpr u64 memory_type_mask(Level level) { return bits(4, 3) | (level ? bit(12) : bit(7)); }

  template <class F>
  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    if (!(word & present)) return absent_kind(word);
    const bool leaf = is_leaf(word, level);
    if (has_undefined_bits<F>(word, level, leaf)) return EntryKind::malformed;
    return leaf ? EntryKind::leaf : EntryKind::table;
  }
};

template <unsigned Depth>
struct Amd64 : Amd64Bits {
  static_assert(Depth == 4 || Depth == 5);
  static constexpr FormatId id = Depth == 4 ? FormatId::amd64 : FormatId::amd64_l5;
  static constexpr std::string_view name = Depth == 4 ? "amd64" : "amd64_l5";
  static constexpr std::string_view title = Depth == 4 ? "AMD64, 4 levels" : "AMD64, 5 levels (LA57)";
  static constexpr bool break_before_make = true;  // x86 parts with multi-hit errata
  static constexpr bool caches_non_present = false;
  static constexpr u64 accessed_bit = accessed;
  static constexpr u64 dirty_bit = dirty;

  static constexpr auto levels = levels_up_to<Depth>(2);

  static constexpr u8 all = at_levels(0, Depth - 1);
  static constexpr u8 upper = at_levels(1, Depth - 1);
  static constexpr std::array own_fields{
      Field{"P", present, all, in_present, "present", "APM 2 §5.4.1"},
      Field{"R/W", writable, all, in_present, "writes allowed", "APM 2 §5.4.1"},
      Field{"U/S", user, all, in_present, "user accesses allowed", "APM 2 §5.4.1"},
      Field{"PWT", bit(3), all, in_present, "write-through; PAT index bit 0", "APM 2 §5.4.1, §7.8.1"},
      Field{"PCD", bit(4), all, in_present, "cache disable; PAT index bit 1", "APM 2 §5.4.1, §7.8.1"},
      Field{"A", accessed, all, in_present, "accessed, set by hardware", "APM 2 §5.4.2"},
      Field{"D", dirty, all, in_leaf, "dirty, set by hardware", "APM 2 §5.4.2"},
      Field{"ign", bit(6), upper, in_table, "ignored", "APM 2 §5.3.3"},
      Field{"PAT", bit(7), at_level(0), in_leaf, "PAT index bit 2", "APM 2 §7.8.1"},
      Field{"PS", page_size, at_levels(1, 2), in_leaf, "maps a large page", "APM 2 §5.4.1"},
      Field{"G", bit(8), all, in_leaf, "global: survives a CR3 load", "APM 2 §5.4.1"},
      Field{"ign", bit(8), upper, in_table, "ignored (AMD: must be zero at levels 3 and 4)", "SDM 3A §4.5.4"},
      Field{"AVL", bit(9), all, in_leaf, "available to software", "APM 2 §5.4.1"},
      Field{"shared", software::shared_bit, upper, in_table, "the table belongs to the base of this clone",
            "APM 2 §5.4.1 (AVL); morselscope: marks.hpp"},
      Field{"AVL", bit(11), all, in_present, "available to software", "APM 2 §5.4.1"},
      Field{"unpersisted", software::unpersisted_bit, all, in_present, "not written back for certain",
            "APM 2 §5.4.1 (AVL); morselscope: persistent.hpp"},
      Field{"frame", frame_4k, at_level(0), in_leaf, "physical address of the 4-KiB frame", "APM 2 §5.3.3"},
      Field{"PAT", bit(12), at_levels(1, 2), in_leaf, "PAT index bit 2", "APM 2 §7.8.1"},
      Field{"frame", frame_bits(51, 1), at_level(1), in_leaf, "physical address of the 2-MiB frame", "APM 2 §5.3.4"},
      Field{"frame", frame_bits(51, 2), at_level(2), in_leaf, "physical address of the 1-GiB frame", "APM 2 §5.3.5"},
      Field{"table", frame_4k, upper, in_table, "physical address of the next table", "APM 2 §5.3.3"},
      Field{"COW", software::copy_on_write_bit, all, in_leaf, "the frame belongs to the base of this clone",
            "APM 2 §5.4.1 (AVL); morselscope: marks.hpp"},
      Field{"WAC", software::write_after_copy_bit, all, in_leaf, "writes are allowed after a copy",
            "APM 2 §5.4.1 (AVL); morselscope: marks.hpp"},
      Field{"AVL", bits(58, 54), all, in_leaf, "available to software", "APM 2 §5.4.1"},
      Field{"MPK", bits(62, 59), all, in_leaf, "memory protection key", "APM 2 §5.6.7"},
      Field{"merging", software::merging_mask, upper, in_table, "zero, or the token of a merge that waits",
            "morselscope: software_word.hpp"},
      Field{"NX", no_execute, all, in_present, "instruction fetches forbidden", "APM 2 §5.6.3"},
  };
  static constexpr auto fields = join_fields(own_fields, software_fields(all));

  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    return Amd64Bits::kind<Amd64>(word, level);
  }
};

using Amd64L4 = Amd64<4>;
using Amd64L5 = Amd64<5>;
static_assert(PageFormat<Amd64L4> && well_formed<Amd64L4>());
static_assert(PageFormat<Amd64L5> && well_formed<Amd64L5>());

}  // namespace morsel
