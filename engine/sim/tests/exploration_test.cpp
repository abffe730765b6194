// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's own code under many schedules: the protocol's races, each with invariants checked after every step.
// MORSEL_RUNS=<n> sets the number of schedules for each scenario; MORSEL_SEED=<n> the first seed.
#include "engine/sim/exploration.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "engine/sim/suite.hpp"

namespace morsel::sim {
namespace {

u64 number_from(const char* variable, u64 otherwise)
{
  const char* const text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

class Race : public testing::TestWithParam<Scenario> {};
INSTANTIATE_TEST_SUITE_P(Protocol, Race, testing::ValuesIn(scenarios(Suite::races)),
                         [](const auto& param) { return param.param.name; });

TEST_P(Race, HoldsUnderEverySchedule)
{
  const Verdict v = explore(GetParam(), number_from("MORSEL_SEED", 1), number_from("MORSEL_RUNS", 1500));
  EXPECT_FALSE(v.failing_seed) << describe(GetParam(), v);
}

TEST(Exploration, TheSameSeedGivesTheSameRun)
{
  const Scenario s = scenarios(Suite::races).front();
  for (const Policy policy : {Policy::uniform, Policy::pct}) {
    const Outcome a = run_schedule(s, 42, policy), b = run_schedule(s, 42, policy);
    EXPECT_EQ(a.schedule, b.schedule);
    EXPECT_EQ(a.steps, b.steps);
  }
}

TEST(Exploration, DescribesARunThatFails)
{
  const Scenario s = parse_scenario("populate:p0 fill:p0 -- unmap:p0 drop:flush");
  const Verdict v = explore(s, 1, 10);
  ASSERT_TRUE(v.failing_seed);
  const std::string text = describe(s, v);
  EXPECT_NE(text.find("seed " + std::to_string(*v.failing_seed) + ": I"), std::string::npos) << text;
  EXPECT_NE(text.find("change  primary p0"), std::string::npos) << text;
  const Scenario whole = parse_scenario("populate:p0 fill:p0 -- unmap:p0");
  EXPECT_NE(describe(whole, explore(whole, 1, 10)).find("10 runs"), std::string::npos);
}

// A table of 512 entries is scanned in many steps; that is not without end.
TEST(StepLimit, LetsLongRunsEndAndFindsThoseThatDoNot)
{
  const Scenario scans = parse_scenario("root:pud populate:p0 fill:p0,w -- freeze:all write:p0");
  const Outcome run = run_schedule(scans, 1, Policy::uniform);
  EXPECT_EQ(run.violation, "");
  EXPECT_EQ(replay(scans, run.schedule).violation, "");
  EXPECT_TRUE(StepLimit(scans).reached(4 * run.steps + 64));
  EXPECT_FALSE(StepLimit(scans).reached(run.steps));
  const Scenario waits = parse_scenario("populate:p0 -- migrate:p0 protect:p0,r drop:cancel_move");
  Schedule the_other_waits(100'000, 1);
  std::fill_n(the_other_waits.begin(), 16, 0);  // behind the first one's midst
  EXPECT_EQ(replay(waits, the_other_waits).violation, StepLimit::reached_text);
}

}  // namespace
}  // namespace morsel::sim
