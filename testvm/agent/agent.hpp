// SPDX-License-Identifier: GPL-2.0-or-later
//
// The agent: one thread that waits for the host's requests and for its programs' ends, and answers. Requests that reach
// points of the engine run in threads of their own (workers.hpp) and may be answered out of their order. Nothing that
// the host sends ends it; what ends it is said by serve().
//
// The host must read: while more than max_unsent_bytes wait for it, no request is read and no program's output.
#pragma once
#include <memory>
#include <string>

#include "testvm/agent/module.hpp"
#include "testvm/agent/poller.hpp"
#include "testvm/agent/programs.hpp"
#include "testvm/agent/requests.hpp"
#include "testvm/agent/unique_fd.hpp"
#include "testvm/agent/wire.hpp"
#include "testvm/agent/workers.hpp"

namespace morsel::agent {

inline constexpr std::size_t max_unsent_bytes = std::size_t{4} << 20;

// What the end of the channel means: a port stays, and a host may come (again); another stream has ended.
enum class Channel { port, stream };

enum class End { power_off, channel_closed };

class Agent {
 public:
  Agent(Module& module, UniqueFd channel, Channel kind);

  // Greets each host that connects, and serves until told to power off. By then everything has been sent.
  End serve();

 private:
  void channel_ready(std::uint32_t events);
  void set_connected(bool connected);
  void read_channel();
  bool read_once();
  void handle_lines();
  void handle(const std::string& line);
  std::optional<std::string> execute(const Request& request);
  void start_worker(const RequestKind& kind, const Request& request);
  Context context_for(const Json& id);
  void send(const std::string& line);
  void send_now();
  void send_all_blocking();
  bool is_congested() const { return unsent_.size() > max_unsent_bytes; }

  Module& module_;
  UniqueFd channel_;
  const Channel kind_;
  Poller poller_;
  Programs programs_;
  Workers workers_;
  Gate gate_;  // opens before the workers are waited for
  FaultWatch faults_;
  LineReader lines_;
  std::string unsent_;
  std::string events_;  // of the request that is being handled: they follow its reply
  bool handling_ = false;
  bool connected_ = false;
  bool ended_ = false;
  bool power_off_ = false;
  unsigned peer_ = 0;  // counts hosts: a late reply is for the one that asked
};

}  // namespace morsel::agent
