// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session steps the embedded machine: tasks and the commands of the gate.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engine/session/session.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

struct Stepped : testing::Test {
  Stepped()
  {
    for (const char* line :
         {"object create a 4M", "view add a ept", "object populate a 0..16K", "access a ept 0 write"})
      session.execute_line(line);
    session.listen([this](const Event& e) { finished_events += e.kind == Event::Kind::command_finished; });
  }
  Json facts(const std::string& line) { return session.execute_line(line).facts; }
  std::string text(const std::string& line) { return session.execute_line(line).text; }
  u64 begin(const std::string& line)
  {
    const Json f = facts(line);
    EXPECT_EQ(f.value("started", ""), line);
    return f.value("actor", 0u);
  }

  std::atomic<u32> finished_events{0};
  Session session{sim::make_embedded_target(u64{64} << 20)};
};

TEST_F(Stepped, ACommandBehindAClosedGateSaysWhereItWaits)
{
  EXPECT_EQ(facts("stop")["stopped"], true);
  const Json begun = facts("object unmap a 0..4K");
  EXPECT_EQ(begun["started"], "object unmap a 0..4K");
  EXPECT_EQ(begun["waits_at"]["actor"], begun["actor"]);
  EXPECT_EQ(begun["waits_at"]["next"]["point"], "read_size");
  EXPECT_EQ(facts("diff a")["views"].size(), 1u);  // looking is never gated
  const Json met = facts("until invalidate --view 1 --object a");
  EXPECT_EQ(met["met"], true);
  EXPECT_EQ(met["by"]["next"]["offset"], 0u);
  EXPECT_EQ(met["by"]["next"]["after_text"], "hole");
  EXPECT_EQ(session.execute_line("diff a").status, 1);  // stale
  EXPECT_NE(text("actors").find("invalidate"), std::string::npos);
  facts("step");
  EXPECT_EQ(session.execute_line("diff a").status, 0);
  const Json end = facts("run");
  ASSERT_EQ(end["finished"].size(), 1u);
  EXPECT_EQ(end["finished"][0]["facts"]["changed_pages"], 1u);
  EXPECT_EQ(end["finished"][0]["actor"], begun["actor"]);
  EXPECT_TRUE(end["actors"].empty());
  EXPECT_EQ(finished_events, 1u);
}

TEST_F(Stepped, WhoeverLetsACommandFinishTellsItsReply)
{
  facts("stop");
  const u64 actor = begin("object unmap a 0..4K");
  Json last;
  u64 steps = 0;
  do {
    last = facts("step " + std::to_string(actor) + " 7");
    steps += last["steps"].get<u64>();
  } while (last["stepped"]["waits"] == "at_point");
  EXPECT_EQ(last["stepped"]["waits"], "finished");
  EXPECT_GT(steps, 10u);
  ASSERT_EQ(last["finished"].size(), 1u);
  EXPECT_NE(last["finished"][0]["text"].get<std::string>().find("1 page changed"), std::string::npos);
  EXPECT_EQ(text("actors"), "stopped; nobody waits\n");
}

TEST_F(Stepped, TwoCommandsRaceAsTheyAreStepped)
{
  facts("stop");
  const u64 filler = begin("access a ept 4K read --no-populate");
  facts("until publish");
  const u64 mutator = begin("object unmap a 4K..8K");
  EXPECT_NE(filler, mutator);
  EXPECT_THROW(session.execute_line("step"), Failure);  // which?
  const Json done = facts("step " + std::to_string(mutator) + " 1000");
  EXPECT_EQ(done["finished"][0]["actor"], mutator);
  const Json end = facts("run");
  ASSERT_EQ(end["finished"].size(), 1u);
  EXPECT_EQ(end["finished"][0]["facts"]["outcome"], "denied");
  EXPECT_EQ(end["finished"][0]["status"], 1);
}

TEST_F(Stepped, AFailureOfATaskIsToldLikeItsReply)
{
  facts("stop");
  EXPECT_THROW(session.execute_line("object unmap none 0..4K"), Failure);  // it never came to a point
  begin("access a ept 4K read");
  facts("until publish");
  begin("view drop a 1");
  const Json end = facts("run");
  ASSERT_EQ(end["finished"].size(), 2u);
  EXPECT_EQ(end["finished"][1]["status"], 0);
}

TEST_F(Stepped, AGracePeriodNamesWhomItWaitsFor)
{
  facts("stop");
  const u64 inside = begin("access a ept 4K read");
  facts("until publish");
  const u64 harvester = begin("object harvest a 0..16K");
  const Json waits = facts("step " + std::to_string(harvester) + " 1000")["stepped"];
  ASSERT_EQ(waits["waits"], "for_grace");
  EXPECT_EQ(waits["waits_for"], Json::array({inside}));
  EXPECT_NE(text("actors").find("waits for a grace period"), std::string::npos);
  EXPECT_EQ(facts("run")["finished"].size(), 2u);
}

TEST_F(Stepped, UntilThatNobodyMeetsHasExitStatusOne)
{
  facts("stop");
  begin("object unmap a 0..4K");
  const Reply reply = session.execute_line("until install");
  EXPECT_EQ(reply.status, 1);
  EXPECT_EQ(reply.facts["finished"].size(), 1u);
  EXPECT_EQ(reply.facts["stopped"], true);
}

