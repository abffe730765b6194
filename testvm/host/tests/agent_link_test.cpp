// SPDX-License-Identifier: GPL-2.0-or-later
//
// A hostile guest at the other end of the agent's channel: a thread writes, the link must stay up and say what it saw.
#include "testvm/host/agent_link.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_points.h"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

constexpr const char* good_greeting =
    R"({"morsel":{"agent":1,"abi":3,"points":43,"journal":2,"kernel":"6.1.0","cpus":2,"memory_bytes":1,"la57":false}})";

EventLoop& loop()
{
  static EventLoop the_loop;
  return the_loop;
}

// The link at one end, the test at the other; all that the link reports is kept.
class Guest : public testing::Test {
 protected:
  static void SetUpTestSuite() { loop(); }

  Guest()
      : pair_(make_socket_pair("test")), guard_(Milliseconds(60'000), [] {
          ADD_FAILURE() << "the link hangs";
          loop().end();
        })
  {
    link_ = std::make_unique<AgentLink>(
        std::move(pair_.ours),
        AgentLink::Handlers{.greeted = [this](const Json& g) { greetings_.push_back(g); },
                            .event = [this](const Json& e) { events_.push_back(e); },
                            .complaint = [this](const std::string& t) { complaints_.push_back(t); },
                            .end = [] { loop().end(); }});
  }

  // The guest sends these bytes and closes the channel; returns when the link has seen the end.
  void send_and_close(const std::string& bytes)
  {
    std::thread guest([&] {
      write_all(pair_.theirs.get(), bytes);
      shutdown(pair_.theirs.get(), SHUT_WR);
    });
    loop().run();
    guest.join();
  }

  SocketPair pair_;
  EventLoop::Timer guard_;
  std::unique_ptr<AgentLink> link_;
  std::vector<Json> greetings_, events_;
  std::vector<std::string> complaints_;
};

TEST_F(Guest, GreetsInOnePieceOrByteByByte)
{
  std::thread guest([&] {
    for (const char* c = good_greeting; *c; ++c) write_all(pair_.theirs.get(), {c, 1});
    write_all(pair_.theirs.get(), "\n");
    shutdown(pair_.theirs.get(), SHUT_WR);
  });
  loop().run();
  guest.join();
  ASSERT_EQ(greetings_.size(), 1u);
  EXPECT_EQ(greetings_[0]["kernel"], "6.1.0");
  EXPECT_TRUE(complaints_.empty());
}

TEST_F(Guest, MayGreetOnlyOnce)
{
  send_and_close(std::string(good_greeting) + "\n" + good_greeting + "\n");
  EXPECT_EQ(greetings_.size(), 1u);
  ASSERT_EQ(complaints_.size(), 1u);
  EXPECT_NE(complaints_[0].find("second greeting"), std::string::npos);
}

TEST_F(Guest, IsHeardAfterEveryKindOfGarbage)
{
  std::string bytes = "\x01\x02nonsense\n{\n[]\n{}\n7\n";
  bytes += std::string(3 * max_line_bytes, 'x') + "\n";
  bytes += "{\"a\":" + std::string(900'000, '[') + "\n";
  bytes += R"({"morsel":{"agent":"one"}})"
           "\n"
           R"({"morsel":5})"
           "\n"
           R"({"event":7})"
           "\n";
  bytes += R"({"return":{},"id":12345})"
           "\n"
           R"({"return":{}})"
           "\n"
           R"({"return":5,"id":1})"
           "\n";
  bytes += R"({"return":{},"id":-1})"
           "\n"
           R"({"error":{},"id":{"id":1}})"
           "\n";
  const std::size_t bad_lines = 5 + 1 + 1 + 3 + 3 + 2;
  bytes += std::string(good_greeting) + "\n" +
           R"({"event":"OBJECT_CHANGED","data":{"name":"o"}})"
           "\n";
  send_and_close(bytes);
  EXPECT_EQ(complaints_.size(), bad_lines);
  EXPECT_EQ(greetings_.size(), 1u);
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0]["data"]["name"], "o");
}

TEST_F(Guest, IsNotHeardBeyondATruncatedLine)
{
  send_and_close(std::string(good_greeting) + "\n" + R"({"event":"OBJECT_CH)");
  EXPECT_EQ(greetings_.size(), 1u);
  EXPECT_TRUE(events_.empty());
}

TEST_F(Guest, AnswersRequestsInAnyOrder)
{
  std::vector<Json> first, second;
  link_->request("one", Json::object(), [&](const Json& reply) { first.push_back(reply); });
  link_->request("two", Json::object(), [&](const Json& reply) { second.push_back(reply); });
  EXPECT_EQ(link_->open_requests(), 2u);
  send_and_close(R"({"error":{"class":"EINVAL","desc":"no"},"id":2})"
                 "\n"
                 R"({"return":{"x":1},"id":1})"
                 "\n"
                 R"({"return":{"x":2},"id":1})"
                 "\n");
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0]["return"]["x"], 1);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0]["error"]["class"], "EINVAL");
  EXPECT_EQ(complaints_.size(), 1u);  // the second answer to request 1
  EXPECT_EQ(link_->open_requests(), 0u);
}

TEST_F(Guest, IsNotSentARequestThatDoesNotFitALine)
{
  Json reply;
  link_->request("run", {{"text", std::string(max_line_bytes, 'x')}}, [&](const Json& r) { reply = r; });
  EXPECT_EQ(reply["error"]["class"], "EMSGSIZE");
  EXPECT_EQ(link_->open_requests(), 0u);
}

AgentGreeting current_greeting() { return parse_greeting(Json::parse(good_greeting)["morsel"]); }

TEST(AgentVersions, AreTakenIfTheyAreOurs) { EXPECT_NO_THROW(check_versions(current_greeting(), Module::required)); }

TEST(AgentVersions, AreRefusedIfAnyIsNot)
{
  const auto expect_refused = [](const AgentGreeting& greeting, const char* what) {
    try {
      check_versions(greeting, Module::required);
      ADD_FAILURE() << what << " was taken";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::target_lost);
      EXPECT_NE(std::string(failure.what()).find(what), std::string::npos) << failure.what();
    }
  };
  AgentGreeting g = current_greeting();
  g.agent = 2;
  expect_refused(g, "protocol");
  g = current_greeting();
  g.abi = MORSEL_ABI_VERSION + 1;
  expect_refused(g, "interface");
  g = current_greeting();
  g.points = MORSEL_POINT_COUNT - 1;
  expect_refused(g, "points");
  g = current_greeting();
  g.journal = 9;
  expect_refused(g, "journal");
  g = current_greeting();
  g.abi = 0;
  expect_refused(g, "morsel.ko");
  EXPECT_NO_THROW(check_versions(g, Module::optional));
}

}  // namespace
}  // namespace morsel::testvm
