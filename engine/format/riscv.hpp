// SPDX-License-Identifier: GPL-2.0-or-later
//
// RISC-V Sv39, Sv48 and Sv57, as a process in U-mode sees them, and the G-stage Sv39x4 and Sv48x4, from guest-physical
// to supervisor-physical addresses, whose root table has 2048 entries in 16 KiB. An entry without R, W and X points to
// a table. Accessed and dirty bits are software's (Svade: an access without them faults), so A is always set and D with
// W, and whatever may be written counts as written. Svpbmt is there; Svnapot is not, so bit 63 is reserved. RISC-V
// privileged specification, chapters "Supervisor-Level ISA", "Svpbmt" and "Hypervisor Extension".
//
//   Sv57  [56:48]  [47:39]  [38:30]  [29:21]  [20:12]  [11:0]      The x4 roots have two index bits more. Objects begin
//   satp -> 4 ------> 3 ------> 2 ------> 1 ------> 0 --> frame    at address 0: in Sv39 what lies beyond 256 GiB has
//                  512-GiB   1-GiB    2-MiB    4-KiB               sign-extended addresses.
#pragma once
#include "engine/format/format.hpp"

namespace morsel {

enum class RiscvStage : u8 { process, guest };

template <unsigned Depth, RiscvStage stage>
struct Riscv {
  static_assert(Depth == 3 || Depth == 4 || (Depth == 5 && stage == RiscvStage::process));
  static constexpr bool guest = stage == RiscvStage::guest;
  static constexpr FormatId id = guest        ? (Depth == 3 ? FormatId::riscv_sv39x4 : FormatId::riscv_sv48x4)
                                 : Depth == 3 ? FormatId::riscv_sv39
                                 : Depth == 4 ? FormatId::riscv_sv48
                                              : FormatId::riscv_sv57;
  static constexpr std::string_view name = guest        ? (Depth == 3 ? "riscv_sv39x4" : "riscv_sv48x4")
                                           : Depth == 3 ? "riscv_sv39"
                                           : Depth == 4 ? "riscv_sv48"
                                                        : "riscv_sv57";
  static constexpr std::string_view title = guest        ? (Depth == 3 ? "RISC-V G-stage Sv39x4, 3 levels, 16-KiB root"
                                                                       : "RISC-V G-stage Sv48x4, 4 levels, 16-KiB root")
                                            : Depth == 3 ? "RISC-V Sv39, 3 levels"
                                            : Depth == 4 ? "RISC-V Sv48, 4 levels"
                                                         : "RISC-V Sv57, 5 levels";
  static constexpr bool break_before_make = true;
  static constexpr bool caches_non_present = true;  // without Svvptc
  static constexpr u64 valid = bit(0);
  static constexpr u64 read = bit(1);
  static constexpr u64 write = bit(2);
  static constexpr u64 execute = bit(3);
  static constexpr u64 user = bit(4);
  static constexpr u64 accessed = bit(6);
  static constexpr u64 dirty = bit(7);
  static constexpr u64 memory_type = bits(62, 61);
  static constexpr u64 accessed_bit = 0;
  static constexpr u64 dirty_bit = 0;
  static constexpr u64 page_number = bits(53, 10);  // physical address bits 55:12

  static constexpr auto levels = [] {
    auto l = levels_up_to<Depth>(Depth);
    if (guest) l[Depth - 1].index_bits = 11;
    return l;
  }();
  static constexpr u64 frame_mask(Level level) { return bits(53, 10 + 9 * unsigned{level}); }

