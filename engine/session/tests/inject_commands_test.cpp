// SPDX-License-Identifier: GPL-2.0-or-later
//
// inject add, preset, list and clear on the embedded machine.
#include "engine/session/tests/command_lines.hpp"

namespace morsel::session {
namespace {

using InjectCommands = CommandLines;

TEST_F(InjectCommands, InjectListsCountsAndClears)
{
  run("object create a 4M");
  run("view add a ept");
  const Reply added = run("inject add invalidate drop --view 1 --nth 2 --times 3");
  EXPECT_EQ(added.facts["rules"][0]["point"], "invalidate");
  EXPECT_EQ(added.facts["rules"][0]["view"], "1");
  EXPECT_EQ(added.facts["rules"][0]["nth"], 2);
  run("inject add alloc fail --view primary");
  run("inject add flush drop");
  const Json rules = run("inject list").facts["rules"];
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[1]["view"], "primary");
  EXPECT_EQ(rules[1]["action"], "fail");
  EXPECT_EQ(rules[2]["view"], "any");
  EXPECT_EQ(failure("object populate a 0..4K").code(), Exit::usage);  // the allocation fails
  EXPECT_EQ(run("inject list").facts["rules"][1]["fired"], 1);
  EXPECT_TRUE(run("inject clear").facts["rules"].empty());
  EXPECT_EQ(run("object populate a 0..4K").facts["changed_pages"], 1);
}

TEST_F(InjectCommands, ARuleOfOneObjectSparesTheOthers)
{
  for (const char* line : {"object create a 4M", "view add a ept", "object create b 4M", "view add b ept"}) run(line);
  for (const char* line : {"access a ept 0 write", "access b ept 0 write"}) run(line);
  EXPECT_EQ(run("inject preset lost-invalidation a ept").facts["rules"][0]["object"], "a");
  run("object unmap b 0");
  EXPECT_EQ(run("inject list").facts["rules"][0]["fired"], 0);
  run("object unmap a 0");
  EXPECT_EQ(run("inject list").facts["rules"][0]["fired"], 1);
  EXPECT_EQ(run("diff b").status, 0);
  EXPECT_EQ(run("diff a").status, 1);
  run("inject clear");
  EXPECT_EQ(run("inject add alloc fail --object b --view ept").facts["rules"][0]["view"], "1");
  EXPECT_NE(run("inject list").text.find("of view 1 of b"), std::string::npos);
  run("object destroy b");
  EXPECT_NE(run("inject list").text.find("of an object that is gone"), std::string::npos);
  EXPECT_NE(std::string(failure("inject add alloc fail --object none").what()).find("'none'"), std::string::npos);
}

// What says when a rule fires, each by its option.
class InjectOptions : public CommandLines {
 protected:
  void SetUp() override
  {
    for (const char* line : {"object create a 4M", "object populate a 0..256K", "view add a ept"}) run(line);
  }
  // Of the invalidations of 40 pages, how often the rule fired.
  u64 fired(const std::string& options)
  {
    run("inject clear");
    for (u64 page = 0; page < 40; ++page) run("access a ept " + std::to_string(page * 4096) + " read");
    run("inject add invalidate duplicate --view 1 " + options);
    for (u64 page = 0; page < 40; ++page) run("object unmap a " + std::to_string(page * 4096));
    return run("inject list").facts["rules"][0]["fired"].get<u64>();
  }
};

TEST_F(InjectOptions, RangeIsOfTheEntry)
{
  EXPECT_EQ(fired("--times 1000 --range 0x2000..0x5000"), 3u);
  EXPECT_EQ(fired("--times 1000 --range 1M..2M"), 0u);
  EXPECT_EQ(run("inject list").facts["rules"][0]["range"]["start"], 1u << 20);
}

TEST_F(InjectOptions, NthTimesAndIntervalCount)
{
  EXPECT_EQ(fired("--nth 38 --times 1000"), 3u);
  EXPECT_EQ(fired("--times 2"), 2u);
  EXPECT_EQ(fired("--times 1000 --interval 4"), 10u);
}

TEST_F(InjectOptions, ChanceIsDrawnFromTheSeed)
{
  const u64 some = fired("--times 1000 --probability 30 --seed 5");
  EXPECT_GT(some, 3u);
  EXPECT_LT(some, 40u);
  EXPECT_EQ(fired("--times 1000 --probability 30 --seed 5"), some);
  bool another = false;
  for (u64 seed = 6; seed < 12 && !another; ++seed)
    another = fired("--times 1000 --probability 30 --seed " + std::to_string(seed)) != some;
  EXPECT_TRUE(another);
}

TEST_F(InjectOptions, AnActorIsOneThatIsThere)
{
  run("stop");
  const u64 first = run("object unmap a 0x1000").facts["actor"].get<u64>();
  const u64 second = run("object unmap a 0x2000").facts["actor"].get<u64>();
  run("inject add change fail --times 3 --actor " + std::to_string(second));
  run("journal on");
  run("run");
  session_.settle(Milliseconds(20'000));
  EXPECT_EQ(run("inject list").facts["rules"][0]["fired"], 3);
  const Json spoilt = run("journal --faults").facts["records"];
  ASSERT_EQ(spoilt.size(), 3u);
  for (const Json& record : spoilt) EXPECT_EQ(record["actor"], second);
  EXPECT_NE(first, second);
  EXPECT_EQ(failure("inject add change fail --actor 0").code(), Exit::usage);
}

TEST_F(InjectOptions, UntilPutsOffAndBitsAreFlipped)
{
  run("access a ept 0x1000 read");
  run("journal on");
  run("inject add invalidate delay --until flush --view 1");
  run("object unmap a 0x1000");
  const Json records = run("journal --view 1").facts["records"];
  std::vector<std::string> order;
  for (const Json& r : records) {
    const std::string point = r["point"].get<std::string>();
    if (point == "invalidate" || point == "flush") order.push_back(point);
  }
  EXPECT_EQ(order, (std::vector<std::string>{"invalidate", "flush", "invalidate"})) << "put off, flushed, done";
  run("inject clear");
  run("inject add publish corrupt --bits 0x3000");
  run("access a ept 0x2000 read");
  const Json published = run("journal --faults --point publish").facts["records"][0];
  EXPECT_EQ(published["fault"], "corrupt");
  EXPECT_EQ(run("diff a").status, 1);
}

TEST_F(InjectOptions, ADuplicateHappensTwice)
{
  run("access a ept 0x1000 read");
  run("journal on");
  const u64 before = run("counters").facts["flushes_total"].get<u64>();
  run("inject add flush duplicate --view 1");
  run("object unmap a 0x1000");
  EXPECT_EQ(run("counters").facts["flushes_total"], before + 2);
  const Json flushes = run("journal --point flush --view 1").facts["records"];
  ASSERT_EQ(flushes.size(), 2u);
  for (const Json& record : flushes) EXPECT_EQ(record["fault"], "duplicate");
  EXPECT_EQ(run("verify").status, 0);
}

}  // namespace
}  // namespace morsel::session
