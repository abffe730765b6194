// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the explored hardware does with accessed and dirty bits, format by format, and that cores have caches of their
// own.
#include "engine/sim/hardware.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/sim/explored_run.hpp"
#include "engine/sim/search.hpp"

namespace morsel::sim {
namespace {

enum class Flags { by_hardware, by_nobody, by_software };

Flags flags_of(const FormatInfo& format)
{
  const std::string name(format.name);
  if (name.rfind("arm64", 0) == 0 || name.rfind("riscv", 0) == 0) return Flags::by_software;
  return format.dirty_bit ? Flags::by_hardware : Flags::by_nobody;
}
bool is_riscv(const FormatInfo& format) { return format.name.substr(0, 5) == "riscv"; }

constexpr u64 riscv_accessed = 1u << 6, riscv_dirty = 1u << 7;  // Priv. S, Sv39
constexpr u64 arm64_access_flag = 1u << 10;                     // Arm ARM D8.5

// One page of a view, filled to be written.
class InEachFormat : public testing::TestWithParam<FormatInfo> {
 protected:
  ExploredWorld& world() { return run_.world(); }
  Hardware& hardware() { return world().cores(1)[0]; }
  u64& leaf()
  {
    PhysAddr table = world().tree(1).root;
    for (Level level = world().tree(1).root_level;; --level) {
      u64& word = world().memory.words(table)[0];
      if (GetParam().kind(word, level) == EntryKind::leaf) return word;
      table = GetParam().address(word, level);
    }
  }
  // As if the tables had always been so.
  void observe_again()
  {
    hardware() = {};
    ASSERT_TRUE(hardware().observe(world().memory, world().tree(1), true, world().scenario.pages));
  }

  const Scenario scenario_ =
      parse_scenario("view:" + std::string(GetParam().name) + " populate:p0 fill:p0,w -- read:p0 write:p0");
  ExploredRun run_{scenario_};
};
INSTANTIATE_TEST_SUITE_P(Formats, InEachFormat, testing::ValuesIn(format_table),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(InEachFormat, AReadSetsTheAccessedBitWhereHardwareDoes)
{
  leaf() &= ~GetParam().accessed_bit;
  observe_again();
  const u64 before = leaf();
  run_.step(0);  // begins
  run_.step(0);
  EXPECT_EQ(leaf(), before | GetParam().accessed_bit);
  EXPECT_EQ(leaf() != before, flags_of(GetParam()) == Flags::by_hardware);
}

TEST_P(InEachFormat, AWriteLeavesTheTraceThatTheFormatHas)
{
  const u64 before = leaf();
  run_.step(1);
  run_.step(1);
  EXPECT_EQ(leaf(), before | GetParam().accessed_bit | GetParam().dirty_bit);
  EXPECT_TRUE(GetParam().may_be_dirty(leaf(), 0));
  EXPECT_EQ(run_.violated(), "");
}

TEST_P(InEachFormat, WithoutAFlagThatSoftwareSetsAnAccessFaults)
{
  if (flags_of(GetParam()) != Flags::by_software) {
    ASSERT_EQ(hardware().leaves().size(), 1u);
    EXPECT_TRUE(hardware().leaves().begin()->rights.write());
    return;
  }
  leaf() &= ~(is_riscv(GetParam()) ? riscv_accessed : arm64_access_flag);
  observe_again();
  EXPECT_EQ(hardware().leaves().size(), 0u) << "the page cannot be used";
}

TEST_P(InEachFormat, WithoutADirtyBitThatSoftwareSetsAWriteFaults)
{
  if (!is_riscv(GetParam())) {
    PhysAddr written;
    u64* changed = nullptr;
    EXPECT_TRUE(hardware().write(world().memory, world().tree(1), true, 0, written, changed));
    return;
  }
  leaf() &= ~riscv_dirty;
  observe_again();
  ASSERT_EQ(hardware().leaves().size(), 1u);
  EXPECT_EQ(hardware().leaves().begin()->rights, right_read);
  PhysAddr written;
  u64* changed = nullptr;
  EXPECT_FALSE(hardware().write(world().memory, world().tree(1), true, 0, written, changed));
  EXPECT_FALSE(changed);
}

// A walker that holds that a page is absent goes on to fault: the fill that mapped it has to tell it.
TEST_P(InEachFormat, OnlySomeWalkersHoldThatAPageIsAbsent)
{
  const std::string view = "view:" + std::string(GetParam().name);
  const auto verdict = [&](const std::string& acts) {
    const SearchResult result = search(parse_scenario(view + " " + acts));
    EXPECT_TRUE(result.complete || !result.violation.empty());
    return result.violation;
  };
  EXPECT_EQ(verdict("populate:p0 -- fill:p0 unmap:p0"), "");
  const std::string without_flush = verdict("populate:p0 -- fill:p0 drop:flush");
  EXPECT_EQ(without_flush.substr(0, 2), GetParam().caches_non_present ? "I5" : "");
  if (GetParam().caches_non_present) {
    EXPECT_EQ(verdict("populate:p0 fill:p0 -- fill:p0,w unmap:p0 populate:p0"), "");
  }
}

TEST(Cores, CacheDirtinessEachForItself)
{
  const Scenario scenario = parse_scenario("populate:p0 fill:p0,w -- write:p0 write:p0 cores:2");
  ExploredRun run(scenario);
  ExploredWorld& world = run.world();
  auto is_dirty = [&world](u32 core) {
    const auto& leaves = world.cores(1)[core].leaves();
    return std::any_of(leaves.begin(), leaves.end(), [](const CachedLeaf& l) { return l.dirty; });
  };
  EXPECT_FALSE(is_dirty(0) || is_dirty(1));
  PhysAddr written;
  u64* changed = nullptr;
  ASSERT_TRUE(world.cores(1)[0].write(world.memory, world.tree(1), true, 0, written, changed));
  EXPECT_TRUE(changed) << "D is set in the tables, and cached by who walks again";
  ASSERT_TRUE(world.cores(1)[1].observe(world.memory, world.tree(1), true, scenario.pages));
  EXPECT_FALSE(is_dirty(0));
  EXPECT_TRUE(is_dirty(1));
}

TEST(Cores, AFlushThatMissesOneIsFoundWithTwo)
{
  const char* const text = "populate:p0 fill:p0 -- unmap:p0 local_flush";
  EXPECT_EQ(search(parse_scenario(text)).violation, "") << "one core: its own";
  EXPECT_EQ(search(parse_scenario(std::string("cores:2 ") + text)).violation.substr(0, 2), "I3");
  const SearchResult whole = search(parse_scenario("cores:2 populate:p0 fill:p0 -- unmap:p0"));
  EXPECT_EQ(whole.violation, "");
  EXPECT_TRUE(whole.complete);
}

TEST(Cores, AreWalkedByTheActorsInTurn)
{
  for (const char* text : {"cores:2 populate:p0 fill:p0,w -- unmap:p0 write:p0 fill:p0,w",
                           "cores:2 populate:p0,r fill:p0 -- protect:p0,rw fill:p0,w read:p0",
                           "cores:2 populate:p0-1 fill:p0,w write:p0 -- harvest:p0 write:p0",
                           "cores:3 populate:p0-1 fill:p0,w -- migrate:p0 write:p0"}) {
    const SearchResult result = search(parse_scenario(text));
    EXPECT_EQ(result.violation, "") << text;
    EXPECT_TRUE(result.complete) << text;
  }
}

}  // namespace
}  // namespace morsel::sim
