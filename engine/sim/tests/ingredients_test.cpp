// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every ingredient of the protocol is needed: taken away by a fault plan, an invariant is violated, or no bug could be
// found; with it, nothing is. And docs/ingredients.md says so.
#include "engine/sim/ingredients.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "engine/sim/crash.hpp"
#include "engine/sim/search.hpp"
#include "engine/sim/token.hpp"

namespace morsel::sim {
namespace {

// Found once for all tests.
const Counterexample& found(std::size_t index)
{
  static std::vector<Counterexample> all(ingredients().size());
  if (all[index].token.empty()) all[index] = counterexample(ingredients()[index]);
  return all[index];
}

class Without : public testing::TestWithParam<std::size_t> {
 protected:
  const Ingredient& ingredient() const { return ingredients()[GetParam()]; }
  bool of_persistence() const { return ingredient().source == Ingredient::Source::persistence; }
};
INSTANTIATE_TEST_SUITE_P(Protocol, Without, testing::Range(std::size_t{0}, ingredients().size()),
                         [](const auto& param) { return std::string(ingredients()[param.param].name); });

TEST_P(Without, AnInvariantIsViolated)
{
  const Counterexample& c = found(GetParam());
  ASSERT_NE(c.violation, "") << "nothing misses it in " << ingredient().scenario;
  EXPECT_EQ(c.violation.rfind(ingredient().invariant, 0), 0u) << c.violation << "\n" << c.token;
}

TEST_P(Without, TheRunReplaysFromItsToken)
{
  const Counterexample& c = found(GetParam());
  if (of_persistence()) {
    EXPECT_EQ(replay_crash(c.token).violation, c.violation) << c.token;
    return;
  }
  const TokenRun run = parse_token(c.token);
  EXPECT_EQ(replay(run.scenario, run.schedule).violation, c.violation) << c.token;
}

// The same scenario with everything in its place: its states as far as they go, and schedules by chance.
TEST_P(Without, NothingIsViolatedWithIt)
{
  Scenario scenario = parse_scenario(ingredient().scenario);
  const std::string with_plan = to_text(scenario);
  scenario.faults.clear();
  scenario.reuse_tokens = scenario.no_grace_periods = scenario.local_flush = false;
  ASSERT_NE(to_text(scenario), with_plan) << "no plan";
  if (of_persistence()) {
    EXPECT_EQ(crash_everywhere(scenario).violation, "");
    return;
  }
  SearchOptions options;
  options.max_states = 30'000;
  EXPECT_EQ(search(scenario, options).violation, "");
  const Verdict v = explore(scenario, 1, 1000);
  EXPECT_FALSE(v.failing_seed) << describe(scenario, v);
}

TEST(Ingredients, HaveNamesOfTheirOwn)
{
  std::set<std::string> names;
  for (const Ingredient& i : ingredients()) EXPECT_TRUE(names.insert(i.name).second) << i.name;
  for (const Untouched& u : untouched_ingredients()) EXPECT_TRUE(names.insert(u.name).second) << u.name;
}

TEST(Ingredients, StandInTheDocumentation)
{
  const char* const page = std::getenv("MORSEL_INGREDIENTS_PAGE");
  ASSERT_TRUE(page);
  std::stringstream text;
  text << std::ifstream(page).rdbuf();
  std::vector<Counterexample> all;
  for (std::size_t i = 0; i < ingredients().size(); ++i) all.push_back(found(i));
  EXPECT_EQ(text.str(), ingredients_page(all)) << "morsel-explore ingredients > docs/ingredients.md";
}

}  // namespace
}  // namespace morsel::sim
