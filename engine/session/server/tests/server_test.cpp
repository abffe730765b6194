// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/server.hpp"

#include <sys/stat.h>

#include <condition_variable>
#include <mutex>

#include "engine/session/server/protocol.hpp"
#include "engine/session/server/tests/door.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/session/waiting.hpp"
#include "engine/session/words.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

TEST_F(Door, GreetsAndDoesCommandsOfTheTable)
{
  open(sim::make_embedded_target());
  RawClient c = client();
  const Json hello = *c.next();
  EXPECT_EQ(hello["morselscope"]["protocol"], session_protocol_version);
  EXPECT_EQ(hello["morselscope"]["session"], "test");
  EXPECT_EQ(hello["morselscope"]["target"]["kind"], "embedded");
  const Json made = c.ask(R"({"execute":"object-create","arguments":{"NAME":"a","SIZE":"4M"},"id":"x"})");
  EXPECT_EQ(made["return"]["facts"]["name"], "a") << made;
  EXPECT_EQ(made["return"]["status"], 0);
  EXPECT_EQ(made["id"], "x");
  EXPECT_FALSE(made["return"].contains("text"));
  const Json shown = c.ask(R"({"execute":"command-line","arguments":{"line":"object show a"},"text":"plain"})");
  EXPECT_NE(shown["return"]["text"].get<std::string>().find("4 MiB"), std::string::npos);
  const Json color = c.ask(R"({"execute":"command-line","arguments":{"line":"object show a"},"text":"color"})");
  EXPECT_NE(color["return"]["text"].get<std::string>().find('\x1b'), std::string::npos);
}

TEST_F(Door, TellsFailuresWithAllTheirParts)
{
  open(sim::make_embedded_target());
  RawClient c = client();
  const Json error = c.ask(R"({"execute":"object-show","arguments":{"NAME":"b"},"id":3})");
  EXPECT_EQ(error["id"], 3);
  EXPECT_EQ(error["error"]["class"], "Failure");
  EXPECT_EQ(error["error"]["exit"], 2);
  for (const char* part : {"desc", "tried", "found", "advice"})
    EXPECT_FALSE(error["error"][part].get<std::string>().empty()) << part;
}

TEST_F(Door, TheSocketIsItsOwnersAlone)
{
  open(sim::make_embedded_target());
  struct stat status {};
  ASSERT_EQ(stat(server_->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  const std::string path = server_->path();
  EXPECT_EQ(close().status, Exit::done);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "morselscope"));
}

TEST_F(Door, ASecondServerOfTheSameNameIsRefused)
{
  open(sim::make_embedded_target());
  Session other(sim::make_embedded_target());
  try {
    const Server second(other, "test");
    FAIL() << "it was taken";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::usage);
    EXPECT_NE(failure.advice().find("session end test"), std::string::npos);
  }
  EXPECT_EQ(client().ask(R"({"execute":"object-list"})")["return"]["status"], 0);
  EXPECT_THROW(Server(other, "../test"), Failure);
  EXPECT_THROW(Server(other, std::string(200, 'a')), Failure);
}

TEST_F(Door, ProgramsOfTheProjectSeeWhatLocalOnesSee)
{
  open(sim::make_embedded_target());
  Session local(sim::make_embedded_target());
  Client remote("test");
  EXPECT_EQ(running_sessions(), std::vector<std::string>{"test"});
  for (const char* line : {"object create a 4M", "object populate a 0..8K", "view add a ept", "access a ept 0 write",
                           "tree a", "diff a", "walk a ept 0x5000", "counters", "help diff"}) {
    const std::vector<std::string> words = split_line(line);
    local.style.color = true;
    const Reply here = local.execute(words), there = remote.execute(words, true);
    EXPECT_EQ(here.text, there.text) << line;
    EXPECT_EQ(here.facts.dump(), there.facts.dump()) << line;
    EXPECT_EQ(here.status, there.status) << line;
  }
  EXPECT_THROW(remote.execute(split_line("object show b"), false), Failure);
  EXPECT_THROW(Client("tset"), Failure);
}

