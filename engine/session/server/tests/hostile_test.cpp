// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a session's door does with clients that are broken or hostile: an answer or a closed connection, and nobody else
// notices.
#include "engine/session/server/tests/door.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

class HostileClient : public Door {
 protected:
  void SetUp() override
  {
    Door::SetUp();
    open(sim::make_embedded_target());
  }
  // Others are served as if nothing had happened.
  void TearDown() override
  {
    EXPECT_EQ(client().ask(R"({"execute":"counters"})")["return"]["status"], 0);
    Door::TearDown();
  }
};

TEST_F(HostileClient, MalformedLinesAreAnsweredOneByOne)
{
  RawClient c = client();
  for (const std::string line :
       {"{", "]", "nonsense", "\"text\"", "17", "[]", "{\"execute\":}", "{\"execute\":\"object-list\"", "\x01\x02\xff",
        "{\"execute\":\"object-list\",\"more\":1}", "{\"execute\":\"object-list\",\"arguments\":null}"}) {
    const Json reply = c.ask(line);
    EXPECT_EQ(reply["error"]["class"], "BadMessage") << line;
  }
  EXPECT_EQ(c.ask(R"({"execute":"object-list"})")["return"]["status"], 0);
}

TEST_F(HostileClient, NamesThatSteerTerminalsOrAreNoTextComeBackHarmless)
{
  RawClient c = client();
  const Json reply = c.ask("{\"execute\":\"\\u001b[2J\\u0000\"}");
  EXPECT_EQ(reply["error"]["found"].get<std::string>().find('\x1b'), std::string::npos) << reply;
  c.send("{\"execute\":\"object-show\",\"arguments\":{\"NAME\":\"\xff\xfe\"}}\n");
  EXPECT_TRUE(c.reply().contains("error"));
}

TEST_F(HostileClient, AHugeLineIsRefusedAndTheNextOneIsTaken)
{
  RawClient c = client();
  c.send("{\"execute\":\"" + std::string(3 * max_line_bytes, 'x') + "\"}\n");
  EXPECT_EQ(c.reply()["error"]["class"], "BadMessage");
  EXPECT_EQ(c.ask(R"({"execute":"object-list"})")["return"]["status"], 0);
}

TEST_F(HostileClient, ManyMembersCostTimeInProportion)
{
  RawClient c = client();
  std::string line = "{\"execute\":\"object-list\",\"arguments\":{";
  for (int i = 0; line.size() < max_line_bytes - 32; ++i) line += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  EXPECT_TRUE(c.ask(line + "}}").contains("error"));
}

TEST_F(HostileClient, DeepNestingIsRefused)
{
  RawClient c = client();
  for (const char* open : {"[", "{\"a\":"}) {
    std::string line = "{\"execute\":\"x\",\"arguments\":";
    while (line.size() < max_line_bytes - 16) line += open;
    EXPECT_EQ(c.ask(line)["error"]["class"], "BadMessage");
  }
}

TEST_F(HostileClient, ALineByteByByteIsALine)
{
  RawClient c = client();
  for (const char byte : std::string("{\"execute\":\"object-list\"}\n")) c.send({&byte, 1});
  EXPECT_EQ(c.reply()["return"]["status"], 0);
}

TEST_F(HostileClient, ALineWithoutEndKeepsNoMemoryAndNobodyWaiting)
{
  RawClient c = client();
  const std::string part(std::size_t{1} << 20, ' ');
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(c.send(part));
  EXPECT_EQ(c.reply()["error"]["class"], "BadMessage");  // once
  EXPECT_EQ(client().ask(R"({"execute":"object-list"})")["return"]["status"], 0);
  EXPECT_EQ(c.ask("\n{\"execute\":\"object-list\"}")["return"]["status"], 0);
}

TEST_F(HostileClient, HalfALineAndGone)
{
  client().send("{\"execute\":\"obj");
  client();
  RawClient c = client();
  c.send("{\"execute\":\"object-list\"}\n");
  c.end_input();
  EXPECT_EQ(c.reply()["return"]["status"], 0);  // it still gets what it asked for
  EXPECT_FALSE(c.next());
}

TEST_F(HostileClient, WhoDoesNotReadIsDroppedAndNobodyWaits)
{
  close();
  ServerLimits limits;
  limits.unsent_bytes = std::size_t{1} << 20;
  open(sim::make_embedded_target(), limits);
  RawClient deaf = client();
  const std::string requests = [] {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "{\"execute\":\"query-commands\"}\n";
    return text;
  }();
  // It sends until the server has closed the connection.
  while (deaf.send(requests)) {
  }
  EXPECT_EQ(client().ask(R"({"execute":"object-list"})")["return"]["status"], 0);
}

TEST_F(HostileClient, WhoSubscribesAndDoesNotReadMissesEventsAndIsTold)
{
  close();
  ServerLimits limits;
  limits.events = 16;
  open(sim::make_embedded_target(), limits);
  RawClient deaf = client(), busy = client();
  busy.ask(R"({"execute":"object-create","arguments":{"NAME":"a","SIZE":"4M"}})");
  deaf.ask(R"({"execute":"subscribe"})");
  constexpr int changes = 6000;
  std::string requests;
  for (int i = 0; i < changes; ++i)
    requests += std::string("{\"execute\":\"object-") + (i % 2 ? "unmap" : "populate") +
                "\",\"arguments\":{\"NAME\":\"a\",\"RANGE\":\"0\"}}\n";
  std::thread sender([&] { busy.send(requests); });
  for (int i = 0; i < changes; ++i) busy.reply();
  sender.join();
  u64 events = 0, missed = 0, last = 1;
  while (last < changes + 1) {
    const Json event = *deaf.next();
    if (event["event"] == "MISSED") {
      EXPECT_EQ(event["data"]["from"], last + 1);
      last = event["data"]["to"].get<u64>();
      missed += last - event["data"]["from"].get<u64>() + 1;
    } else {
      EXPECT_EQ(event["number"], last + 1);
      last = event["number"].get<u64>();
      ++events;
    }
  }
  EXPECT_EQ(events + missed, changes);
  EXPECT_GT(missed, 0u);
}

}  // namespace
}  // namespace morsel::session
