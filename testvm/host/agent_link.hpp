// SPDX-License-Identifier: GPL-2.0-or-later
//
// The host's end of the agent's channel: checks the greeting, numbers requests and matches replies. The guest is
// hostile: whatever does not fit is reported as a complaint and otherwise ignored.
#pragma once
#include <map>
#include <optional>

#include "testvm/host/line_socket.hpp"
#include "testvm/host/vm_config.hpp"

namespace morsel::testvm {

class AgentLink {
 public:
  struct Handlers {
    std::function<void(const Json& greeting)> greeted;  // once; its versions are not checked yet
    std::function<void(const Json& event)> event;
    std::function<void(const std::string& text)> complaint;
    std::function<void()> end;
  };
  // "return" or "error" of the reply, with that key.
  using ReplyHandler = std::function<void(const Json& reply)>;

  AgentLink(UniqueFd channel, Handlers handlers);

  void request(const std::string& command, const Json& arguments, ReplyHandler handler);
  std::size_t open_requests() const { return waiting_.size(); }

 private:
  static constexpr std::size_t max_open_requests = 1024;
  static constexpr std::size_t max_unsent_bytes = 4 * max_line_bytes;  // far from the socket's own limit

  void receive(const std::string& line);
  void match_reply(const Json& message);

  Handlers handlers_;
  bool greeted_ = false;
  u64 next_id_ = 1;
  std::map<u64, ReplyHandler> waiting_;
  LineSocket socket_;
};

// What the agent greets with, of the right types. Throws BadMessage.
struct AgentGreeting {
  u32 agent = 0, abi = 0, points = 0, journal = 0, cpus = 0;
  std::string kernel;
  u64 memory_bytes = 0;
  bool la57 = false;
};
AgentGreeting parse_greeting(const Json& greeting);

// Throws Failure unless agent and module speak the versions that this host was built with.
void check_versions(const AgentGreeting& greeting, Module module);

}  // namespace morsel::testvm
