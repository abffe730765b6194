// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host's end of a channel whose other end is an agent on a thread of this process.
#pragma once
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <thread>
#include <vector>

#include "testvm/agent/agent.hpp"
#include "testvm/agent/tests/fake_module.hpp"

namespace morsel::agent {

class Host {
 public:
  Host()
  {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    mine_ = UniqueFd(fds[0]);
    thread_ = std::thread([this, fd = fds[1]] {
      Agent agent(module, UniqueFd(fd), Channel::stream);
      end_ = agent.serve();
    });
  }
  ~Host() { finish(); }

  // Closes the channel, and returns why the agent ended.
  End finish()
  {
    if (mine_) shutdown(mine_.get(), SHUT_WR);
    if (thread_.joinable()) thread_.join();
    mine_.reset();
    return end_;
  }

  void send(std::string_view bytes)
  {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(mine_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // The next line as JSON; null at the end of the channel.
  Json receive()
  {
    for (;;) {
      if (const auto newline = received_.find('\n'); newline != std::string::npos) {
        Json message = Json::parse(received_.substr(0, newline));
        received_.erase(0, newline + 1);
        return message;
      }
      pollfd ready{.fd = mine_.get(), .events = POLLIN, .revents = 0};
      if (poll(&ready, 1, 60'000) != 1) {  // a guard against hangs
        ADD_FAILURE() << "the agent is silent";
        return nullptr;
      }
      char buffer[65536];
      const ssize_t length = recv(mine_.get(), buffer, sizeof buffer, 0);
      if (length <= 0) return nullptr;
      received_.append(buffer, static_cast<std::size_t>(length));
    }
  }
  Json receive_greeting() { return receive().at("morsel"); }

  // Sends a request and returns the message with its id; events that come before it go to `events`.
  Json ask(const std::string& command, const Json& arguments = Json::object())
  {
    const int id = ++last_id_;
    send(Json{{"execute", command}, {"arguments", arguments}, {"id", id}}.dump() + "\n");
    return receive_reply(id);
  }
  Json receive_reply(int id)
  {
    for (;;) {
      Json message = receive();
      if (message.is_null()) return nullptr;
      if (message.contains("event"))
        events.push_back(message);
      else if (message.value("id", Json()) == Json(id))
        return message;
    }
  }
  Json done(const std::string& command, const Json& arguments = Json::object())
  {
    const Json reply = ask(command, arguments);
    EXPECT_TRUE(reply.contains("return")) << command << ": " << reply.dump();
    return reply.value("return", Json());
  }
  std::string refused(const std::string& command, const Json& arguments = Json::object())
  {
    const Json reply = ask(command, arguments);
    EXPECT_TRUE(reply.contains("error")) << command << ": " << reply.dump();
    return reply.contains("error") ? reply["error"]["class"].get<std::string>() : "";
  }
  // The next event of that name, those already received first.
  Json event(const std::string& name)
  {
    for (auto at = events.begin(); at != events.end(); ++at) {
      if (at->at("event") != name) continue;
      Json data = at->at("data");
      events.erase(at);
      return data;
    }
    for (;;) {
      const Json message = receive();
      if (message.is_null()) return nullptr;
      if (message.value("event", "") == name) return message["data"];
    }
  }

  FakeModule module;
  std::vector<Json> events;

 private:
  UniqueFd mine_;
  std::thread thread_;
  End end_ = End::channel_closed;
  std::string received_;
  int last_id_ = 0;
};

}  // namespace morsel::agent
