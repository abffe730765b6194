// SPDX-License-Identifier: GPL-2.0-or-later
//
// Crash consistency (I6): every operation, alone and with another in its midst, cut off at every access; every memory
// that this can leave is recovered and compared. And the other way round: with a write-back left out, it shows.
#include "engine/sim/crash.hpp"

#include <gtest/gtest.h>

#include "engine/session/failure.hpp"
#include "engine/sim/crash_world.hpp"
#include "engine/sim/suite.hpp"

namespace morsel::sim {
namespace {

struct Named {
  const char* name;
  const char* scenario;
};
std::ostream& operator<<(std::ostream& out, const Named& n) { return out << n.scenario; }

class Crash : public testing::TestWithParam<Scenario> {};
INSTANTIATE_TEST_SUITE_P(Everywhere, Crash, testing::ValuesIn(scenarios(Suite::crashes)),
                         [](const auto& param) { return param.param.name; });

TEST_P(Crash, LeavesWhatRecoveryMakesWhole)
{
  const CrashVerdict v = crash_everywhere(GetParam());
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
    {"of_an_unmapped_entry_but_not_its_fence", "unfenced:persist#1 populate:p0 -- unmap:p0"},
    {"of_a_copy_but_not_its_fence", "unfenced:persist#2 populate:p0 -- migrate:p0"},
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

// The next write-back's fence is in time for it: nothing leads to the frame before the table is written back.
TEST(WithoutFence, AFrameIsCertainBeforeItsTableIsLinked)
{
  EXPECT_EQ(crash_everywhere(parse_scenario("unfenced:persist#1 watch:p0,p1 -- populate:p0")).violation, "");
}

// What a base and its clones share would have no owner after a crash.
TEST(PersistentObject, IsNeitherFrozenNorClonedNorSent)
{
  PersistentMemory memory(64);
  CrashWorld world(memory);
  CrashPlatform p(world);
  world.size_word = memory.words(*memory.allocate(0));
  Object other;
  ASSERT_TRUE(create(p, world.object, 2 * page_bytes, 0));
  ASSERT_TRUE(populate(p, world.object, {0, page_bytes}, rights_rw, 0));
  const u64 used = memory.used_pages();
  EXPECT_EQ(freeze(p, world.object).error(), Error::invalid);
  EXPECT_EQ(clone(p, world.object, other).error(), Error::invalid);
  EXPECT_EQ(send(p, world.object, other).error(), Error::invalid);
  EXPECT_EQ(world.object.frozen.value, 0u);
  EXPECT_EQ(memory.used_pages(), used);
  EXPECT_TRUE(unmap(p, world.object, {0, page_bytes}));
}

// An object whose root, all there is, begins with these two words.
Error recovery_of(Level root, u64 first, u64 second)
{
  PersistentMemory memory(64);
  CrashWorld world(memory);
  CrashPlatform p(world);
  world.object.bytes = page_bytes;
  world.object.primary = {PersistentMemory::base, {}, {}, primary_tree, PrimaryFormat::id, root};
  u64* const words = memory.words(PersistentMemory::base);
  std::fill_n(words, PersistentMemory::words_per_page, 0);
  words[0] = first;
  words[1] = second;
  return recover(p, world.object).error();
}

constexpr PhysAddr some_frame = PersistentMemory::base + 8 * page_bytes;
constexpr u64 some_leaf = PrimaryFormat::make_leaf(some_frame, 0, {right_read, true, false});

// Nobody could tell who owns what such a word leads to.
TEST(Recovery, RefusesWordsOfBasesAndClones)
{
  EXPECT_EQ(recovery_of(0, some_leaf, 0), Error::none);
  EXPECT_EQ(recovery_of(0, some_leaf | software::copy_on_write_bit, 0), Error::corrupt);
  EXPECT_EQ(recovery_of(0, some_leaf | software::write_after_copy_bit, 0), Error::corrupt);
  EXPECT_EQ(recovery_of(0, software::make_moving({some_frame, rights_rw, 1, false}), 0), Error::none);
  EXPECT_EQ(recovery_of(0, software::make_moving({some_frame, rights_rw, 1, true}), 0), Error::corrupt);
  EXPECT_EQ(recovery_of(1, PrimaryFormat::make_table(some_frame) | software::shared_bit, 0), Error::corrupt);
}

TEST(Recovery, RefusesAFrameWithTwoOwnersAndOneThatIsNoMemory)
{
  EXPECT_EQ(recovery_of(0, some_leaf, some_leaf), Error::corrupt);
  EXPECT_EQ(recovery_of(0, PrimaryFormat::make_leaf(PhysAddr{page_bytes}, 0, {right_read, true, false}), 0),
            Error::corrupt);
  EXPECT_EQ(recovery_of(1, PrimaryFormat::make_table(PersistentMemory::base), 0), Error::corrupt);
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
  EXPECT_NE(of("-- freeze:p0").find("neither frozen nor cloned"), std::string::npos);
  EXPECT_NE(of("-- fill:p0").find("the first changes the primary"), std::string::npos);
  EXPECT_NE(of("-- unmap:p0 unmap:p0 unmap:p0").find("3 acts"), std::string::npos);
  EXPECT_NE(of("root:pte size:4M -- unmap:p0").find("its object cannot be made"), std::string::npos);
  for (const char* token : {"populate:p0", "--+unmap:p0@x", "--+unmap:p0@b0", "--+unmap:p0@bxc1"})
    EXPECT_NE(complaint([token] { (void)replay_crash(token); }).find("It is a scenario with +"), std::string::npos)
        << token;
}

}  // namespace
}  // namespace morsel::sim
