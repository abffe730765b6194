// SPDX-License-Identifier: GPL-2.0-or-later
//
// The larger operations under many schedules: split, merge, migrate, copy on write, freeze, harvest, each against what
// it may meet. MORSEL_RUNS=<n> sets the number of schedules for each scenario; MORSEL_SEED=<n> the first seed.
#include <gtest/gtest.h>

#include <cstdlib>

#include "engine/sim/exploration.hpp"

namespace morsel::sim {
namespace {

struct Named {
  const char* name;
  const char* scenario;
};
std::ostream& operator<<(std::ostream& out, const Named& n) { return out << n.scenario; }

constexpr Named races[] = {
    {"migrate_against_fill", "populate:p0-1 fill:p0,w -- migrate:p0 fill:p0,w write:p0"},
    {"migrate_against_migrate", "populate:p0-1 fill:p0 -- migrate:p0 migrate:p0 fill:p0,w"},
    {"migrate_against_unmap", "populate:p0-1 fill:p0,w -- migrate:p0 unmap:p0 fill:p0"},
    {"migrate_against_protect", "populate:p0-1 fill:p0,w -- migrate:p0 protect:p0,r write:p0"},
    {"migrate_against_populate", "populate:p0-1 -- migrate:p0-1 unmap:p0 populate:p0 fill:p0"},
    {"migrate_of_a_walked_primary", "walked populate:p0-1 fill:p0 -- migrate:p0 fill:p0,w write:p0,v0"},
    {"migrate_in_two_views",
     "view:ept view:npt populate:p0 fill:p0,w fill:p0,w,v2 -- migrate:p0 write:p0 fill:p0,w,v2"},
    {"migrate_of_a_large_leaf", "watch:p0,p1 populate:m0,2M fill:p0,w -- migrate:m0 fill:p1,w unmap:m0"},
    {"migrate_splits_a_large_leaf", "watch:p0,p1 populate:m0,2M fill:p0,w -- migrate:p0 fill:p1,w unmap:p1"},
    {"split_against_fill", "watch:p0,p1 populate:m0,2M fill:p0 -- split:m0,4K fill:p1,w unmap:p0"},
    {"split_of_a_walked_primary", "walked watch:p0,p1 populate:m0,2M -- split:m0,4K unmap:p1 write:p0,v0"},
    {"merge_against_unmap", "populate:m0,2M split:m0,4K fill:p0 -- merge:m0,2M unmap:p0 fill:p0"},
    {"merge_against_protect", "populate:m0,2M split:m0,4K fill:p0,w -- merge:m0,2M protect:p0,r write:p0"},
    {"merge_against_merge", "populate:m0,2M split:m0,4K -- merge:m0,2M merge:m0,2M fill:p0"},
    {"merge_against_migrate", "populate:m0,2M split:m0,4K fill:p0 -- merge:m0,2M migrate:p0 fill:p0"},
    {"merge_against_unmap_of_the_table", "populate:m0,2M split:m0,4K fill:p0 -- merge:m0,2M unmap:m0 fill:p0"},
    {"two_breaks_of_one_copy", "populate:p0-1 fill:p0 clone fill:p0 -- break_copy:p0 break_copy:p0 fill:p0"},
    {"break_against_unmap", "populate:p0-1 clone fill:p0 -- break_copy:p0 unmap:p0 fill:p0"},
    {"break_against_protect", "populate:p0-1 clone fill:p0 -- break_copy:p0 protect:p0,r fill:p0,w"},
    {"break_against_migrate", "populate:p0-1 clone fill:p0 -- break_copy:p0 migrate:p0 fill:p0,w write:p0"},
    {"break_in_a_large_leaf", "watch:p0,p1 populate:m0,2M clone fill:p0 -- break_copy:p0 break_copy:p1 fill:p0,w"},
    {"unshare_against_unmap_of_the_table", "populate:p0-1 clone fill:p0 -- break_copy:p0 unmap:m0 populate:p1"},
    {"break_in_a_walked_primary", "walked populate:p0-1 clone fill:p0 -- break_copy:p0 fill:p0,w write:p0,v0"},
    {"freeze_against_write", "populate:p0-1 fill:p0,w -- freeze:all write:p0 fill:p0,w"},
    {"freeze_against_protect", "populate:p0-1 fill:p0 protect:p0,r -- freeze:all protect:p0,rw fill:p0,w"},
    {"freeze_against_migrate", "populate:p0-1 fill:p0,w -- freeze:all migrate:p0 fill:p0"},
    {"harvest_against_write", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 write:p0 fill:p0"},
    {"harvest_against_unmap", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 unmap:p0 populate:p0"},
    {"harvest_against_upgrade", "populate:p0-1,rwx fill:p0,w write:p0 -- harvest:p0 fill:p0,x"},
    {"harvest_against_dropped_view", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 drop_view:v1"},
    {"harvest_against_harvest", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 harvest:p0 write:p0"},
    {"harvest_against_migrate", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 migrate:p0 fill:p0,w"},
    {"harvest_of_a_walked_primary", "walked populate:p0-1 fill:p0 write:p0,v0 -- harvest:p0 write:p0,v0 unmap:p1"},
};

u64 number_from(const char* variable, u64 otherwise)
{
  const char* const text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

class Operation : public testing::TestWithParam<Named> {};
INSTANTIATE_TEST_SUITE_P(Large, Operation, testing::ValuesIn(races),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(Operation, HoldsUnderEverySchedule)
{
  const Scenario scenario = parse_scenario(GetParam().scenario);
  const Verdict v = explore(scenario, number_from("MORSEL_SEED", 1), number_from("MORSEL_RUNS", 1000));
  EXPECT_FALSE(v.failing_seed) << describe(scenario, v);
}

}  // namespace
}  // namespace morsel::sim