TEST_F(Door, EventsComeInOrderAndToThoseWhoAsk)
{
  open(sim::make_embedded_target());
  RawClient quiet = client(), curious = client();
  quiet.ask(R"({"execute":"object-create","arguments":{"NAME":"a","SIZE":"4M"}})");
  EXPECT_EQ(curious.ask(R"({"execute":"subscribe","arguments":{"since":0}})")["return"]["cursor"], 0);
  const Json first = *curious.next();
  EXPECT_EQ(first["event"], "OBJECT_CHANGED");
  EXPECT_EQ(first["number"], 1);
  EXPECT_EQ(first["data"]["object"], "a");
  quiet.send("{\"execute\":\"object-create\",\"arguments\":{\"NAME\":\"b\",\"SIZE\":\"4M\"}}\n");
  EXPECT_EQ((*curious.next())["data"]["object"], "b");
  EXPECT_TRUE(quiet.next()->contains("return"));  // and no event
  EXPECT_TRUE(curious.ask(R"({"execute":"unsubscribe"})").contains("return"));
  const Json list = quiet.ask(R"({"execute":"events","arguments":{"since":1,"limit":5}})")["return"];
  EXPECT_EQ(list["events"].size(), 1u);
  EXPECT_EQ(list["cursor"], 2);
  EXPECT_FALSE(list.contains("missed"));
  EXPECT_TRUE(quiet.ask(R"({"execute":"subscribe","arguments":{"since":99}})").contains("error"));
  EXPECT_TRUE(quiet.ask(R"({"execute":"events","arguments":{"since":-1}})").contains("error"));
  EXPECT_TRUE(quiet.ask(R"({"execute":"events","arguments":{"until":1}})").contains("error"));
}

TEST_F(Door, AClientThatWasAwayIsToldWhatItMissed)
{
  ServerLimits limits;
  limits.events = 3;
  open(sim::make_embedded_target(), limits);
  RawClient c = client();
  c.ask(R"({"execute":"object-create","arguments":{"NAME":"a","SIZE":"4M"}})");
  for (int page = 0; page < 9; ++page)
    c.ask(R"({"execute":"object-populate","arguments":{"NAME":"a","RANGE":")" + std::to_string(page * 4096) + "\"}}");
  const Json list = c.ask(R"({"execute":"events"})")["return"];
  EXPECT_EQ(list["missed"], (Json{{"from", 1}, {"to", 7}}));
  EXPECT_EQ(list["events"].size(), 3u);
  c.ask(R"({"execute":"subscribe","arguments":{"since":4}})");
  const Json missed = *c.next();
  EXPECT_EQ(missed["event"], "MISSED");
  EXPECT_EQ(missed["data"], (Json{{"from", 5}, {"to", 7}, {"of", "number"}}));
  EXPECT_EQ((*c.next())["number"], 8);
}

// Its access waits until the test lets it go on.
class WaitingTarget : public ForwardingTarget {
 public:
  WaitingTarget() : ForwardingTarget(sim::make_embedded_target()) {}
  std::vector<ObjectState> objects() override
  {
    std::unique_lock lock(mutex);
    waiting = true;
    changed.notify_all();
    changed.wait(lock, [this] { return open; });
    return ForwardingTarget::objects();
  }
  void listen(std::function<void(const Event&)> l) override { listener = std::move(l); }
  void wait_until_it_waits()
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return waiting; });
  }
  void let_go()
  {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }

  std::mutex mutex;
  std::condition_variable changed;
  bool waiting = false, open = false;
  std::function<void(const Event&)> listener;
};

