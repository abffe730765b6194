// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's own code under many schedules: the protocol's races, each with invariants checked after every step. And
// the other way round: with an ingredient taken away, exploration finds the violation, or it could not find a bug.
// MORSEL_RUNS=<n> sets the number of schedules for each scenario; MORSEL_SEED=<n> the first seed.
#include "engine/sim/exploration.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace morsel::sim {
namespace {

using Kind = Act::Kind;
constexpr u64 KiB = 1024, MiB = 1024 * KiB;
constexpr Range p0{0, 4 * KiB}, p1{4 * KiB, 8 * KiB}, both{0, 8 * KiB}, large{0, 2 * MiB}, all{0, 4 * MiB};

Act make(Kind kind, Range r, TreeId view = 1, Rights rights = right_read, Level leaf = 0)
{
  Act act;
  act.kind = kind;
  act.range = r;
  act.view = view;
  act.rights = rights;
  act.leaf_level = leaf;
  return act;
}
Act fill(Range r, Rights want = right_read, TreeId view = 1) { return make(Kind::fill, r, view, want); }
Act hw_write(Range r, TreeId view = 1) { return make(Kind::write, r, view); }
Act unmap(Range r) { return make(Kind::unmap, r); }
Act protect(Range r, Rights rights) { return make(Kind::protect, r, 1, rights); }
Act populate(Range r, Level leaf = 0, Rights rights = rights_rw) { return make(Kind::populate, r, 1, rights, leaf); }
Act invalidate(Range r, TreeId view = 1) { return make(Kind::invalidate, r, view); }
Act add_view(TreeId view) { return make(Kind::add_view, {}, view); }
Act drop_view(TreeId view) { return make(Kind::drop_view, {}, view); }
Act resize(u64 bytes) { return make(Kind::resize, {bytes, bytes}); }

u64 number_from(const char* variable, u64 otherwise)
{
  const char* const text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

Scenario make(std::string name, std::vector<Act> before, std::vector<Act> actors, std::vector<u64> pages = {0})
{
  Scenario s;
  s.name = std::move(name);
  s.before = std::move(before);
  s.actors = std::move(actors);
  s.pages = std::move(pages);
  return s;
}

std::vector<Scenario> races()
{
  const Act pop = populate(both);
  std::vector<Scenario> s{
      make("fill_against_unmap", {pop}, {fill(p0), unmap(p0)}),
      make("two_fills_against_unmap", {pop}, {fill(p0), fill(p0, right_write), unmap(p0)}),
      make("warm_fill_against_unmap", {pop, fill(p0)}, {fill(p0, right_write), unmap(p0), hw_write(p0)}),
      make("two_unmaps_against_fill", {pop, fill(p0)}, {fill(p0), unmap(p0), unmap(p0)}),
      make("unmap_against_unmap_of_the_table", {pop, fill(p0)}, {unmap(p0), unmap(large), fill(p0)}),
      make("upgrade_against_unmap", {populate(both, 0, right_read), fill(p0)},
           {protect(p0, rights_rw), fill(p0, right_write), unmap(p0), hw_write(p0)}),
      make("protect_against_fill_and_write", {pop, fill(p0)},
           {protect(p0, right_read), fill(p0, right_write), hw_write(p0)}),
      make("two_protects", {pop, fill(p0)}, {protect(p0, right_read), protect(p0, right_read), fill(p0)}),
      make("unmap_and_populate_again", {pop, fill(p0)}, {unmap(p0), populate(p0), fill(p0)}),
      make("refill_during_two_unmaps", {pop, fill(p0)}, {unmap(p0), populate(p0), fill(p0), unmap(p0)}),
      make("large_fill_against_small_unmap", {populate(large, 1)}, {fill(p0), unmap(p1), fill(p1)}, {0, 4 * KiB}),
      make("large_leaf_split_under_a_warm_view", {populate(large, 1), fill(p0)},
           {unmap(p1), fill(p1, right_write), hw_write(p0)}, {0, 4 * KiB}),
      make("large_leaf_gives_way_to_a_table", {populate(large, 1, right_read), fill(p0)},
           {protect(p1, rights_rw), fill(p1, right_write), fill(p0), hw_write(p0)}, {0, 4 * KiB}),
      make("invalidate_against_fill", {pop, fill(p0)}, {invalidate(p0), fill(p0), unmap(p0), hw_write(p0)}),
      make("invalidate_of_the_table_against_fill", {pop, fill(p0)}, {invalidate(large), fill(p1), unmap(p0)},
           {0, 4 * KiB}),
      make("drop_view_against_fill", {pop, fill(p0)}, {drop_view(1), fill(p0), unmap(p0), hw_write(p0)}),
      make("drop_view_against_dirty_unmap", {pop, fill(p0), hw_write(p0)}, {drop_view(1), unmap(p0)}),
      make("add_view_against_unmap", {pop}, {add_view(2), fill(p0, right_read, 2), unmap(p0)}),
      make("resize_against_populate", {}, {resize(4 * KiB), populate(both), fill(p1)}, {0, 4 * KiB}),
  };
  Scenario two = make("two_views", {pop, fill(p0), fill(p0, right_read, 2)},
                      {unmap(p0), fill(p0, right_read, 2), hw_write(p0), hw_write(p0, 2)});
  two.views = {FormatId::ept, FormatId::npt};
  s.push_back(two);
  Scenario walked = make("primary_walked_by_hardware", {pop, fill(p0)},
                         {unmap(p0), protect(both, right_read), fill(p0)}, {0, 4 * KiB});
  walked.primary_walked = true;
  s.push_back(walked);
  Scenario split =
      make("split_of_a_walked_primary", {populate(large, 1)}, {unmap(p1), fill(p0), hw_write(p0, 0)}, {0, 4 * KiB});
  split.primary_walked = true;
  s.push_back(split);
  Scenario pud = make("pud_root_and_a_table_unlinked", {pop, fill(p0)}, {unmap(all), fill(p0), populate(p0)});
  pud.root_level = 2;
  s.push_back(pud);
  Scenario pte = make("pte_root", {pop, fill(p0)}, {unmap(p0), fill(p0), populate(p0)});
  pte.root_level = 0;
  pte.bytes = 2 * MiB;
  s.push_back(pte);
  return s;
}

class Race : public testing::TestWithParam<Scenario> {};
INSTANTIATE_TEST_SUITE_P(Protocol, Race, testing::ValuesIn(races()),
                         [](const auto& param) { return param.param.name; });

TEST_P(Race, HoldsUnderEverySchedule)
{
  const Verdict v = explore(GetParam(), number_from("MORSEL_SEED", 1), number_from("MORSEL_RUNS", 1500));
  EXPECT_FALSE(v.failing_seed) << describe(GetParam(), v);
}

struct Broken {
  std::string name;
  Scenario scenario;
  std::string invariant;  // what the violation's text begins with
};
std::ostream& operator<<(std::ostream& out, const Broken& b) { return out << b.name; }

Scenario without(SyncPoint point, Scenario s)
{
  s.faults.push_back({.point = point, .action = MORSEL_FAULT_DROP, .nth = 1, .times = ~u64{0}});
  return s;
}

std::vector<Broken> ingredients()
{
  const Act pop = populate(both);
  Scenario same_token = make("same_token", {pop}, {fill(p0), fill(p0), unmap(p0)});
  same_token.reuse_tokens = true;
  Scenario no_grace = make("no_grace", {pop, fill(p0)}, {fill(p0), unmap(large)});
  no_grace.no_grace_periods = true;
  Scenario walked = make("walked", {pop}, {unmap(p0)});
  walked.primary_walked = true;
  return {
      {"no_invalidation", without(SyncPoint::invalidate, make("", {pop, fill(p0)}, {unmap(p0)})), "I"},
      {"no_flush", without(SyncPoint::flush, make("", {pop, fill(p0)}, {unmap(p0)})), "I"},
      {"no_flush_of_the_primary", without(SyncPoint::flush, walked), "I"},
      {"no_pending_count", without(SyncPoint::read_pending, make("", {pop, fill(p0)}, {unmap(p0), unmap(p0)})), "I2"},
      {"no_carry", without(SyncPoint::carry, make("", {pop, fill(p0), hw_write(p0)}, {unmap(p0)})), "I4"},
      {"one_token_for_all", same_token, "I"},
      {"no_grace_periods", no_grace, "I3"},
      {"count_raised_but_not_lowered", without(SyncPoint::unpend, make("", {pop, fill(p0)}, {unmap(p0)})), "a pending"},
  };
}

class Ingredient : public testing::TestWithParam<Broken> {};
INSTANTIATE_TEST_SUITE_P(Protocol, Ingredient, testing::ValuesIn(ingredients()),
                         [](const auto& param) { return param.param.name; });

TEST_P(Ingredient, IsMissedByAnInvariantWhenTakenAway)
{
  const Verdict v = explore(GetParam().scenario, 1, 50'000);
  ASSERT_TRUE(v.failing_seed) << describe(GetParam().scenario, v);
  EXPECT_EQ(v.outcome.violation.rfind(GetParam().invariant, 0), 0u) << v.outcome.violation;
}

TEST(Exploration, TheSameSeedGivesTheSameRun)
{
  const Scenario s = races().front();
  for (const Policy policy : {Policy::uniform, Policy::pct}) {
    const Outcome a = run_schedule(s, 42, policy), b = run_schedule(s, 42, policy);
    EXPECT_EQ(a.schedule, b.schedule);
    EXPECT_EQ(a.steps, b.steps);
  }
}

}  // namespace
}  // namespace morsel::sim
