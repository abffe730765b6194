// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session and its target: when it is opened and exchanged, and what happens when it fails.
#include "engine/session/session.hpp"

#include <gtest/gtest.h>

#include "engine/session/tests/forwarding_target.hpp"
#include "engine/session/waiting.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

TEST(SessionTarget, IsOpenedByTheFirstCommandThatNeedsIt)
{
  int opened = 0;
  Session session([&] {
    ++opened;
    return sim::make_embedded_target();
  });
  u32 events = 0;
  session.listen([&](const Event&) { ++events; });
  session.execute_line("formats");
  EXPECT_EQ(opened, 0);
  session.execute_line("object create a 4M");
  session.execute_line("object list");
  EXPECT_EQ(opened, 1);
  EXPECT_EQ(events, 1u) << "it hears the target";
}

TEST(SessionTarget, IsExchangedWhileNothingIsUnderWay)
{
  Session session(sim::make_embedded_target());
  session.execute_line("object create a 4M");
  session.execute_line("journal on");
  EXPECT_THROW(session.replace_target(sim::make_embedded_target()), Failure);
  session.execute_line("journal off");
  session.replace_target(sim::make_embedded_target());
  EXPECT_TRUE(session.execute_line("object list").facts["objects"].empty());
  EXPECT_EQ(session.execute_line("journal status").facts["records"], 0) << "the journal was the other machine's";
  u32 events = 0;
  session.listen([&](const Event&) { ++events; });
  session.execute_line("object create a 4M");
  EXPECT_EQ(events, 1u);
}

TEST(TargetDefaults, AMachineDoesNotGoBack)
{
  ForwardingTarget target(sim::make_embedded_target());
  EXPECT_FALSE(static_cast<Target&>(target).goes_back());
  EXPECT_THROW(target.go_back_to(3, [] { FAIL() << "it began to record"; }), Failure);
}

// A machine with a gate and a journal, which fail when a test says so.
class FragileTarget : public ForwardingTarget, public Stepping, public JournalSource, public Waiting {
 public:
  static std::unique_ptr<FragileTarget> make()
  {
    auto machine = sim::make_embedded_target();
    Target& raw = *machine;
    return std::unique_ptr<FragileTarget>(new FragileTarget(std::move(machine), raw));
  }

  Stepping* stepping() override { return this; }
  JournalSource* journal() override { return this; }
  std::vector<ObjectState> objects() override
  {
    check(lost);
    return ForwardingTarget::objects();
  }
  u64 unmap(const std::string& name, Range range) override
  {
    const u64 changed = ForwardingTarget::unmap(name, range);
    lost = lost_by_unmap;
    return changed;
  }

  bool stopped() const override { return machine_.stepping()->stopped(); }
  void stop(Milliseconds limit) override
  {
    check(gate_is_stuck);
    machine_.stepping()->stop(limit);
  }
  void run() override
  {
    check(gate_is_stuck);
    machine_.stepping()->run();
  }
  std::vector<ActorState> actors() override { return machine_.stepping()->actors(); }
  ActorState step(u32 actor, Milliseconds limit) override { return machine_.stepping()->step(actor, limit); }
  UntilReply until(const StopCondition& condition, Milliseconds limit) override
  {
    return ended_otherwise ? *ended_otherwise : machine_.stepping()->until(condition, limit);
  }

  void record(bool on) override
  {
    check(!on && journal_is_lost);
    machine_.journal()->record(on);
  }
  bool recording() const override { return machine_.journal()->recording(); }
  JournalRead read() override
  {
    check(journal_is_lost);
    return machine_.journal()->read();
  }

  ProgramResult run_until(const std::vector<std::string>& argv, const std::stop_token&) override
  {
    return run_program(argv);
  }
  void give_up() override
  {
    gave_up = true;
    machine_.stepping()->run();
  }

  static inline bool gave_up = false;           // outlives the target
  std::optional<UntilReply> ended_otherwise{};  // `until`
  bool lost = false, lost_by_unmap = false, gate_is_stuck = false, journal_is_lost = false;

