// SPDX-License-Identifier: GPL-2.0-or-later
//
// The holder's work, in one thread: a VM, its agent, and clients. See holder.hpp for the protocol.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "testvm/host/agent_link.hpp"
#include "testvm/host/event_loop.hpp"
#include "testvm/host/machine.hpp"

namespace morsel::testvm {

class HolderVm {
 public:
  HolderVm(VmConfig config, VmPaths paths, UniqueFd owner);
  HolderVm(const HolderVm&) = delete;
  HolderVm& operator=(const HolderVm&) = delete;

  // Until the VM has ended; returns the process's exit status.
  int run();

 private:
  struct Client {
    u64 number = 0;
    bool is_owner = false;
    u32 open_requests = 0, open_at_gate = 0;
    std::map<u64, Json> runs;  // programs whose ends it waits for: tag, the request's id
    std::unique_ptr<LineSocket> socket;
  };
  enum class State : u8 { starting, ready, over };

  void start();
  void watch_signals();
  void watch_door();
  void watch_process();

  Client& add_client(UniqueFd fd);
  Client* find_client(u64 number);
  void forget_ended_clients();
  void client_ended(u64 number);
  void kill_programs_of(u64 number);
  void end_run(const Client& client, const Json& asked);
  void open_gate_of(u64 number);
  void open_gate(AgentLink::ReplyHandler then);
  void end_journal_of(u64 number);
  std::optional<session::Failure> taken_by_another(u64 number, const std::string& command) const;
  void pass_on(Client& client, const std::string& command, Json arguments, const Json& id);
  void receive(u64 number, const std::string& line);
  void execute(u64 number, const Json& message);
  void answer(u64 number, Json reply, const Json& id);
  void welcome(Client& client);
  void tell_all(const Json& message);

  void agent_greeted(const Json& greeting);
  void agent_event(const Json& event);
  void agent_complained(const std::string& text);
  // The VM is there no more, or cannot be had: the last words to everybody, then the end.
  void lose(const std::string& reason);
  void fail(const session::Failure& failure);
  void end_vm();
  void finish(int status);
  std::string reason_from_console(const std::string& reason) const;

  VmConfig config_;
  VmPaths paths_;
  EventLoop loop_;
  State state_ = State::starting;
  int status_ = 0;
  Json greeting_;
  std::chrono::steady_clock::time_point start_;
  u64 complaints_ = 0;

  VmInfo info_;
  std::unique_ptr<Machine> machine_;
  std::unique_ptr<AgentLink> agent_;

  UniqueFd door_, signals_, process_;
  EventLoop::Watch door_watch_, signal_watch_, process_watch_;
  EventLoop::Timer start_guard_, stop_guard_, sweep_;
  std::list<Client> clients_;
  u64 next_client_ = 1, next_tag_ = 1;
  u64 gate_client_ = 0, journal_client_ = 0;  // who steps, who records: one each; 0: nobody
  u32 gate_runs_ = 0;                         // requests that open the gate, on their way
};

}  // namespace morsel::testvm
