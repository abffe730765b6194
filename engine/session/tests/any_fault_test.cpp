// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every fault at every point, over an object's whole life: the embedded machine may be spoilt by it, this process not.
#include <array>

#include "engine/abi/morsel_points.h"
#include "engine/base/tests/sanitized.hpp"
#include "engine/platform/point.hpp"
#include "engine/session/tests/command_lines.hpp"

namespace morsel::session {
namespace {

constexpr std::array<const char*, 8> all_faults{
    "drop",
    "fail",
    "delay --until flush",
    "delay --until leave",
    "duplicate",
    "corrupt --bits 0x1000",        // another frame, a counter far too high
    "corrupt --bits 0x8000000081",  // an address where no memory is; present, and a large leaf
    "crash",
};

// What fails is told, and the next line is tried all the same.
u32 run_all(Session& session, std::initializer_list<const char*> lines)
{
  u32 accepted = 0;
  for (const char* line : lines) try {
      session.execute_line(line);
      ++accepted;
    } catch (const Failure& failure) {
      EXPECT_FALSE(failure.found().empty()) << line;
    }
  return accepted;
}

void live(const std::string& rule)
{
  SCOPED_TRACE(rule);
  Session session{sim::make_embedded_target(u64{64} << 20)};
  run_all(session, {"object create o 4M", "object populate o 0..64K", "view add o ept", "journal on"});
  ASSERT_NO_THROW(session.execute_line(rule));
  run_all(session, {"object populate o 64K..128K",
                    "access o ept 0 write --value 5",
                    "access o ept 0x1000 read",
                    "access o primary 0x2000 write --value 6",
                    "object protect o 0x1000 r",
                    "object unmap o 0",
                    "access o ept 0 read",
                    "object migrate o 0x2000",
                    "object populate o 2M..4M --leaf 2M",
                    "access o ept 2M write",
                    "object split o 2M..4M",
                    "access o ept 0x201000 read",
                    "object merge o 2M..4M",
                    "object harvest o all",
                    "object ranges o --dirty",
                    "view add o npt",
                    "access o npt 0x3000 read",
                    "view drop o npt",
                    "view add o arm64_stage2",
                    "access o npt 0x3000 read",
                    "object populate o 1M..1028K",
                    "object unmap o 1M",
                    "object clone o c",
                    "access c primary 0x3000 write",
                    "tree o",
                    "verify",
                    "inject list",
                    "object destroy c",
                    "object destroy o",
                    "inject clear",
                    "counters"});
}

// The same behind the gate, with the machine made again in the middle.
void step(const std::string& rule)
{
  SCOPED_TRACE(rule);
  Session session{sim::make_embedded_target(u64{64} << 20)};
  run_all(session, {"object create o 4M", "object populate o 0..2M --leaf 2M", "object split o 0..2M", "view add o ept",
                    "access o ept 0 write --value 5", "journal on"});
  ASSERT_NO_THROW(session.execute_line(rule));
  run_all(session, {"stop", "access o ept 0x1000 read", "object unmap o 0x1000", "object merge o 0..2M",
                    "object harvest o all", "view add o npt", "view drop o ept", "object destroy o", "until flush",
                    "step", "run", "verify", "back 5", "branch", "run", "verify"});
}

// Under sanitizers each point has two of the faults, one point after the other the next two.
bool has_its_turn(u32 point, std::size_t fault) { return !sanitized || fault % 4 == point % 4; }

template <class Life>
void with_every_fault(const std::string& options, Life&& life)
{
  for (u32 point = 0; point < MORSEL_POINT_COUNT; ++point)
    for (std::size_t f = 0; f < all_faults.size(); ++f) {
      if (!has_its_turn(point, f)) continue;
      const std::string fault = all_faults[f];
      const auto at = static_cast<SyncPoint>(point);
      const bool torn = at == SyncPoint::copy && fault.starts_with("corrupt");
      life("inject add " + std::string(point_name(at)) + " " + (torn ? "corrupt" : fault) + options);
      if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(AnyFault, HarmsTheMachineAndNotTheProcess) { with_every_fault(" --times 1000", live); }

TEST(AnyFault, BehindTheGateNeither) { with_every_fault(" --times 3", step); }

using SpoiltMachine = CommandLines;

// What unlisted it was lost: so it is a view as it was, without any leaf.
TEST_F(SpoiltMachine, AViewThatIsNotTakenOffTheListStays)
{
  for (const char* line : {"object create o 4M", "object populate o 0..64K", "view add o ept", "access o ept 0 write",
                           "inject add unlist drop --times 2", "view drop o ept"})
    run(line);
  EXPECT_EQ(run("view list o").facts["views"].size(), 1u);
  EXPECT_EQ(run("access o ept 0 read").facts["outcome"], "filled");
  run("object unmap o 0");
  EXPECT_EQ(run("diff o").status, 0);
  run("view drop o ept");
  run("view drop o ept");
  EXPECT_TRUE(run("view list o").facts["views"].empty());
  run("object destroy o");
  EXPECT_EQ(run("counters").facts["tables"], 0);
}

TEST_F(SpoiltMachine, MoreViewsThanTheListHoldsAreNotLookedAt)
{
  for (const char* line : {"object create o 4M", "inject add list corrupt --bits 0x1000", "view add o npt",
                           "view add o ept", "object populate o 0..4K", "access o ept 0 write", "object unmap o 0"})
    run(line);
  EXPECT_EQ(run("diff o").status, 0);
}

TEST_F(SpoiltMachine, WhereNoMemoryIsNothingAnswers)
{
  for (const char* line : {"object create o 4M", "object populate o 4K..8K",
                           "inject add change corrupt --bits 0x8000000000", "object populate o 0..4K",
                           "access o primary 0 write --value 5"})
    run(line);
  EXPECT_EQ(run("access o primary 0 read").facts["value"], "0xffffffffffffffff");
  run("object destroy o");
}

TEST_F(SpoiltMachine, AnExchangeThatNeverHappensIsRefused)
{
  EXPECT_NE(std::string(failure("inject add reserve drop --times 1000000").what()).find("keep an operation busy"),
            std::string::npos);
  run("inject add invalidate drop --times 1000000");
}

// Not that the machine is full.
TEST_F(SpoiltMachine, ACloneThatIsRefusedNamesTheFault)
{
  run("object create o 4M");
  run("inject add freeze drop");
  const std::string what = failure("object clone o c").what();
  EXPECT_NE(what.find("injected fault"), std::string::npos) << what;
  EXPECT_EQ(what.find("full"), std::string::npos) << what;
}

}  // namespace
}  // namespace morsel::session
