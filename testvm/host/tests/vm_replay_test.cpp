// SPDX-License-Identifier: GPL-2.0-or-later
//
// Tokens of exploration, live: real tasks in the kernel go the way that the explorer's actors went, access by access.
#include <gtest/gtest.h>

#include "engine/session/session.hpp"
#include "engine/session/tests/live_suite.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

using session::Reply;

class VmReplayTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { session = std::make_unique<session::Session>(VmTarget::start(test_config())); }
  static void TearDownTestSuite() { session.reset(); }
  void TearDown() override
  {
    for (const auto& object : session->target().objects()) session->target().destroy_object(object.name);
    session->target().clear_injected();
    const session::Counters left = session->target().counters();
    EXPECT_EQ(left.objects + left.views + left.tables + left.frames + left.bad_entries, 0u);
  }
  static Reply replay(const std::string& token) { return session->execute_line("replay " + token); }

  static std::unique_ptr<session::Session> session;
};
std::unique_ptr<session::Session> VmReplayTest::session;

TEST_F(VmReplayTest, RacesGoTheTokensWayInTheKernel)
{
  for (const char* const token :
       {"populate:p0+--+fill:p0+unmap:p0@u42", "populate:p0,r+fill:p0+--+fill:p0,w+unmap:p0@sa11b22",
        "populate:p0+fill:p0+--+unmap:p0+unmap:p0@p4", "populate:p0+--+migrate:p0+fill:p0@p9",
        "populate:m0,2M+--+merge:m0,2M+unmap:p0@u7", "--+fill:p0+fill:p0@u3",
        "view:npt+view:riscv_sv48+populate:p0-3+fill:p0+fill:p0,v2+--+protect:p0-1,r+fill:p1,w+fill:p1,w,v2@u6"}) {
    SCOPED_TRACE(token);
    const Reply reply = replay(token);
    EXPECT_EQ(reply.status, 0) << reply.text;
    EXPECT_EQ(reply.facts["how"], "live");
    EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
    EXPECT_GE(reply.facts["compared"], 25) << reply.text;
    EXPECT_EQ(reply.facts["explored"], "");
  }
}

TEST_F(VmReplayTest, EachThirdScenarioOfTheSmallSuiteIsDoneByTasksOfTheKernelOrRefused)
{
  expect_most_to_go(session::replay_small_suite(*session, 3), 100);
}

// The explorer's hardware is a virtual CPU here, which walks the NPT view: what it does is no step of the token.
TEST_F(VmReplayTest, HardwareTakesPartInRaces)
{
  for (const char* const token :
       {"view:npt+populate:p0+fill:p0,w+--+write:p0+unmap:p0@u3", "view:npt+populate:p0+fill:p0+--+read:p0+unmap:p0@u9",
        "view:npt+populate:p0+fill:p0,w+--+write:p0+protect:p0,r+fill:p0@p3"}) {
    SCOPED_TRACE(token);
    const Reply reply = replay(token);
    EXPECT_EQ(reply.status, 0) << reply.text;
    EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
    EXPECT_GE(reply.facts["compared"], 20) << reply.text;
    EXPECT_GT(reply.facts["aside"], 0);
    EXPECT_NE(reply.facts["actors"][0]["outcome"].get<std::string>().find(": hit"), std::string::npos) << reply.text;
  }
}

// It is one of the primary, too, where a machine has a walker of its own.
TEST_F(VmReplayTest, AHarvestGoesTheTokensWayAndThroughThePrimary)
{
  for (const char* const token :
       {"view:npt+populate:p0+fill:p0,w+write:p0+--+harvest:p0+unmap:p0@u3",
        "populate:p0-1+fill:p0,w+--+harvest:p0-1+protect:p0,r@u5",
        "view:npt+populate:p0+fill:p0,w+--+harvest:p0+write:p0+fill:p0@u7",
        "populate:p0+fill:p0,w+write:p0+--+harvest:p0+harvest:p0@u7",
        "populate:p0+fill:p0,w+write:p0+--+migrate:p0+harvest:p0@p7"}) {
    SCOPED_TRACE(token);
    const Reply reply = replay(token);
    EXPECT_EQ(reply.status, 0) << reply.text;
    EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
    EXPECT_GT(reply.facts["more"], 0) << reply.text;
  }
  const Reply lost = replay("populate:p0+fill:p0,w+write:p0+--+harvest:p0+drop:flush@a@sa38");
  EXPECT_EQ(lost.status, 1);
  EXPECT_EQ(lost.facts["rules"][0]["fired"], 1);
  EXPECT_EQ(lost.facts["broken"][0]["state"], "unflushed") << lost.text;
}

TEST_F(VmReplayTest, AnIngredientThatIsTakenAwayBreaksAnInvariantLive)
{
  const Reply reply = replay("populate:p0+fill:p0+--+unmap:p0+drop:invalidate@sa23");
  EXPECT_EQ(reply.status, 1);
  EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
  EXPECT_EQ(reply.facts["rules"][0]["fired"], 1);
  ASSERT_EQ(reply.facts["broken"].size(), 1u) << reply.text;
  EXPECT_EQ(reply.facts["broken"][0]["invariant"], "I2");
  EXPECT_EQ(reply.facts["broken"][0]["fault"]["point"], "invalidate");
  EXPECT_EQ(session->execute_line("diff replay").facts["views"][0]["pages"]["stale"], 1);
}

TEST_F(VmReplayTest, WhatTheModuleLacksIsRefusedByName)
{
  try {
    replay("populate:p0-1+clone+--+break_copy:p0+unmap:p0@u1");
    ADD_FAILURE() << "done";
  } catch (const session::Failure& failure) {
    EXPECT_EQ(failure.code(), session::Exit::skipped);
    EXPECT_NE(failure.found().find("break_copy:p0"), std::string::npos) << failure.what();
  }
}

}  // namespace
}  // namespace morsel::testvm
