// SPDX-License-Identifier: GPL-2.0-or-later
//
// Crash consistency (I6): every operation, alone and with another in its midst, cut off at every access; every memory
// that this can leave is recovered and compared. And the other way round: with a write-back left out, it shows.
#include "engine/sim/crash.hpp"

#include <gtest/gtest.h>

#include "engine/session/failure.hpp"

namespace morsel::sim {
namespace {

struct Named {
  const char* name;
  const char* scenario;
};
std::ostream& operator<<(std::ostream& out, const Named& n) { return out << n.scenario; }

constexpr Named cases[] = {
    {"populate", "watch:p0,p1,p2 -- populate:p0-1"},
    {"populate_below_a_pud_root", "root:pud watch:p0,p1 -- populate:p0-1"},
    {"populate_of_a_large_leaf", "watch:p0,p511 -- populate:m0,2M"},
    {"unmap", "watch:p0,p1 populate:p0-1 -- unmap:p0"},
    {"unmap_of_a_table", "watch:p0,p1 populate:p0-1 -- unmap:m0"},
    {"unmap_splits_a_large_leaf", "watch:p0,p1 populate:m0,2M -- unmap:p0"},
    {"protect", "watch:p0,p1 populate:p0-1 -- protect:p0-1,r"},
    {"resize", "watch:p0,p1,p2 populate:p0-2 -- resize:p1"},
    {"resize_cuts_a_large_leaf", "watch:p0,p511 populate:m0,2M -- resize:p511"},
    {"split", "watch:p0,p511 populate:m0,2M -- split:m0,4K"},
    {"merge", "watch:p0,p511 populate:m0,2M split:m0,4K -- merge:m0,2M"},
    {"migrate", "watch:p0,p1 populate:p0-1 -- migrate:p0-1"},
    {"migrate_of_a_large_leaf", "watch:p0,p511 populate:m0,2M -- migrate:m0"},
    {"populate_and_fill", "-- populate:p0 fill:p0"},
    {"populate_and_populate", "watch:p0,p1 -- populate:p0 populate:p1"},
    {"populate_and_unmap", "watch:p0,p1 -- populate:p0-1 unmap:p0"},
    {"unmap_and_populate", "populate:p0 -- unmap:p0 populate:p0"},
    {"protect_and_fill", "populate:p0,r -- protect:p0,rw fill:p0,w"},
    {"migrate_and_fill", "populate:p0 -- migrate:p0 fill:p0,w"},
    {"migrate_and_unmap", "populate:p0 -- migrate:p0 unmap:p0"},
    {"split_and_unmap", "watch:p0,p1 populate:m0,2M -- split:m0,4K unmap:p0"},
    {"merge_and_unmap", "watch:p0,p1 populate:m0,2M split:m0,4K -- merge:m0,2M unmap:p0"},
};

class Crash : public testing::TestWithParam<Named> {};
INSTANTIATE_TEST_SUITE_P(Everywhere, Crash, testing::ValuesIn(cases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(Crash, LeavesWhatRecoveryMakesWhole)
{
  const CrashVerdict v = crash_everywhere(parse_scenario(GetParam().scenario));
  EXPECT_EQ(v.violation, "") << v.token;
  EXPECT_GT(v.crashes, 2u);
  RecordProperty("crashes", std::to_string(v.crashes));
  RecordProperty("images", std::to_string(v.images));
  std::printf("%llu crashes, %llu memories\n", static_cast<unsigned long long>(v.crashes),
              static_cast<unsigned long long>(v.images));
}

class WithoutWriteBack : public testing::TestWithParam<Named> {};
constexpr Named broken[] = {
    {"none_at_all", "drop:persist watch:p0,p1 -- populate:p0"},
    {"of_a_new_frame", "drop:persist#1 watch:p0,p1 -- populate:p0"},
    {"of_a_new_table", "drop:persist#2 watch:p0,p1 -- populate:p0"},
    {"of_a_link", "drop:persist#3 watch:p0,p1 -- populate:p0"},
    {"of_an_unmapped_entry", "drop:persist#1 populate:p0 -- unmap:p0"},
    {"of_a_copy", "drop:persist#2 populate:p0 -- migrate:p0"},
    {"of_a_leaf_that_a_filler_met", "drop:peek drop:read_primary root:pte size:2M -- populate:p0 fill:p0"},
};
INSTANTIATE_TEST_SUITE_P(Everywhere, WithoutWriteBack, testing::ValuesIn(broken),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(WithoutWriteBack, ACrashLosesSomethingAndItsTokenReplays)
{
  const CrashVerdict v = crash_everywhere(parse_scenario(GetParam().scenario));
  ASSERT_EQ(v.violation.rfind("I6 ", 0), 0u) << v.violation;
  EXPECT_EQ(replay_crash(v.token).violation, v.violation) << v.token;
  std::printf("%s  %s\n", v.violation.c_str(), v.token.c_str());
}

TEST(CrashScenario, IsRefusedWithAReason)
{
  const auto complaint = [](auto&& request) -> std::string {
    try {
      request();
    } catch (const session::Failure& failure) {
      return failure.what();
    }
    return "";
  };
  const auto of = [&complaint](const char* text) {
    return complaint([text] { (void)crash_everywhere(parse_scenario(text)); });
  };
  EXPECT_NE(of("-- harvest:p0").find("it does not change the primary"), std::string::npos);
  EXPECT_NE(of("-- fill:p0").find("the first changes the primary"), std::string::npos);
  EXPECT_NE(of("-- unmap:p0 unmap:p0 unmap:p0").find("3 acts"), std::string::npos);
  EXPECT_NE(of("root:pte size:4M -- unmap:p0").find("its object cannot be made"), std::string::npos);
  for (const char* token : {"populate:p0", "--+unmap:p0@x", "--+unmap:p0@b0", "--+unmap:p0@bxc1"})
    EXPECT_NE(complaint([token] { (void)replay_crash(token); }).find("It is a scenario with +"), std::string::npos)
        << token;
}

}  // namespace
}  // namespace morsel::sim
