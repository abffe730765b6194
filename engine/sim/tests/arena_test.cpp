// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/arena.hpp"

#include <gtest/gtest.h>

namespace morsel::sim {
namespace {

constexpr u64 MiB = u64{1} << 20, GiB = 1024 * MiB;

TEST(Arena, GivesRunsOnTheirNaturalBoundary)
{
  Arena arena(3 * GiB);
  for (const u32 order : {0u, 2u, 9u, 11u, 18u}) {
    const auto at = arena.allocate(order);
    ASSERT_TRUE(at) << order;
    EXPECT_EQ(at->value % (page_bytes << order), 0u) << order;
    EXPECT_TRUE(arena.contains(*at) && arena.contains(*at + ((page_bytes << order) - 1))) << order;
    EXPECT_EQ(arena.used_pages(), u64{1} << order);
    arena.release(*at, order);
    EXPECT_EQ(arena.used_pages(), 0u);
  }
}

TEST(Arena, SaysWhenNothingIsFreeInOnePiece)
{
  Arena arena(4 * MiB);
  EXPECT_EQ(arena.allocate(10).error(), Error::none) << "all of it";
  EXPECT_EQ(arena.allocate(0).error(), Error::no_memory);
  EXPECT_EQ(arena.allocate(2).error(), Error::no_memory);
  EXPECT_EQ(arena.allocate(9).error(), Error::no_memory);
  EXPECT_EQ(arena.allocate(18).error(), Error::no_memory);
  arena.release(Arena::base + 4 * page_bytes, 0);
  EXPECT_EQ(arena.allocate(2).error(), Error::no_memory);
  EXPECT_EQ(arena.allocate(0)->value, Arena::base.value + 4 * page_bytes);
}

TEST(Arena, ZeroesWhatWasUsedBefore)
{
  Arena arena(4 * MiB);
  const PhysAddr block = *arena.allocate(9);
  arena.words(block + 8 * page_bytes)[3] = 7;
  arena.release(block, 9);
  EXPECT_EQ(*arena.allocate(9), block);
  EXPECT_EQ(arena.words(block + 8 * page_bytes)[3], 0u);
}

}  // namespace
}  // namespace morsel::sim