 private:
  FragileTarget(std::unique_ptr<Target> machine, Target& raw) : ForwardingTarget(std::move(machine)), machine_(raw) {}
  static void check(bool fails)
  {
    if (fails) throw Failure(Exit::target_lost, "ask the machine", "it does not answer");
  }
  Target& machine_;
};

class FragileSession : public testing::Test {
 protected:
  FragileSession()
  {
    auto made = FragileTarget::make();
    target = made.get();
    session.emplace(std::move(made));
    FragileTarget::gave_up = false;
    for (const char* line : {"object create a 4M", "object populate a 0..16K"}) session->execute_line(line);
  }
  Json facts(const std::string& line) { return session->execute_line(line).facts; }

  FragileTarget* target = nullptr;
  std::optional<Session> session;
};

TEST_F(FragileSession, ThatEndsGivesUpWhatItsTargetDoesNotLetGo)
{
  facts("stop");
  EXPECT_EQ(facts("object unmap a 0")["started"], "object unmap a 0");
  target->gate_is_stuck = true;
  session.reset();
  EXPECT_TRUE(FragileTarget::gave_up);
}

TEST_F(FragileSession, TheGateIsActedOnByCommandsThatMeanIt)
{
  const std::vector<std::string> stop{"stop", "--json"}, program{"run", "program"}, run{"run"};
  session->act_on_gate(stop);
  EXPECT_TRUE(target->stopped());
  session->act_on_gate(program);
  EXPECT_TRUE(target->stopped());
  target->gate_is_stuck = true;
  session->act_on_gate(run);  // the command itself tells it
  EXPECT_TRUE(target->stopped());
  target->gate_is_stuck = false;
  session->let_all_go();
  EXPECT_FALSE(target->stopped());
}

TEST_F(FragileSession, ACommandThatLosesTheTargetIsAnsweredAndTheNextOneSaysIt)
{
  facts("inject add flush drop");
  target->lost_by_unmap = true;
  EXPECT_EQ(facts("object unmap a 0")["changed_pages"], 1);
  try {
    facts("object list");
    ADD_FAILURE() << "it answers";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::target_lost);
  }
}

TEST_F(FragileSession, ARecordingEndsWithItsJournal)
{
  facts("journal on");
  facts("object unmap a 0");
  target->journal_is_lost = true;
  const Json status = facts("journal status");
  EXPECT_EQ(status["recording"], false);
  EXPECT_NE(status["ended"].get<std::string>().find("does not answer"), std::string::npos);
  EXPECT_GT(status["records"], 0) << "what was read is kept";
}

TEST_F(FragileSession, ARecordingThatCannotBeSwitchedOffEndsAllTheSame)
{
  facts("journal on");
  target->journal_is_lost = true;
  const Json status = facts("journal off");
  EXPECT_EQ(status["recording"], false);
  EXPECT_NE(status["ended"].get<std::string>().find("does not answer"), std::string::npos);
}

TEST_F(FragileSession, ARecordingThatCannotBeginIsSwitchedOffAgain)
{
  target->lost = true;
  EXPECT_THROW(facts("journal on"), Failure);
  EXPECT_FALSE(target->recording());
  target->lost = false;
  EXPECT_EQ(facts("journal status")["recording"], false);
}

TEST_F(FragileSession, UntilThatSomebodyElseEndsNamesThoseThatStillRun)
{
  target->ended_otherwise = UntilReply{{}, false, {"morsel-touch (pid 71)"}};
  const Reply reply = session->execute_line("until flush");
  EXPECT_EQ(reply.status, 1);
  EXPECT_EQ(reply.facts["programs"], Json::array({"morsel-touch (pid 71)"}));
  EXPECT_NE(reply.text.find("before anybody came there\nmorsel-touch (pid 71) still runs\n"), std::string::npos)
      << reply.text;
}

}  // namespace
}  // namespace morsel::session