TEST_F(Door, ALongCommandKeepsNobodyFromTheDoor)
{
  auto target = std::make_unique<WaitingTarget>();
  WaitingTarget& waits = *target;
  open(std::move(target));
  RawClient slow = client();
  slow.send("{\"execute\":\"object-list\",\"id\":1}\n{\"execute\":\"query-session\",\"id\":2}\n");
  waits.wait_until_it_waits();
  RawClient other = client();
  EXPECT_TRUE(other.next()->contains("morselscope"));
  EXPECT_TRUE(other.ask(R"({"execute":"query-commands"})").contains("return"));
  EXPECT_TRUE(other.ask(R"({"execute":"events"})").contains("return"));
  waits.let_go();
  EXPECT_EQ(slow.reply()["id"], 1);  // its replies are in order
  EXPECT_EQ(slow.reply()["id"], 2);
}

TEST_F(Door, AClientThatDiesInACommandHarmsNobody)
{
  auto target = std::make_unique<WaitingTarget>();
  WaitingTarget& waits = *target;
  open(std::move(target));
  {
    RawClient dying = client();
    dying.send("{\"execute\":\"object-list\"}\n{\"execute\":\"object-list\"}\n");
    waits.wait_until_it_waits();
  }
  waits.let_go();
  EXPECT_EQ(client().ask(R"({"execute":"object-list"})")["return"]["status"], 0);
}

TEST_F(Door, ALostTargetIsToldAndEndsTheServer)
{
  auto target = std::make_unique<WaitingTarget>();
  WaitingTarget& waits = *target;
  waits.let_go();
  open(std::move(target));
  RawClient c = client();
  c.ask(R"({"execute":"subscribe"})");
  waits.listener({Event::Kind::target_lost, {}, "the kernel panicked"});
  const Json lost = *c.next();
  EXPECT_EQ(lost["event"], "TARGET_LOST");
  EXPECT_EQ(lost["data"]["text"], "the kernel panicked");
  EXPECT_EQ((*c.next())["event"], "SHUTDOWN");
  EXPECT_FALSE(c.next());
  thread_.join();
  EXPECT_EQ(ended_.status, Exit::target_lost);
  EXPECT_FALSE(ended_.busy);
}

TEST_F(Door, TheEndDoesNotWaitForACommandForEver)
{
  auto target = std::make_unique<WaitingTarget>();
  WaitingTarget& waits = *target;
  ServerLimits limits;
  limits.end = Milliseconds(50);
  open(std::move(target), limits);
  RawClient c = client();
  c.send("{\"execute\":\"object-list\"}\n{\"execute\":\"object-list\"}\n");
  waits.wait_until_it_waits();
  EXPECT_TRUE(client().ask(R"({"execute":"end-session"})").contains("return"));
  thread_.join();
  EXPECT_TRUE(ended_.busy);
  waits.let_go();
}

// It has a program, which runs until it is killed.
class ProgramTarget : public ForwardingTarget, public Waiting {
 public:
  explicit ProgramTarget(std::unique_ptr<Target> machine) : ForwardingTarget(std::move(machine)) {}
  static std::unique_ptr<ProgramTarget> make()
  {
    auto machine = sim::make_embedded_target();
    Stepping* const stepping = machine->stepping();
    auto target = std::make_unique<ProgramTarget>(std::move(machine));
    target->stepping_ = stepping;
    return target;
  }
  Stepping* stepping() override { return stepping_; }
  ProgramResult run_until(const std::vector<std::string>&, const std::stop_token& told) override
  {
    std::unique_lock lock(mutex_);
    ++running_;
    changed_.notify_all();
    changed_.wait(lock, told, [] { return false; });
    --running_;
    changed_.notify_all();
    return {{}, 9, {}, {}};
  }
  void give_up() override {}
  void wait_for_programs(int count)
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ == count; });
  }

 private:
  Stepping* stepping_ = nullptr;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int running_ = 0;
};

constexpr const char* run_for_ever = "{\"execute\":\"run\",\"arguments\":{\"PROGRAM\":[\"sleep\",\"inf\"]}}";

TEST_F(Door, TheProgramOfAClientThatGoesIsKilled)
{
  auto target = ProgramTarget::make();
  ProgramTarget& programs = *target;
  open(std::move(target));
  {
    RawClient dying = client();
    dying.send(std::string(run_for_ever) + "\n" + run_for_ever + "\n");  // the second one is not begun
    programs.wait_for_programs(1);
  }
  EXPECT_EQ(client().ask(R"({"execute":"object-list"})")["return"]["status"], 0);
  programs.wait_for_programs(0);
}

