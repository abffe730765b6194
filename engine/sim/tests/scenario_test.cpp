// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/scenario.hpp"

#include <gtest/gtest.h>

#include "engine/session/failure.hpp"
#include "engine/sim/explored_run.hpp"
#include "engine/sim/suite.hpp"
#include "engine/sim/token.hpp"

namespace morsel::sim {
namespace {

TEST(ScenarioText, PrintsWhatItParses)
{
  for (const char* text :
       {"-- fill:p0", "populate:p0-1 fill:p0 -- fill:p0,w unmap:p0",
        "root:pud size:1G view:npt view:amd64 walked watch:p0,p512 -- unmap:m0",
        "root:pte -- fill:p0 drop:flush drop:invalidate@v1#2 fail:alloc#3 plain:change@v0 same_token no_grace",
        "-- fill:p0 unmap:p0 late:flush~unpend@b old:read_primary@a unmarked:reserve leaf:flush blind:link",
        "-- unmap:p0 early:read_pending~read_list drop:flush@v1@a?stale#2 alone:mark slow_release",
        "size:8K view:none -- populate:p0", "populate:p0 -- unmap:p0 unfenced:persist#2",
        "populate:p0 fill:p0 -- read:p0 write:p0 unmap:p0 cores:2 local_flush"})
    EXPECT_EQ(to_text(parse_scenario(text)), text);
}

TEST(ScenarioText, SaysWhatIsWrong)
{
  auto complaint = [](const char* text) -> std::string {
    try {
      (void)parse_scenario(text);
    } catch (const session::Failure& failure) {
      return failure.what();
    }
    return "";
  };
  EXPECT_NE(complaint("populate:p0").find("nobody does anything"), std::string::npos);
  EXPECT_NE(complaint("root:pgd -- fill:p0").find("root:pte, root:pmd"), std::string::npos);
  EXPECT_NE(complaint("view:z80 -- fill:p0").find("Formats: none, amd64"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0 drop:coffee").find("no point is called 'coffee'"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0 drop:flush@x").find("no tree and no actor"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0 late:flush").find("has a second point"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0 drop:flush?rich").find("is no condition"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0 fail:flush").find("only allocations"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0 unfenced:flush").find("only write-backs are fenced"), std::string::npos);
  EXPECT_NE(complaint("watch:p0,p1,p2,p3,p4 -- fill:p0").find("too many pages"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0,v2").find("there is no such tree"), std::string::npos);
  EXPECT_NE(complaint("-- write:p0,v0").find("need 'walked'"), std::string::npos);
  EXPECT_NE(complaint("-- read:p0,v0").find("need 'walked'"), std::string::npos);
  EXPECT_NE(complaint("-- fill:p0 cores:5").find("cores:1 to cores:4"), std::string::npos);
  EXPECT_NE(complaint("size:xM -- fill:p0").find("'x' is no number"), std::string::npos);
  EXPECT_NE(complaint("-- read:p0 read:p0 read:p0 read:p0 read:p0 read:p0 read:p0 read:p0").find("8 actors"),
            std::string::npos);
  EXPECT_NE(complaint("size:4 -- fill:p0").find("For example: size:4M"), std::string::npos);
}

TEST(Token, NamesOneRun)
{
  const Scenario scenario = parse_scenario("populate:p0-1 -- unmap:p0 drop:flush fill:p0");
  const Verdict verdict = explore(scenario, 1, 10'000);
  ASSERT_TRUE(verdict.failing_seed);
  for (const std::string& token :
       {token_of(scenario, *verdict.failing_seed, verdict.policy), token_of(scenario, verdict.outcome.schedule)}) {
    const TokenRun run = parse_token(token);
    EXPECT_EQ(run.schedule, verdict.outcome.schedule) << token;
    const Replay again = replay(run.scenario, run.schedule);
    EXPECT_EQ(again.violation, verdict.outcome.violation) << token;
    EXPECT_EQ(again.steps.size(), verdict.outcome.steps) << token;
  }
}

TEST(Token, KeepsWhoWentOnAndHowOften)
{
  const Schedule schedule{0, 0, 0, 1, max_actors, max_actors, 0};
  EXPECT_EQ(to_text(schedule), "a3bA2a");
  EXPECT_EQ(parse_token("populate:p0+--+unmap:p0+fill:p0@sa3bA2a").schedule, schedule);
  EXPECT_THROW((void)parse_token("--+fill:p0"), session::Failure);
  EXPECT_THROW((void)parse_token("--+fill:p0@x1"), session::Failure);
  EXPECT_THROW((void)parse_token("--+fill:p0@sa2z"), session::Failure);
  EXPECT_THROW((void)parse_token("--+fill:p0@u"), session::Failure);
}

TEST(Replay, TellsWhatStoodInEntries)
{
  const TokenRun run = parse_token("populate:p0-1+fill:p0+--+unmap:p0@sa");
  std::string told;
  for (const Step& step : replay(run.scenario, run.schedule).steps) told += describe(run.scenario, step) + "\n";
  EXPECT_NE(told.find("a unmap:p0            begins\n"), std::string::npos) << told;
  EXPECT_NE(told.find("change  primary p0: leaf 0x1000000000 rw- A -> hole\n"), std::string::npos) << told;
  EXPECT_NE(told.find("invalidate  v1 p0: leaf 0x1000000000 rw- A -> hole\n"), std::string::npos) << told;
  EXPECT_NE(told.find("flush has ended  v1\n"), std::string::npos) << told;
}

TEST(Replay, TellsOfDelayedStoresAndOfFrozenObjects)
{
  const auto told = [](const char* text) {
    const Scenario scenario = parse_scenario(text);
    const Verdict verdict = explore(scenario, 1, 1);
    std::string lines;
    for (const Step& step : replay(scenario, verdict.outcome.schedule).steps) lines += describe(scenario, step) + "\n";
    return lines;
  };
  EXPECT_NE(told("populate:p0 fill:p0 -- unmap:p0 plain:change").find("its delayed store is seen"), std::string::npos);
  EXPECT_NE(told("populate:p0 fill:p0 -- harvest:p0").find("looks around"), std::string::npos);
  EXPECT_NE(told("view:none populate:p0 -- add_view:v1,npt fill:p0").find("v1"), std::string::npos);
}

TEST(Stage, ThatCannotBeSetIsRefusedWithAReason)
{
  const Scenario scenario = parse_scenario("root:pte size:4M -- fill:p0");
  try {
    const ExploredRun run(scenario);
    FAIL() << "a PTE table maps 2 MiB";
  } catch (const session::Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("the stage cannot be set: out of range"), std::string::npos)
        << failure.what();
  }
}

TEST(Suites, AreScenariosThatCanBeSet)
{
  for (const Suite suite : {Suite::small, Suite::large, Suite::races, Suite::crashes})
    for (const Scenario& scenario : scenarios(suite)) {
      EXPECT_EQ(to_text(parse_scenario(to_text(scenario))), to_text(scenario)) << scenario.name;
      EXPECT_NE(ExploredRun(scenario).choices(), 0u) << scenario.name;
    }
}

}  // namespace
}  // namespace morsel::sim
