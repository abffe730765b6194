// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/foreign.hpp"

#include <gtest/gtest.h>

#include "engine/inspect/decode.hpp"
#include "engine/inspect/find_roots.hpp"

namespace morsel::inspect {
namespace {

const FormatInfo& info(FormatId id) { return *find_format(id); }

TEST(ForeignTree, WordsThatAreNotPresentAreHoles)
{
  for (const FormatInfo& f : format_table) {
    const u64 software = software::make_reserved(1, software::Stale::no);
    EXPECT_EQ(kind_of(f, Maker::foreign, software, 0), EntryKind::hole) << f.name;
    EXPECT_EQ(kind_of(f, Maker::engine, software, 0), EntryKind::reserved) << f.name;
    EXPECT_EQ(one_line(decode(f, 0, software, Maker::foreign)).substr(0, 9), "absent 0x") << f.name;
    EXPECT_EQ(one_line(decode(f, 0, 0, Maker::foreign)), "hole") << f.name;
  }
}

TEST(ForeignTree, WhatEveryFormatMakesIsPresent)
{
  AllFormats::for_each([]<class F>() {
    const u64 leaf = F::make_leaf(PhysAddr{0x5000}, 0, {F::reduce(rights_rw), true, true});
    const u64 table = F::make_table(PhysAddr{0x5000}, 1);
    EXPECT_TRUE(is_present(F::id, leaf) && is_present(F::id, table)) << F::name;
    EXPECT_EQ(kind_of(info(F::id), Maker::foreign, leaf, 0), EntryKind::leaf) << F::name;
    // Trees of ours are for user mode.
    EXPECT_TRUE(space_rights(info(F::id), leaf, 0).user) << F::name;
    EXPECT_TRUE(space_rights(info(F::id), leaf, 0).rights.includes(F::access(leaf, 0))) << F::name;
    EXPECT_TRUE(space_rights(info(F::id), table, 1).user) << F::name;
    EXPECT_EQ(volatile_bits(info(F::id)) & (F::accessed_bit | F::dirty_bit), F::accessed_bit | F::dirty_bit) << F::name;
  });
}

TEST(ForeignTree, TellsTheSupervisorsRightsFromUserModes)
{
  const SpaceRights kernel_text = space_rights(info(FormatId::amd64), 0x1000161, 0);  // P, A, D, G
  EXPECT_EQ(kernel_text, (SpaceRights{right_read | right_exec, false}));
  EXPECT_EQ(space_rights(info(FormatId::amd64), 0x8000000001000163, 0), (SpaceRights{rights_rw, false}));
  // V R W A D without U; the same with U.
  EXPECT_EQ(space_rights(info(FormatId::riscv_sv39), 0x40000c7, 0), (SpaceRights{rights_rw, false}));
  EXPECT_EQ(space_rights(info(FormatId::riscv_sv39), 0x40000d7, 0), (SpaceRights{rights_rw, true}));
  // A page descriptor of EL1: AP[2] and PXN take rights away.
  constexpr u64 page = 0x40000703;
  EXPECT_EQ(space_rights(info(FormatId::arm64_stage1), page, 0), (SpaceRights{rights_all, false}));
  EXPECT_EQ(space_rights(info(FormatId::arm64_stage1), page | bit(7) | bit(53), 0), (SpaceRights{right_read, false}));
  EXPECT_EQ(space_rights(info(FormatId::arm64_stage1), page | bit(6), 0).user, true);
  constexpr u64 table = 0x40000003;
  EXPECT_EQ(space_rights(info(FormatId::arm64_stage1), table | bit(62) | bit(61), 1),
            (SpaceRights{right_read | right_exec, false}));
  EXPECT_EQ(one_line(decode(info(FormatId::amd64), 0, 0x1000163, Maker::foreign)), "leaf 0x1000000 rwx A D");
  EXPECT_EQ(one_line(decode(info(FormatId::amd64), 0, 0x1000067, Maker::foreign)), "leaf 0x1000000 rwx U A D");
}

TEST(ForeignTree, AddressesAreSignExtendedWhereHardwareWantsIt)
{
  const FormatInfo& four = info(FormatId::amd64);
  EXPECT_EQ(address_of(four, 0x7fff'ffff'f000), 0x7fff'ffff'f000u);
  EXPECT_EQ(address_of(four, 0x8000'0000'0000), 0xffff'8000'0000'0000u);
  EXPECT_EQ(offset_of(four, 0xffff'ffff'8100'0000), 0xffff'8100'0000u);
  EXPECT_FALSE(offset_of(four, 0x8000'0000'0000));
  EXPECT_FALSE(offset_of(four, 0x1'0000'0000'0000));
  EXPECT_EQ(address_of(info(FormatId::amd64_l5), u64{1} << 56), 0xff00'0000'0000'0000u);
  EXPECT_EQ(address_of(info(FormatId::riscv_sv39), u64{1} << 38), 0xffff'ffc0'0000'0000u);
  EXPECT_EQ(address_of(info(FormatId::ept), 0x8000'0000'0000), 0x8000'0000'0000u);
  EXPECT_FALSE(offset_of(info(FormatId::ept), u64{1} << 48));
  EXPECT_EQ(space_range(info(FormatId::riscv_sv39x4)).end, u64{1} << 41);
}

TEST(ForeignTree, RootsAreTakenOutOfTheirRegisters)
{
  EXPECT_EQ(root_in_register(FormatId::amd64, 0x8000'0000'0123'4005).value, 0x123'4000u);
  EXPECT_EQ(root_in_register(FormatId::ept, 0x123'405e).value, 0x123'4000u);
  EXPECT_EQ(root_in_register(FormatId::riscv_sv39, 0x8000'1000'0000'1234).value, 0x123'4000u);
  EXPECT_EQ(root_in_register(FormatId::riscv_sv39, 0x123'4000).value, 0x123'4000u);
  EXPECT_EQ(root_in_register(FormatId::arm64_stage1, 0x0007'0000'4123'4001).value, 0x4123'4000u);
}

TEST(ForeignTree, SearchFindsNothingWhereNothingIsInCommon)
{
  const std::vector<u64> words(4 * 512);
  const PhysicalMemory memory({{0, words.size() * sizeof(u64), reinterpret_cast<const std::byte*>(words.data())}});
  const TreeSource empty{FormatId::amd64, {0x1000}, 3, Maker::foreign};
  EXPECT_TRUE(find_roots(memory, empty).empty());  // a root without a kernel
  EXPECT_TRUE(find_roots(memory, {FormatId::amd64, {0x9000}, 3, Maker::foreign}).empty());
  EXPECT_TRUE(find_roots(memory, {FormatId::ept, {0x1000}, 3, Maker::foreign}).empty());
}

}  // namespace
}  // namespace morsel::inspect
