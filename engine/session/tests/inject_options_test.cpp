// SPDX-License-Identifier: GPL-2.0-or-later
//
// inject add: when a rule fires, and what it does, by each option.
#include "engine/session/tests/command_lines.hpp"

namespace morsel::session {
namespace {

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
