// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/foreign.hpp"

namespace morsel::inspect {

bool is_present(FormatId format, u64 word)
{
  switch (format) {
    case FormatId::ept:
    case FormatId::ept_l5:
    case FormatId::ept_no_ad: return (word & bits(2, 0)) != 0;
    case FormatId::ept_mbe: return (word & (bits(2, 0) | bit(10))) != 0;
    case FormatId::vtd_second_stage:
    case FormatId::vtd_second_stage_l5: return (word & bits(1, 0)) != 0;
    default: return (word & bit(0)) != 0;
  }
}

EntryKind kind_of(const FormatInfo& format, Maker maker, u64 word, Level level)
{
  if (maker == Maker::foreign && !is_present(format.id, word)) return EntryKind::hole;
  return format.kind(word, level);
}

namespace {

// Of EL1 (Arm ARM D8.4): it may always read; AP[2] and PXN take away the rest, in tables for all below.
SpaceRights arm64_rights(u64 word, bool table)
{
  const bool read_only = word & (table ? bit(62) : bit(7)), no_execute = word & (table ? bit(59) : bit(53));
  const bool user = table ? !(word & bit(61)) : (word & bit(6)) != 0;
  return {Rights::from_bits(static_cast<u8>(1 | (read_only ? 0 : 2) | (no_execute ? 0 : 4))), user};
}

}  // namespace

bool has_user_mode(FormatId format)
{
  switch (format) {
    case FormatId::amd64:
    case FormatId::amd64_l5:
    case FormatId::arm64_stage1:
    case FormatId::riscv_sv39:
    case FormatId::riscv_sv48:
    case FormatId::riscv_sv57: return true;
    default: return false;
  }
}

SpaceRights space_rights(const FormatInfo& format, u64 word, Level level)
{
  switch (format.id) {
    case FormatId::amd64:
    case FormatId::amd64_l5: return {format.access(word | bit(2), level), (word & bit(2)) != 0};
    case FormatId::riscv_sv39:
    case FormatId::riscv_sv48:
    case FormatId::riscv_sv57: {
      const bool leaf = format.kind(word, level) == EntryKind::leaf;
      return {format.access(leaf ? word | bit(4) : word, level), !leaf || (word & bit(4))};
    }
    case FormatId::arm64_stage1: return arm64_rights(word, format.kind(word, level) == EntryKind::table);
    default: return {format.access(word, level), true};
  }
}

u64 volatile_bits(const FormatInfo& format)
{
  const bool amd64 = format.id == FormatId::amd64 || format.id == FormatId::amd64_l5;
  return format.accessed_bit | format.dirty_bit | (amd64 ? bits(11, 9) | bits(58, 52) : 0);
}

Range space_range(const FormatInfo& format)
{
  const LevelInfo& top = format.levels.back();
  return {0, lg2_bytes(top.shift_lg2 + top.index_bits)};
}

u64 sign_boundary(const FormatInfo& format)
{
  switch (format.id) {
    case FormatId::amd64:
    case FormatId::amd64_l5:
    case FormatId::riscv_sv39:
    case FormatId::riscv_sv48:
    case FormatId::riscv_sv57: return space_range(format).end / 2;
    default: return 0;
  }
}

u64 address_of(const FormatInfo& format, u64 offset)
{
  const u64 boundary = sign_boundary(format);
  return boundary != 0 && offset >= boundary ? offset | ~(2 * boundary - 1) : offset;
}

std::optional<u64> offset_of(const FormatInfo& format, u64 address)
{
  const u64 offset = address & (space_range(format).end - 1);
  if (address_of(format, offset) != address) return {};
  return offset;
}

PhysAddr root_in_register(FormatId format, u64 value)
{
  switch (format) {
    case FormatId::riscv_sv39:
    case FormatId::riscv_sv48:
    case FormatId::riscv_sv57:
    case FormatId::riscv_sv39x4:
    case FormatId::riscv_sv48x4:
      // satp and hgatp name a page's number below a mode that is not 0; without one it is an address.
      return {(value >> 60) != 0 ? (value & bits(43, 0)) << page_lg2 : align_down(value, page_bytes)};
    case FormatId::arm64_stage1:
    case FormatId::arm64_stage2: return {value & bits(47, 12)};
    default: return {value & bits(51, 12)};
  }
}

}  // namespace morsel::inspect
