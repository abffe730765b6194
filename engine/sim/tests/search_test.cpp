// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every state of the small cases, and that what is left out of a search was not needed.
#include "engine/sim/search.hpp"

#include <gtest/gtest.h>

#include "engine/base/tests/sanitized.hpp"
#include "engine/sim/minimise.hpp"
#include "engine/sim/suite.hpp"
#include "engine/sim/token.hpp"

namespace morsel::sim {
namespace {

std::string told(const Scenario& scenario, const SearchResult& result)
{
  std::string text = result.violation + "\n" + token_of(scenario, result.schedule) + "\n";
  for (const Step& step : replay(scenario, result.schedule).steps) text += "  " + describe(scenario, step) + "\n";
  return text;
}

class SmallCase : public testing::TestWithParam<Scenario> {};
INSTANTIATE_TEST_SUITE_P(Protocol, SmallCase, testing::ValuesIn(scenarios(Suite::small)),
                         [](const auto& param) { return param.param.name; });

TEST_P(SmallCase, HoldsInEveryState)
{
  SearchOptions options;
  if (sanitized) options.max_states = 2'000;
  const SearchResult result = search(GetParam(), options);
  EXPECT_TRUE(result.complete || sanitized);
  EXPECT_EQ(result.violation, "") << told(GetParam(), result);
}

struct Comparison {
  const char* scenario;
  bool fails;
};
std::ostream& operator<<(std::ostream& out, const Comparison& c) { return out << c.scenario; }

constexpr Comparison comparisons[] = {
    {"populate:p0 -- fill:p0 unmap:p0", false},
    {"populate:p0 -- fill:p0 fill:p0,w", false},
    {"populate:p0 fill:p0 -- fill:p0 unmap:p0 unmap:p0", false},
    {"populate:p0,r fill:p0 -- protect:p0,rw fill:p0,w", false},
    {"populate:p0 fill:p0 -- unmap:p0 populate:p0", false},
    {"populate:p0 fill:p0,w -- write:p0 unmap:p0 fill:p0", false},
    {"populate:p0 fill:p0 -- drop_view fill:p0", false},
    {"view:none populate:p0 -- add_view:v1,ept fill:p0 unmap:p0", false},
    {"populate:p0 fill:p0 -- unmap:m0 unmap:p0", false},
    {"populate:p0 fill:p0 -- fill:p0 unmap:m0", false},
    {"populate:m0,2M -- unmap:p1 fill:p0", false},
    {"walked watch:p0,p1 populate:m0,2M -- unmap:p1 write:p0,v0", false},
    {"-- resize:p0 populate:p0", false},
    {"view:ept view:npt populate:p0 fill:p0,v2 -- unmap:p0 fill:p0", false},
    {"populate:p0 fill:p0 -- migrate:p0 fill:p0", false},
    {"populate:p0 fill:p0,w write:p0 -- harvest:p0 write:p0", false},
    {"populate:p0 fill:p0,w -- migrate:p0 write:p0", false},
    {"populate:p0 fill:p0 -- migrate:p0 unmap:p0", false},
    {"populate:p0 -- migrate:p0 migrate:p0", false},
    {"populate:p0 clone fill:p0 -- break_copy:p0 fill:p0", false},
    {"populate:p0 fill:p0,w write:p0 -- harvest:p0 unmap:p0", false},
    {"populate:p0 fill:p0,w write:p0 -- harvest:p0 migrate:p0", false},
    {"cores:2 populate:p0 fill:p0,w -- unmap:p0 write:p0", false},
    {"populate:p0 fill:p0 -- unmap:p0 fill:p0 drop:flush", true},
    {"populate:p0 fill:p0 -- unmap:p0 fill:p0 drop:invalidate", true},
    {"populate:p0 fill:p0 -- unmap:p0 unmap:p0 drop:read_pending", true},
    {"populate:p0 fill:p0 write:p0 -- unmap:p0 fill:p0 drop:carry", true},
    {"populate:p0 fill:p0 -- fill:p0 unmap:m0 no_grace", true},
    {"populate:p0 -- fill:p0 fill:p0 unmap:p0 same_token", true},
    {"populate:p0 fill:p0 -- unmap:p0 fill:p0 drop:unpend", true},
    {"populate:p0-1 fill:p0,w -- migrate:p0 write:p0 drop:flush", true},
    {"populate:p0 clone fill:p0 -- break_copy:p0 fill:p0 drop:flush", true},
    {"populate:p0 fill:p0,w write:p0 -- harvest:p0 unmap:p0 drop:carry", true},
};

class Reduction : public testing::TestWithParam<Comparison> {};
INSTANTIATE_TEST_SUITE_P(Smallest, Reduction, testing::ValuesIn(comparisons),
                         [](const auto& param) { return "n" + std::to_string(param.index); });

TEST_P(Reduction, LosesNoVerdictAndNoFinalState)
{
  const Scenario scenario = parse_scenario(GetParam().scenario);
  const SearchResult reduced = search(scenario), full = search(scenario, {.reduce = false});
  ASSERT_TRUE(reduced.complete && full.complete);
  EXPECT_EQ(reduced.violation.empty(), full.violation.empty());
  EXPECT_EQ(!full.violation.empty(), GetParam().fails) << full.violation;
  if (GetParam().fails) return;
  EXPECT_LE(reduced.states, full.states);
  EXPECT_EQ(reduced.final_states, full.final_states);
  EXPECT_EQ(reduced.final_hash, full.final_hash);
}

// Without the recognition of states met before, every schedule is tried: few actors and few steps only.
TEST(Recognition, LosesNoFinalState)
{
  for (const char* text : {"root:pte view:none populate:p0 -- unmap:p0 protect:p0",
                           "root:pte populate:p0 fill:p0 -- "
                           "fill:p0,w write:p0"}) {
    const Scenario scenario = parse_scenario(text);
    const SearchResult all = search(scenario, {.recognise = false}), met = search(scenario);
    ASSERT_TRUE(all.complete);
    EXPECT_EQ(all.violation, "");
    EXPECT_EQ(all.final_states, met.final_states) << text;
    EXPECT_EQ(all.final_hash, met.final_hash) << text;
  }
}

TEST(Search, ComesToTheSameStateAsARunFromTheStart)
{
  const Scenario scenario = parse_scenario("populate:p0 fill:p0 -- fill:p0,w unmap:p0 write:p0");
  ExploredRun forth(scenario), back(scenario);
  Random random(7);
  Schedule schedule;
  while (forth.choices() != 0) {
    forth.save();
    for (u32 detour = random.below(9); detour > 0 && forth.choices() != 0; --detour)
      forth.step(static_cast<Choice>(random.one_of(forth.choices())));
    forth.restore();
    forth.drop();
    schedule.push_back(static_cast<Choice>(random.one_of(forth.choices())));
    forth.step(schedule.back());
    back.step(schedule.back());
    ASSERT_EQ(forth.hash(), back.hash()) << to_text(schedule);
  }
  EXPECT_EQ(forth.violated(), "");
}

TEST(Search, OfFewPreemptionsFindsWhatNeedsFew)
{
  const Scenario scenario = parse_scenario("populate:p0 fill:p0 -- unmap:p0 unmap:p0 drop:read_pending");
  // One begins, the other removes the leaf, the first finds nothing to flush.
  EXPECT_EQ(search(scenario, {.preemptions = 1}).violation, "");
  const SearchResult two = search(scenario, {.preemptions = 2});
  EXPECT_EQ(two.violation.substr(0, 2), "I2");
  EXPECT_EQ(preemptions(scenario, two.schedule), 2u);
}

TEST(Search, OfFewDelaysFindsWhatNeedsFew)
{
  const Scenario scenario = parse_scenario("populate:p0 fill:p0 -- unmap:p0 unmap:p0 drop:read_pending");
  const SearchResult none = search(scenario, {.delays = 0});
  EXPECT_EQ(none.final_states, 1u);
  EXPECT_EQ(none.states, none.steps);  // one schedule
  EXPECT_EQ(search(scenario, {.delays = 1}).violation, "");
  const SearchResult two = search(scenario, {.delays = 2});
  EXPECT_EQ(two.violation.substr(0, 2), "I2");
  EXPECT_EQ(preemptions(scenario, two.schedule), 2u);
}

// x86-TSO: a plain store stays in its actor's buffer for as long as it likes. The schedule lets a filler go by while a
// change waits there.
TEST(StoreBuffers, ShowAMissingFence)
{
  for (const char* point : {"change", "reserve", "publish"}) {
    const Scenario scenario = parse_scenario("populate:p0 -- fill:p0 unmap:p0 plain:" + std::string(point));
    const SearchResult result = search(scenario);
    EXPECT_EQ(result.violation.substr(0, 1), "I") << point;
    EXPECT_EQ(replay(scenario, result.schedule).violation, result.violation) << point;
  }
  const TokenRun run = parse_token("populate:p0+--+fill:p0+unmap:p0+plain:change@sb12a20b3");
  const Replay told = replay(run.scenario, run.schedule);
  EXPECT_EQ(told.violation.substr(0, 2), "I3");
  EXPECT_EQ(parse_token("populate:p0+--+fill:p0+unmap:p0@sb12a20b3").schedule, run.schedule);
  EXPECT_EQ(replay(parse_scenario("populate:p0 -- fill:p0 unmap:p0"), run.schedule).violation, "");
}

TEST(StoreBuffers, AreSeenInOrderAndByTheirOwnerAtOnce)
{
  // Two changes of one actor: the buffer lets the first out before the second.
  const Scenario scenario = parse_scenario("view:none populate:p0-1 -- unmap:p0-1 plain:change");
  ExploredRun run(scenario);
  std::vector<u64> seen;
  while (run.choices() != 0) {
    const bool two = run.world().core.buffers[1].count == 2;
    if (two || !seen.empty()) {
      if (!(run.choices() >> max_actors & 1)) break;
      run.step(max_actors);
      seen.push_back(run.last_step().what.entry.offset);
    } else {
      run.step(0);
    }
  }
  EXPECT_EQ(seen, (std::vector<u64>{0, page_bytes}));
}

TEST(Minimiser, KeepsTheInvariantAndDropsTheRest)
{
  const Scenario scenario = parse_scenario(
      "watch:p0,p1 populate:p0-7 fill:p1 fill:p0 -- fill:p1 unmap:p0 protect:p1 unmap:p0 write:p1 "
      "drop:read_pending drop:cancel_move");
  const Verdict verdict = explore(scenario, 1, 20'000);
  ASSERT_TRUE(verdict.failing_seed);
  const SmallRun small = minimise(scenario, verdict.outcome.schedule);
  EXPECT_EQ(small.violation.substr(0, 2), verdict.outcome.violation.substr(0, 2));
  EXPECT_EQ(to_text(small.scenario), "populate:p0-7 fill:p0 -- unmap:p0 unmap:p0 drop:read_pending");
  EXPECT_EQ(preemptions(small.scenario, small.schedule), 2u);
  EXPECT_EQ(replay(small.scenario, small.schedule).violation, small.violation);
}

TEST(Minimiser, LeavesARunAloneThatDoesNotFail)
{
  EXPECT_EQ(minimise(parse_scenario("populate:p0 -- fill:p0 unmap:p0"), {0, 1}).violation, "");
}

TEST(Progress, EachActorComesToItsEndAlone)
{
  for (const char* text : {"populate:p0 fill:p0 -- fill:p0 unmap:p0 unmap:p0", "populate:p0 -- fill:p0 fill:p0,w"}) {
    const SearchResult result = search(parse_scenario(text), {.reduce = false, .progress = true});
    EXPECT_TRUE(result.complete);
    EXPECT_EQ(result.violation, "") << text;
  }
}

// What the tests of the ingredients do not say in these words.
TEST(Search, NamesTheInvariant)
{
  const auto violation = [](const char* text) { return search(parse_scenario(text)).violation; };
  EXPECT_EQ(violation("populate:p0 fill:p0,w -- protect:p0,r drop:flush"),
            "I2 a walker can still write after a returned protect");
  EXPECT_NE(violation("populate:p0 fill:p0,w -- protect:p0,r protect:p0,rw drop:flush").find("has rights at p0 that"),
            std::string::npos);
  EXPECT_NE(violation("populate:p0 fill:p0 -- unmap:p0 late:invalidate~flush"), "");
  const Scenario waits = parse_scenario("populate:p0 -- migrate:p0 protect:p0,r drop:cancel_move");
  EXPECT_EQ(search(waits, {.progress = true}).violation, "I5 actor b alone comes to no end");
}

}  // namespace
}  // namespace morsel::sim