TEST_F(Door, AClientThatOnlyEndsItsInputGetsItsReplies)
{
  open(sim::make_embedded_target());
  RawClient c = client();
  c.send("{\"execute\":\"object-create\",\"arguments\":{\"NAME\":\"a\",\"SIZE\":\"4M\"},\"id\":1}\n"
         "{\"execute\":\"object-show\",\"arguments\":{\"NAME\":\"a\"},\"id\":2}\n");
  c.end_input();
  EXPECT_EQ(c.reply()["id"], 1);
  EXPECT_EQ(c.reply()["return"]["facts"]["name"], "a");
}

TEST_F(Door, SomebodyElseCanStopWhileAProgramIsWaitedFor)
{
  auto target = ProgramTarget::make();
  ProgramTarget& programs = *target;
  open(std::move(target));
  RawClient waits = client(), other = client();
  waits.send(std::string(run_for_ever) + "\n");
  programs.wait_for_programs(1);
  EXPECT_EQ(other.ask(R"({"execute":"stop"})")["return"]["facts"]["stopped"], true);
  EXPECT_EQ(waits.reply()["return"]["facts"]["started"], "run sleep inf");
  EXPECT_EQ(other.ask(R"({"execute":"object-list"})")["return"]["status"], 0);
  waits.close();
  EXPECT_EQ(other.ask(R"({"execute":"object-list"})")["return"]["status"], 0);
  programs.wait_for_programs(1);  // it is the session's now, and ends with it
  EXPECT_FALSE(close().busy);
}

TEST_F(Door, OthersLookWhileAProgramIsWaitedFor)
{
  auto target = ProgramTarget::make();
  ProgramTarget& programs = *target;
  open(std::move(target));
  RawClient waits = client(), looks = client(), changes = client();
  looks.ask(R"({"execute":"object-create","arguments":{"NAME":"a","SIZE":"4M"}})");
  waits.send(std::string(run_for_ever) + "\n");
  programs.wait_for_programs(1);
  changes.send("{\"execute\":\"object-create\",\"arguments\":{\"NAME\":\"b\",\"SIZE\":\"4M\"}}\n");
  for (const char* command : {"object-list", "counters", "verify"})
    EXPECT_EQ(looks.ask(R"({"execute":")" + std::string(command) + "\"}")["return"]["status"], 0) << command;
  EXPECT_EQ(looks.ask(R"({"execute":"tree","arguments":{"NAME":"a"}})")["return"]["status"], 0);
  EXPECT_TRUE(looks.ask(R"({"execute":"object-show","arguments":{"NAME":"b"}})").contains("error"))
      << "what changes the machine waits";
  EXPECT_FALSE(looks.ask(R"({"execute":"nonsense"})").contains("return"));
  waits.close();
  EXPECT_EQ(changes.reply()["return"]["status"], 0);
  EXPECT_EQ(looks.ask(R"({"execute":"object-show","arguments":{"NAME":"b"}})")["return"]["status"], 0);
}

TEST_F(Door, TheEndKillsTheProgramThatSomebodyWaitsFor)
{
  auto target = ProgramTarget::make();
  ProgramTarget& programs = *target;
  open(std::move(target));
  RawClient waits = client();
  waits.send(std::string(run_for_ever) + "\n");
  programs.wait_for_programs(1);
  EXPECT_TRUE(client().ask(R"({"execute":"end-session"})").contains("return"));
  thread_.join();
  EXPECT_FALSE(ended_.busy);
}

