// SPDX-License-Identifier: GPL-2.0-or-later
//
// A connection, with a holder at its other end that answers what the test likes, or nothing.
#include "testvm/host/vm_connection.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <future>

namespace morsel::testvm {
namespace {

using session::Failure;

constexpr Milliseconds soon{20}, guard{60'000};

class Holder : public testing::Test {
 protected:
  void SetUp() override
  {
    VmInfo info;
    info.name = "vm";
    say({{"morsel", Json::object()}, {"vm", to_json(info)}});
    connection_ = std::make_unique<VmConnection>(std::move(pair_.ours), guard);
  }
  void say(const Json& message) const { write_all(pair_.theirs.get(), encode(message)); }
  Json hear() const
  {
    const auto line = read_line(pair_.theirs.get(), guard);
    return line ? parse_message(*line) : Json();
  }
  // An event that the connection has taken in when this returns.
  void tell(const char* event)
  {
    std::promise<void> heard;
    connection_->listen([&](const Json&) { heard.set_value(); });
    say({{"event", event}, {"data", Json::object()}});
    heard.get_future().wait();
    connection_->listen({});
  }

  SocketPair pair_ = make_socket_pair("test");
  std::unique_ptr<VmConnection> connection_;
};

TEST_F(Holder, SilenceIsReported)
{
  EXPECT_THROW(connection_->request("object-populate", {}, soon), Failure);
  tell("STOPPED");
  for (const char* command : {"gate-actors", "gate-step", "object-list", "object-info", "journal", "counters"})
    EXPECT_THROW(connection_->request(command, Json::object(), soon), Failure) << command;
  for (const char* command : {"object-unmap", "view-drop", "access"})
    EXPECT_THROW(connection_->request(command, Json::object(), soon), Failure) << "others are not answered either";
  tell("RESUMED");
  EXPECT_THROW(connection_->request("access", Json::object(), soon), Failure);
}

// The first echo is answered, and the request after the second.
Json after_two_echoes(const std::function<Json()>& hear, const std::function<void(const Json&)>& say)
{
  Json asked = hear();
  const Json first = hear();
  EXPECT_EQ(first["execute"], "echo");
  say({{"return", Json::object()}, {"id", first["id"]}});
  EXPECT_EQ(hear()["execute"], "echo");
  say({{"return", {{"done", asked["execute"]}}}, {"id", asked["id"]}});
  return asked;
}

TEST_F(Holder, OthersAreAskedWhileSomethingTakesItsTime)
{
  constexpr Milliseconds silence(1'000);
  tell("STOPPED");
  const auto hear_it = [this] { return hear(); };
  const auto say_it = [this](const Json& message) { say(message); };
  auto stands =
      std::async(std::launch::async, [&] { return connection_->request("access", Json::object(), silence); });
  EXPECT_EQ(after_two_echoes(hear_it, say_it)["execute"], "access");
  EXPECT_EQ(stands.get()["done"], "access");
  auto runs = std::async(std::launch::async, [&] { return connection_->run({{"argv", {"true"}}}, {}, silence); });
  EXPECT_EQ(after_two_echoes(hear_it, say_it)["execute"], "run");
  EXPECT_EQ(runs.get()["done"], "run");
  EXPECT_THROW(connection_->run({{"argv", {"true"}}}, {}, soon), Failure) << "nobody answers";
}

TEST_F(Holder, IsAskedToKillAProgramThatNobodyWaitsForAnyMore)
{
  std::stop_source told;
  auto runs = std::async(std::launch::async, [&] { return connection_->run({{"argv", {"true"}}}, told.get_token()); });
  const Json run = hear();
  EXPECT_EQ(run["execute"], "run");
  told.request_stop();
  const Json end = hear();
  EXPECT_EQ(end["execute"], "end-run");
  EXPECT_EQ(end["arguments"]["request"], run["id"]);
  say({{"return", {{"signal", 9}}}, {"id", run["id"]}});
  EXPECT_EQ(runs.get()["signal"], 9);
}

TEST_F(Holder, NobodyWaitsForWhatIsGivenUp)
{
  auto runs = std::async(std::launch::async, [&] { connection_->run({{"argv", {"true"}}}, {}); });
  hear();
  connection_->give_up();
  EXPECT_THROW(runs.get(), Failure);
  EXPECT_THROW(connection_->request("greet"), Failure);
  pair_.theirs.reset();
}

}  // namespace
}  // namespace morsel::testvm