  static constexpr u8 all = at_levels(0, Depth - 1);
  static constexpr u8 upper = at_levels(1, Depth - 1);
  static constexpr std::string_view entries =
      guest ? "Priv. H, guest-physical translation" : "Priv. S, Sv39 addressing";
  static constexpr std::array own_fields{
      Field{"V", valid, all, in_present, "valid", entries},
      Field{"R", read, all, in_leaf, "reads allowed", entries},
      Field{"W", write, all, in_leaf, "writes allowed; reserved without R", entries},
      Field{"X", execute, all, in_leaf, "instruction fetches allowed", entries},
      Field{"U", user, all, in_leaf,
            guest ? "must be set: every access counts as one of U-mode" : "accesses of U-mode allowed", entries},
      Field{"G", bit(5), all, in_present, guest ? "ignored" : "global: in all address spaces", entries},
      Field{"A", accessed, all, in_leaf, "accessed: an access without it faults (Svade)", entries},
      Field{"D", dirty, all, in_leaf, "dirty: a write without it faults (Svade)", entries},
      Field{"RSW", bits(9, 8), all, in_present, "for software", entries},
      Field{"table", page_number, upper, in_table, "page number of the next table", entries},
      Field{"PBMT", memory_type, all, in_leaf, "memory type: 0 PMA, 1 uncached, 2 I/O", "Priv. Svpbmt"},
  };
  static constexpr auto frame_fields = [] {
    constexpr std::array<std::string_view, 5> meanings{
        "page number of the 4-KiB frame", "page number of the 2-MiB frame", "page number of the 1-GiB frame",
        "page number of the 512-GiB frame", "page number of the 256-TiB frame"};
    std::array<Field, Depth> f{};
    for (unsigned n = 0; n < Depth; ++n)
      f[n] = {"frame", frame_mask(static_cast<Level>(n)), at_level(n), in_leaf, meanings[n], entries};
    return f;
  }();
  static constexpr auto fields = join_fields(own_fields, frame_fields, software_fields(all));

  static constexpr bool is_leaf(u64 word) { return (word & (read | write | execute)) != 0; }
  [[gnu::always_inline]] static constexpr EntryKind kind(u64 word, Level level)
  {
    if (!(word & valid)) return absent_kind(word);
    const bool leaf = is_leaf(word);
    if (!leaf && level == 0) return EntryKind::malformed;
    if ((word & write) && !(word & read)) return EntryKind::malformed;
    if (leaf && (word & memory_type) == memory_type) return EntryKind::malformed;
    if (has_undefined_bits<Riscv>(word, level, leaf)) return EntryKind::malformed;
    return leaf ? EntryKind::leaf : EntryKind::table;
  }
  static constexpr PhysAddr address(u64 word, Level level)
  {
    return {(word & (is_leaf(word) ? frame_mask(level) : page_number)) << 2};
  }
  static constexpr Rights access(u64 word, Level)
  {
    if (!is_leaf(word)) return rights_all;
    return word & user ? Rights::from_bits(static_cast<u8>(field_value(word, read | write | execute))) : Rights{};
  }
  static constexpr u64 make_table(PhysAddr table, Level) { return table.value >> 2 | valid; }
  static constexpr u64 make_leaf(PhysAddr frame, Level, LeafAttributes a)
  {
    return frame.value >> 2 | valid | u64{a.rights.bits()} << 1 | user | accessed | (a.rights.write() ? dirty : 0);
  }
  static constexpr bool may_be_dirty(u64 word, Level) { return (word & write) != 0; }
  // Write without read is reserved.
  static constexpr Rights reduce(Rights r) { return r.read() ? r : r & right_exec; }
  static constexpr u64 memory_type_mask(Level) { return memory_type; }
};

// Structs, not aliases: short symbols.
struct RiscvSv39 : Riscv<3, RiscvStage::process> {};
struct RiscvSv48 : Riscv<4, RiscvStage::process> {};
struct RiscvSv57 : Riscv<5, RiscvStage::process> {};
struct RiscvSv39x4 : Riscv<3, RiscvStage::guest> {};
struct RiscvSv48x4 : Riscv<4, RiscvStage::guest> {};
static_assert(PageFormat<RiscvSv39> && well_formed<RiscvSv39>());
static_assert(PageFormat<RiscvSv48> && well_formed<RiscvSv48>());
static_assert(PageFormat<RiscvSv57> && well_formed<RiscvSv57>());
static_assert(PageFormat<RiscvSv39x4> && well_formed<RiscvSv39x4>());
static_assert(PageFormat<RiscvSv48x4> && well_formed<RiscvSv48x4>());

}  // namespace morsel
