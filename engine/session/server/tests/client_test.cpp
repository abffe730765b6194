// SPDX-License-Identifier: GPL-2.0-or-later
//
// The client of a session, on servers that serve, that end, and that are none.
#include "engine/session/server/client.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <fstream>

#include "engine/session/server/runtime_folder.hpp"
#include "engine/session/server/session_files.hpp"
#include "engine/session/server/tests/door.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

template <class Action>
Failure failure_by(Action action)
{
  try {
    action();
  } catch (const Failure& failure) {
    return failure;
  }
  ADD_FAILURE() << "it was done";
  return {Exit::done, {}, {}};
}

// Takes one client, says what it is given to say, and goes.
class FalseServer {
 public:
  FalseServer(const std::string& name, std::string says) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = session_socket(name);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_.get(), 1), 0);
    thread_ = std::thread([this, said = std::move(says)] {
      const UniqueFd client(accept(fd_.get(), nullptr, nullptr));
      send(client.get(), said.data(), said.size(), MSG_NOSIGNAL);
    });
  }
  ~FalseServer() { thread_.join(); }

 private:
  UniqueFd fd_;
  std::thread thread_;
};

using SessionClient = Door;

TEST_F(SessionClient, WaitsForAnEventOrForSomethingElse)
{
  open(sim::make_embedded_target());
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  UniqueFd readable(ends[0]), other_end(ends[1]);
  Client listens("test"), acts("test");
  EXPECT_EQ(listens.greeting()["session"], "test");
  listens.call("subscribe");
  acts.call("object-create", {{"NAME", "a"}, {"SIZE", "4M"}});
  EXPECT_EQ((*listens.next_event())["data"]["object"], "a");
  acts.call("object-create", {{"NAME", "b"}, {"SIZE", "4M"}});
  listens.call("query-session");
  EXPECT_EQ((*listens.next_event())["data"]["object"], "b") << "it came before a reply, and is kept";
  other_end.reset();
  EXPECT_FALSE(listens.next_event(readable.get()));
}

TEST_F(SessionClient, ForgetsEventsThatHaveCome)
{
  open(sim::make_embedded_target());
  Client listens("test"), acts("test");
  listens.call("subscribe");
  acts.call("object-create", {{"NAME", "a"}, {"SIZE", "4M"}});
  listens.call("query-session");
  acts.call("object-create", {{"NAME", "b"}, {"SIZE", "4M"}});
  listens.drop_events();
  acts.call("object-create", {{"NAME", "c"}, {"SIZE", "4M"}});
  EXPECT_EQ((*listens.next_event())["data"]["object"], "c");
}

TEST_F(SessionClient, SaysWhyTheSessionHasEnded)
{
  open(sim::make_embedded_target());
  Client client("test");
  client.call("subscribe");
  server_->end("somebody wanted it");
  thread_.join();
  const Failure failure = failure_by([&] { client.execute(std::array<std::string, 1>{"counters"}, false); });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  EXPECT_EQ(failure.found(), "it has ended: somebody wanted it");
}

TEST_F(SessionClient, SaysThatAServerHasGoneWithoutAWord)
{
  const FalseServer server("test", "{\"morselscope\":{\"protocol\":1}}\n");
  Client client("test");
  EXPECT_EQ(client.greeting()["protocol"], 1);
  EXPECT_EQ(failure_by([&] { client.call("counters"); }).found(), "its server has gone");
}

TEST_F(SessionClient, DoesNotTakeNonsenseForAnAnswer)
{
  const std::pair<const char*, const char*> lines[] = {
      {"nonsense\n", "it is not JSON"}, {"[]\n", "it is not a JSON object"}, {"{\"mors", "its server has gone"}};
  for (const auto& [line, found] : lines) {
    {
      const FalseServer server("test", line);
      const Failure failure = failure_by([] { Client("test"); });
      EXPECT_EQ(failure.code(), Exit::target_lost);
      EXPECT_EQ(failure.found(), found) << line;
    }
    std::filesystem::remove(session_socket("test"));
  }
}

TEST_F(SessionClient, IsToldThatThereIsNoRoom)
{
  ServerLimits limits;
  limits.clients = 1;
  open(sim::make_embedded_target(), limits);
  const Client first("test");
  EXPECT_EQ(failure_by([] { Client("test"); }).found(), "1 clients are here already");
}

TEST_F(SessionClient, NamesTheSessionsThatRun)
{
  EXPECT_NE(failure_by([] { Client("test"); }).advice().find("Start it"), std::string::npos);
  open(sim::make_embedded_target());
  EXPECT_EQ(failure_by([] { Client("tset"); }).advice(), "Did you mean 'test'?");
  EXPECT_NE(failure_by([] { Client("another"); }).advice().find("Running: test."), std::string::npos);
}

// A server that starts has its lock, and does not listen yet.
TEST_F(SessionClient, RemovesWhatAKilledServerHasLeft)
{
  const auto left = [](const char* name) {
    std::string socket = session_socket(name);
    std::ofstream(socket).put('x');
    std::ofstream(socket + "-lock").put('x');
    return socket;
  };
  const std::string dead = left("dead"), starts = left("starts");
  const auto lock = take_lock(starts + "-lock", Wait::no);
  open(sim::make_embedded_target());
  std::ofstream(std::filesystem::path(dead).replace_filename("no name of a session.session")).put('x');
  EXPECT_EQ(running_sessions(), std::vector<std::string>{"test"});
  EXPECT_TRUE(std::filesystem::exists(dead)) << "looking removes nothing";
  remove_dead_sessions();
  for (const char* suffix : {"", "-lock"}) {
    EXPECT_FALSE(std::filesystem::exists(dead + suffix)) << suffix;
    EXPECT_TRUE(std::filesystem::exists(starts + suffix)) << suffix;
    EXPECT_TRUE(std::filesystem::exists(session_socket("test") + suffix)) << suffix;
  }
}

TEST_F(SessionClient, AFolderTooLongForASocketHasNoSession)
{
  const std::string folder = folder_ / std::string(100, 'x');
  std::filesystem::create_directory(folder);
  setenv("XDG_RUNTIME_DIR", folder.c_str(), 1);
  EXPECT_EQ(failure_by([] { Client("test"); }).found(), "no session of this name runs");
  const Failure failure = failure_by([this] { open(sim::make_embedded_target()); });
  EXPECT_EQ(failure.code(), Exit::usage);
  EXPECT_NE(failure.found().find("too many for a socket"), std::string::npos);
}

}  // namespace
}  // namespace morsel::session