TEST_F(Door, WhoSubscribesHearsOfTheGateAndOfACommandThatNobodyWaitedFor)
{
  open(sim::make_embedded_target());
  RawClient c = client(), listens = client();
  c.ask(R"({"execute":"object-create","arguments":{"NAME":"a","SIZE":"4M"}})");
  listens.ask(R"({"execute":"subscribe"})");
  c.ask(R"({"execute":"stop"})");
  const Json stopped = *listens.next();
  EXPECT_EQ(stopped["event"], "STOP");
  EXPECT_FALSE(stopped["data"].contains("actor"));
  const Json begun = c.ask(R"({"execute":"object-populate","arguments":{"NAME":"a","RANGE":"0..4K"}})");
  EXPECT_EQ((*listens.next())["data"]["actor"], begun["return"]["facts"]["actor"]);
  session_->target().stepping()->run();  // and not by a command
  Json event = *listens.next();
  while (event["event"] != "COMMAND_FINISHED") event = *listens.next();
  EXPECT_EQ(event["data"]["actor"], begun["return"]["facts"]["actor"]);
  EXPECT_EQ(event["data"]["text"], "object populate a 0..4K");
  c.ask(R"({"execute":"stop"})");
  c.ask(R"({"execute":"run"})");
  // The first opening may be told only now; after it come these two.
  std::string gate;
  while (!gate.ends_with("STOP RESUME ")) {
    event = *listens.next();
    if (event["event"] == "STOP" || event["event"] == "RESUME") gate += event["event"].get<std::string>() + " ";
  }
  EXPECT_LE(gate.size(), std::string("RESUME STOP RESUME ").size()) << gate;
}

TEST_F(Door, AFileIsGivenByItsWholePath)
{
  open(sim::make_embedded_target());
  RawClient c = client();
  c.ask(R"({"execute":"journal-on"})");
  const Json refused = c.ask(R"({"execute":"journal-save","arguments":{"FILE":"door-test.mj"}})");
  EXPECT_NE(refused["error"]["advice"].get<std::string>().find("whole path"), std::string::npos) << refused;
  EXPECT_FALSE(std::filesystem::exists("door-test.mj"));
  const std::string file = folder_ / "door-test.mj";
  EXPECT_EQ(c.ask(R"({"execute":"journal-save","arguments":{"FILE":")" + file + "\"}}")["return"]["status"], 0);
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(Door, AServerThatHasEndedLeavesTheNextOnesFilesAlone)
{
  open(sim::make_embedded_target());
  server_->end("the next one comes");
  thread_.join();
  Session other(sim::make_embedded_target());
  const Server next(other, "test");
  server_.reset();
  EXPECT_TRUE(std::filesystem::exists(next.path()));
  EXPECT_THROW(Server(other, "test"), Failure);
}

TEST_F(Door, AllClientsAreServed)
{
  open(sim::make_embedded_target());
  client().ask(R"({"execute":"object-create","arguments":{"NAME":"a","SIZE":"4M"}})");
  constexpr int clients = 20, requests = 25;
  std::vector<std::thread> threads;
  std::vector<int> answered(clients, 0);
  for (int n = 0; n < clients; ++n)
    threads.emplace_back([this, n, &answered] {
      RawClient c = client();
      for (int i = 0; i < requests; ++i) {
        const Json reply = c.ask(R"({"execute":"object-populate","arguments":{"NAME":"a","RANGE":")" +
                                 std::to_string((n * requests + i) * 4096) + R"("},"id":)" + std::to_string(i) + "}");
        if (reply["id"] == i && reply["return"]["facts"]["changed_pages"] == 1) ++answered[static_cast<std::size_t>(n)];
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(answered, std::vector<int>(clients, requests));
  EXPECT_EQ(client().ask(R"({"execute":"object-show","arguments":{"NAME":"a"}})")["return"]["facts"]["frames"],
            clients * requests);
}

TEST_F(Door, MoreClientsThanThereIsRoomForAreSentAway)
{
  ServerLimits limits;
  limits.clients = 2;
  open(sim::make_embedded_target(), limits);
  RawClient first = client(), second = client();
  EXPECT_TRUE(first.next() && second.next());
  RawClient third = client();
  EXPECT_TRUE(third.next()->contains("error"));
  EXPECT_FALSE(third.next());
}

}  // namespace
}  // namespace morsel::session
