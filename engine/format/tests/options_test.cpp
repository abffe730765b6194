// SPDX-License-Identifier: GPL-2.0-or-later
//
// The options of EPT that no view is made with by default, and what rights a format cannot express.
#include <gtest/gtest.h>

#include "engine/format/all.hpp"

namespace morsel {
namespace {

template <unsigned Depth, EptOptions options>
constexpr bool fine = PageFormat<Ept<Depth, options>>&& well_formed<Ept<Depth, options>>();
static_assert(fine<5, EptOptions{.accessed_dirty = false, .execute_only = false}>);
static_assert(fine<5, EptOptions{.mode_based_execute = true, .execute_only = false}>);
static_assert(fine<4, EptOptions{.accessed_dirty = false, .mode_based_execute = true}>);
static_assert(fine<4, EptOptions{.memory_type = EptMemoryType::uncached}>);
static_assert(fine<4, EptOptions{.memory_type = EptMemoryType::write_combining}>);
static_assert(fine<4, EptOptions{.memory_type = EptMemoryType::write_through}>);
static_assert(fine<4, EptOptions{.memory_type = EptMemoryType::write_protected}>);

TEST(EptOptions, ExecuteOnlyIsMisconfiguredWhereTheProcessorLacksIt)
{
  using Lacks = Ept<4, EptOptions{.execute_only = false}>;
  const u64 word = EptL4::make_leaf({0x1000}, 0, {right_exec});
  EXPECT_EQ(EptL4::kind(word, 0), EntryKind::leaf);
  EXPECT_EQ(Lacks::kind(word, 0), EntryKind::malformed);
  EXPECT_TRUE(Lacks::reduce(right_exec).none());
  EXPECT_EQ(EptL4::reduce(right_exec), right_exec);
}

TEST(EptOptions, TheMemoryTypeStandsInEveryLeaf)
{
  using Uncached = Ept<4, EptOptions{.memory_type = EptMemoryType::uncached}>;
  const LeafAttributes rw{rights_rw, true, false};
  EXPECT_EQ(field_value(EptL4::make_leaf({0x200000}, 1, rw), EptL4::memory_type), 6u);
  EXPECT_EQ(field_value(Uncached::make_leaf({0x200000}, 1, rw), Uncached::memory_type), 0u);
}

// Never widened, by any format, at any level; and what is made allows exactly what was promised.
TEST(Rights, AreReducedNeverWidened)
{
  AllFormats::for_each([]<class F>() {
    for (u8 bits = 0; bits < 8; ++bits) {
      const Rights asked = Rights::from_bits(bits), given = F::reduce(asked);
      EXPECT_TRUE(asked.includes(given)) << F::name;
      EXPECT_EQ(F::reduce(given), given) << F::name;
      if (given.none()) continue;
      for (Level level = 0; level < F::levels.size(); ++level) {
        if (!F::levels[level].leaf_allowed) continue;
        EXPECT_EQ(F::access(F::make_leaf({0}, level, {given}), level), given) << F::name << " level " << int{level};
      }
    }
  });
}

TEST(Rights, OfDevicesNeverIncludeExecute)
{
  for (const char* name : {"vtd_second_stage", "vtd_second_stage_l5", "amd_iommu_v1"}) {
    EXPECT_EQ(find_format(name)->reduce(rights_all), rights_rw) << name;
    EXPECT_EQ(find_format(name)->reduce(right_write), right_write) << name << " has write-only pages";
  }
}

TEST(Rights, WriteWithoutReadIsGoneWhereItIsReserved)
{
  for (const char* name : {"amd64", "npt", "ept", "arm64_stage1", "riscv_sv39", "riscv_sv48x4"})
    EXPECT_TRUE(find_format(name)->reduce(right_write).none()) << name;
  EXPECT_EQ(find_format("arm64_stage2")->reduce(right_write), right_write);
}

// A leaf without a dirty bit may be dirty as soon as it may be written.
TEST(Dirty, IsTheBitOrTheRightToWrite)
{
  AllFormats::for_each([]<class F>() {
    const Level level = 0;
    const u64 clean = F::make_leaf({0x1000}, level, {rights_rw, true, false});
    const u64 written = F::make_leaf({0x1000}, level, {rights_rw, true, true});
    EXPECT_TRUE(F::may_be_dirty(written, level)) << F::name;
    EXPECT_EQ(F::may_be_dirty(clean, level), F::dirty_bit == 0) << F::name;
    EXPECT_FALSE(F::may_be_dirty(F::make_leaf({0x1000}, level, {right_read, true, false}), level)) << F::name;
  });
}

}  // namespace
}  // namespace morsel