TEST_F(Stepped, AStepToAPointLetsNobodyElseGoOn)
{
  facts("stop");
  const u64 first = begin("object unmap a 0..4K"), second = begin("object unmap a 4K..8K");
  const Json before = facts("actors")["actors"][0];
  const Json there = facts("step " + std::to_string(second) + " --to change");
  EXPECT_EQ(there["met"], true);
  EXPECT_EQ(there["stepped"]["next"]["point"], "change");
  EXPECT_EQ(before["actor"], first);
  EXPECT_EQ(there["actors"][0], before);
  const Reply too_few = session.execute_line("step " + std::to_string(first) + " 1 --to change");
  EXPECT_EQ(too_few.status, 1);
  EXPECT_EQ(too_few.facts["steps"], 1);
  EXPECT_EQ(too_few.facts["finished"].size(), 0u);
  const Reply end = session.execute_line("step " + std::to_string(second) + " --to publish");
  EXPECT_EQ(end.status, 1);
  EXPECT_EQ(end.facts["met"], false);
  EXPECT_EQ(end.facts["finished"].size(), 1u);
  EXPECT_NE(end.text.find("it did not come there"), std::string::npos) << end.text;
}

TEST_F(Stepped, ASessionThatEndsLetsItsTasksEnd)
{
  facts("stop");
  begin("object populate a all");
  begin("object unmap a 0..4K");
}

TEST_F(Stepped, OnlySoManyCommandsWaitBehindTheGate)
{
  facts("stop");
  for (int n = 0; n < 48; ++n) begin("object populate a " + std::to_string(n * page_bytes));
  try {
    facts("object populate a all");
    ADD_FAILURE() << "one more";
  } catch (const Failure& failure) {
    EXPECT_NE(failure.found().find("48 commands wait"), std::string::npos);
  }
  EXPECT_EQ(facts("run")["finished"].size(), 48u);
}

TEST_F(Stepped, AnActorOfSomebodyElseIsNoCommandsActor)
{
  facts("stop");
  std::thread somebody([this] { session.target().populate("a", {0x20000, 0x21000}, rights_rw, 0); });
  EXPECT_TRUE(session.wait_for_actors(Milliseconds(60'000), [](const std::vector<ActorState>& actors) {
    return actors.size() == 1 && actors[0].waits == ActorWaits::at_point;
  }));
  const u64 other = facts("actors")["actors"][0]["actor"].get<u64>();
  EXPECT_NE(begin("object unmap a 0..4K"), other);
  EXPECT_NE(begin("object unmap a 4K..8K"), other);
  const Json end = facts("run");
  EXPECT_EQ(end["finished"].size(), 2u) << "what nobody here has begun is told to nobody";
  somebody.join();
}

TEST_F(Stepped, UntilNamesWhomItMeans)
{
  facts("stop");
  const u64 first = begin("object unmap a 0..4K"), second = begin("object unmap a 4K..8K");
  EXPECT_LT(first, second);
  const Json met = facts("until change --actor " + std::to_string(second));
  EXPECT_EQ(met["by"]["actor"], second);
  EXPECT_EQ(met["finished"].size() + facts("run")["finished"].size(), 2u);
}

TEST_F(Stepped, ChangesOfAnObjectsViewsWaitForEachOther)
{
  facts("stop");
  const u64 first = begin("view add a npt");
  const Json second = facts("view add a riscv_sv39")["waits_at"];
  EXPECT_EQ(second["waits"], "for_grace");
  EXPECT_EQ(second["waits_for"], Json::array({first}));
  EXPECT_EQ(facts("run")["finished"].size(), 2u);
  EXPECT_EQ(facts("view list a")["views"].size(), 3u);
}

TEST_F(Stepped, OfTwoObjectsOfOneNameTheSecondIsTakenBack)
{
  facts("stop");
  begin("object create x 4M");
  begin("object create x 8M");
  const Json finished = facts("run")["finished"];
  EXPECT_EQ(finished[0]["status"], 0);
  EXPECT_NE(finished[1]["text"].get<std::string>().find("one of this name exists"), std::string::npos);
  EXPECT_EQ(facts("object show x")["bytes"], u64{4} << 20);
  facts("object destroy x");
  facts("object destroy a");
  EXPECT_EQ(facts("counters")["tables"], 0);
}

TEST(Stepping, ATargetWithoutItSaysSo)
{
  Session session(std::make_unique<ForwardingTarget>(sim::make_embedded_target(u64{64} << 20)));
  for (const char* line : {"stop", "actors", "step", "until flush", "run"}) try {
      session.execute_line(line);
      ADD_FAILURE() << line;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::skipped) << line;
    }
}

// Notes how long it is to wait.
class NotingStepping : public Stepping {
 public:
  bool stopped() const override { return true; }
  void stop(Milliseconds) override {}
  void run() override {}
  std::vector<ActorState> actors() override { return {}; }
  ActorState step(u32 actor, Milliseconds limit) override
  {
    waited = limit;
    ActorState state{};
    state.id = actor;
    return state;
  }
  UntilReply until(const StopCondition&, Milliseconds limit) override
  {
    waited = limit;
    return {{}, true, {}};
  }
  Milliseconds waited{0};
};
class NotingTarget : public ForwardingTarget {
 public:
  NotingTarget() : ForwardingTarget(sim::make_embedded_target()) {}
  Stepping* stepping() override { return &noting; }
  NotingStepping noting;
};

TEST(SteppingLimits, AreChosenByWhoeverAsks)
{
  auto target = std::make_unique<NotingTarget>();
  NotingStepping& noting = target->noting;
  Session session(std::move(target));
  const auto waited = [&](const char* line) {
    session.execute_line(line);
    return noting.waited.count();
  };
  EXPECT_EQ(waited("until flush"), 60'000);
  EXPECT_EQ(waited("until flush --timeout 250"), 250);
  EXPECT_EQ(waited("step 1"), 5'000);
  EXPECT_EQ(waited("step 1 3 --timeout 70"), 70);
  EXPECT_THROW(session.execute_line("step 1 --timeout 0"), Failure);
  EXPECT_THROW(session.execute_line("until flush --timeout 86400001"), Failure);
}

}  // namespace
}  // namespace morsel::session
