// SPDX-License-Identifier: GPL-2.0-or-later
//
// A client's connection to a VM's holder: requests with replies, events, and the news that the VM is lost.
//
// Thread safety: requests may come from any thread. A thread of the connection reads; it calls the listener, which must
// not make requests.
#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "testvm/host/message.hpp"
#include "testvm/host/vm_config.hpp"

namespace morsel::testvm {

// morsel-vm-holder: beside this program, or in the build folder that it belongs to. Throws Failure if there is none.
std::filesystem::path holder_program();

class VmConnection {
 public:
  // Starts a holder with a VM and waits until the agent has greeted.
  static std::unique_ptr<VmConnection> start(const VmConfig& config);
  // To a VM that runs or is about to.
  static std::unique_ptr<VmConnection> attach(const std::string& name);

  // Takes over a socket on which a holder speaks. Throws what the holder reports instead of a greeting.
  VmConnection(UniqueFd socket, Milliseconds greeting_limit);
  // An owner of a VM waits until nothing of it is left.
  ~VmConnection();
  VmConnection(const VmConnection&) = delete;
  VmConnection& operator=(const VmConnection&) = delete;

  const VmInfo& info() const { return info_; }

  // What the agent returns. An agent's error and a lost VM are thrown as Failure, as is silence for `limit`. A request
  // that may stand at the gate waits longer while that is closed, as long as the agent answers others.
  Json request(const std::string& command, const Json& arguments = Json::object(),
               Milliseconds limit = default_limit);

  // The request `run`; when `told`, its program is killed. It may take as long as the agent answers others, of which
  // one is sent after each `silence`.
  Json run(const Json& arguments, const std::stop_token& told, Milliseconds silence = default_limit);
  // From any thread: nobody is answered any more.
  void give_up();

  // Every event of the agent and the holder. An empty listener ends it.
  void listen(std::function<void(const Json& event)> listener);

  // Why there will be no more replies; empty while there may be.
  std::optional<session::Failure> lost() const;
  // Returns when the holder has closed the connection: for an owner, when nothing of the VM is left.
  bool wait_for_end(Milliseconds limit);

  static constexpr Milliseconds default_limit{60'000};  // a guard against a guest that hangs

 private:
  u64 send(const std::string& command, const Json& arguments);
  void write(const Json& message);
  enum class Duration { bounded, of_a_program };
  Json wait_for(u64 id, const std::string& command, Milliseconds limit, Duration duration);
  bool answers_others(Milliseconds limit);
  void read_greeting(Milliseconds limit);
  void read_all();
  void receive(const std::string& line);
  void lose(const std::string& reason, const std::string& console);
  [[noreturn]] void throw_error(const std::string& command, const Json& error) const;

  UniqueFd socket_;
  VmInfo info_;
  bool owns_vm_ = false;
  std::thread reader_;
  std::mutex writing_;  // one line at a time

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  u64 next_id_ = 1;
  std::map<u64, Json> replies_;
  std::map<u64, bool> waiting_;
  std::optional<session::Failure> lost_;
  bool gate_closed_ = false;  // requests take as long as somebody steps
  bool ended_ = false;
  std::mutex listening_;
  std::function<void(const Json&)> listener_;
};

}  // namespace morsel::testvm
