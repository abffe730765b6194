// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's own code under many schedules: the protocol's races, each with invariants checked after every step. And
// the other way round: with an ingredient taken away a violation is found, or no bug could be.
// MORSEL_RUNS=<n> sets the number of schedules for each scenario; MORSEL_SEED=<n> the first seed.
#include "engine/sim/exploration.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "engine/sim/ingredients.hpp"
#include "engine/sim/search.hpp"
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

class Without : public testing::TestWithParam<Ingredient> {};
INSTANTIATE_TEST_SUITE_P(Protocol, Without, testing::ValuesIn(ingredients().begin(), ingredients().end()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(Without, AnInvariantIsViolated)
{
  const Scenario scenario = parse_scenario(GetParam().scenario);
  const SearchResult result = search(scenario);
  ASSERT_NE(result.violation, "");
  EXPECT_EQ(result.violation.rfind(GetParam().invariant, 0), 0u) << result.violation;
  EXPECT_EQ(replay(scenario, result.schedule).violation, result.violation);
}

// The same scenario with everything in its place.
TEST_P(Without, NothingIsViolatedWithIt)
{
  Scenario scenario = parse_scenario(GetParam().scenario);
  scenario.faults.clear();
  scenario.reuse_tokens = scenario.no_grace_periods = false;
  const Verdict v = explore(scenario, 1, 300);
  EXPECT_FALSE(v.failing_seed) << describe(scenario, v);
}

TEST(Ingredients, StandInTheDocumentation)
{
  const char* const page = std::getenv("MORSEL_CONCURRENCY_PAGE");
  ASSERT_TRUE(page);
  std::stringstream text;
  text << std::ifstream(page).rdbuf();
  EXPECT_NE(text.str().find(ingredients_markdown()), std::string::npos)
      << "Put this into docs/concurrency.md (morsel-explore ingredients):\n"
      << ingredients_markdown();
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

}  // namespace
}  // namespace morsel::sim
