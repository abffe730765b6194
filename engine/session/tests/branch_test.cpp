// SPDX-License-Identifier: GPL-2.0-or-later
//
// branch: going on from the past, as commands see it.
#include <gtest/gtest.h>

#include "engine/session/session.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

class Branch : public testing::Test {
 protected:
  Branch()
  {
    run("object create demo 4M");
    run("object populate demo 0..16K");
    run("view add demo ept");
    run("journal on");
    run("access demo ept 0 read");
    run("access demo ept 0x1000 read");
    here = facts("journal status")["last"];
  }
  Reply run(const std::string& line) { return session.execute_line(line); }
  Json facts(const std::string& line) { return run(line).facts; }
  Json tree() { return facts("tree demo --fold none")["rows"]; }

  Session session{sim::make_embedded_target()};
  u64 here = 0;
};

TEST_F(Branch, GoesOnFromThePastAndForgetsWhatCameAfter)
{
  const Json was = tree();
  run("object unmap demo 0..8K");
  run("object create other 2M");
  run("goto " + std::to_string(here));
  EXPECT_THROW(run("object unmap demo 0..4K"), Failure);
  const Json branched = facts("branch");
  EXPECT_EQ(branched["place"]["record"], here);
  EXPECT_EQ(branched["place"]["present"], true);
  EXPECT_EQ(facts("object list")["objects"].size(), 1u);
  EXPECT_EQ(tree(), was);
  run("run");
  run("object unmap demo 0x1000");
  EXPECT_EQ(facts("diff demo")["views"][0]["pages"]["same"], 1);
  EXPECT_EQ(facts("diff demo")["clean"], true);
  EXPECT_GT(facts("journal status")["last"], here);
  EXPECT_EQ(facts("journal status")["doubtful_places"], 0);
  run("goto " + std::to_string(here));
  EXPECT_EQ(tree(), was) << "the past is the same before and behind the branch";
  run("goto start");
  run("branch");
  run("run");
  EXPECT_EQ(facts("journal status")["last"], 0);
  EXPECT_EQ(facts("access demo ept 0 read")["outcome"], "filled");
}

TEST_F(Branch, StandsInTheMiddleOfACommand)
{
  run("object unmap demo 0..4K");
  run("journal off");
  const Json invalidate = facts("journal --point invalidate")["records"][0];
  run("goto " + std::to_string(invalidate["sequence"].get<u64>() - 1));
  const Reply branched = run("branch");
  ASSERT_EQ(branched.facts["actors"].size(), 1u) << branched.text;
  EXPECT_EQ(branched.facts["actors"][0]["next"]["point"], "invalidate");
  EXPECT_EQ(facts("diff demo")["views"][0]["pages"]["stale"], 1);
  run("inject add invalidate drop --view 1");
  run("run");
  EXPECT_EQ(run("verify").status, 1) << "it went another way";
}

TEST_F(Branch, LetsWhatWaitsComeToItsEndAndSaysWhatIsUndone)
{
  run("stop");
  run("object unmap demo 0..4K");
  run("back 5");
  const Json branched = facts("branch");
  ASSERT_EQ(branched["undone"].size(), 1u);
  EXPECT_EQ(branched["undone"][0], "object unmap demo 0..4K");
  EXPECT_EQ(facts("actors")["finished"].size(), 0u);
  run("run");
  EXPECT_EQ(facts("object ranges demo")["runs"].size(), 1u);
}

TEST_F(Branch, IsRefusedWhereItMeansNothing)
{
  EXPECT_THROW(run("branch"), Failure) << "in the present";
  run("journal off");
  run("replay populate:p0+--+fill:p0+unmap:p0@u42");
  EXPECT_THROW(run("branch"), Failure) << "recorded elsewhere";
  run("goto now");
  EXPECT_EQ(facts("object list")["objects"].size(), 1u);
  Session empty(sim::make_embedded_target());
  EXPECT_THROW(empty.execute_line("branch"), Failure);
}

}  // namespace
}  // namespace morsel::session
