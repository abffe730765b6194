// SPDX-License-Identifier: GPL-2.0-or-later
//
// The VM's life: start, readiness, loss, end. What clients ask is in holder_clients.cpp.
#include "testvm/host/holder_vm.hpp"

#include <libvirt/libvirt.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <set>

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

constexpr Milliseconds reason_limit{3'000};  // for the machine to say why it ended, after its channel closed
constexpr u64 max_complaints_told = 16;

u64 microseconds_since(std::chrono::steady_clock::time_point start)
{
  const auto passed = std::chrono::steady_clock::now() - start;
  return static_cast<u64>(std::chrono::duration_cast<std::chrono::microseconds>(passed).count());
}

}  // namespace

HolderVm::HolderVm(VmConfig config, VmPaths paths, UniqueFd owner)
    : config_(std::move(config)), paths_(std::move(paths))
{
  add_client(std::move(owner)).is_owner = true;
}

int HolderVm::run()
{
  try {
    watch_signals();
    watch_process();
    start();
  } catch (const Failure& failure) {
    fail(failure);
  }
  while (state_ != State::over) {
    try {
      loop_.run();
    } catch (const Failure& failure) {
      fail(failure);
    }
  }
  return status_;
}

void HolderVm::start()
{
  machine_ = make_machine(config_, paths_, [this](const std::string& reason) { lose(reason); });
  watch_door();
  start_ = std::chrono::steady_clock::now();
  UniqueFd channel = machine_->start(info_);
  agent_ = std::make_unique<AgentLink>(
      std::move(channel), AgentLink::Handlers{.greeted = [this](const Json& greeting) { agent_greeted(greeting); },
                                              .event = [this](const Json& event) { agent_event(event); },
                                              .complaint = [this](const std::string& text) { agent_complained(text); },
                                              .end =
                                                  [this] {
                                                    stop_guard_ = EventLoop::Timer(
                                                        reason_limit, [this] { lose("the agent's channel closed"); });
                                                  }});
  start_guard_ = EventLoop::Timer(config_.start_limit, [this] {
    lose("its agent has not greeted within " + std::to_string(config_.start_limit.count() / 1000) +
         " s: the guest hangs");
  });
}

void HolderVm::watch_signals()
{
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, number);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_ = UniqueFd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  signal_watch_ = EventLoop::Watch(signals_.get(), VIR_EVENT_HANDLE_READABLE, [this](int) {
    signalfd_siginfo info;
    if (read(signals_.get(), &info, sizeof info) != sizeof info) return;
    end_vm();
    lose("its holder was asked to end");
  });
}

void HolderVm::watch_process()
{
  if (config_.while_process == 0) return;
  const std::string number = std::to_string(config_.while_process);
  auto process = open_process(config_.while_process);
  if (!process)
    throw Failure(Exit::usage, "starting the VM '" + config_.name + "'",
                  "the process " + number + ", with which it is to end, does not run");
  process_ = std::move(*process);
  process_watch_ = EventLoop::Watch(process_.get(), VIR_EVENT_HANDLE_READABLE, [this, number](int) {
    process_watch_.set_events(0);
    end_vm();
    lose("the process " + number + ", with which it was to end, has ended");
  });
}

void HolderVm::agent_greeted(const Json& greeting)
{
  start_guard_ = {};
  const AgentGreeting checked = parse_greeting(greeting);
  check_versions(checked, config_.module);
  info_.kernel = checked.kernel;
  info_.start_us = microseconds_since(start_);
  greeting_ = greeting;
  state_ = State::ready;
  for (Client& client : clients_) welcome(client);
}

void HolderVm::agent_event(const Json& event)
{
  // Only the events that an agent may send: the others are the holder's own words.
  static const std::set<std::string> known{"OBJECT_CHANGED", "PROGRAM_ENDED", "PROGRAM_OUTPUT",
                                           "STOPPED",        "RESUMED",       "FAULT_FIRED"};
  if (!known.contains(event["event"].get<std::string>()))
    return agent_complained("its event is unknown: " + printable(event["event"].get<std::string>(), 100));
  // Opened by nobody's request: the agent has lost its lease.
  if (event["event"] == "RESUMED" && gate_runs_ == 0) gate_client_ = 0;
  tell_all({{"event", event["event"]}, {"data", object_at(event, "data")}});
}

void HolderVm::agent_complained(const std::string& text)
{
  // The guest may send such lines without end; people need to see only some.
  if (++complaints_ > max_complaints_told) return;
  tell_all({{"event", "AGENT_COMPLAINT"}, {"data", {{"text", "the guest's agent sent a bad line: " + text}}}});
}

std::string HolderVm::reason_from_console(const std::string& reason) const
{
  const std::string lines = tail_of(paths_.console, 200, 32768);
  for (const char* mark : {"MORSEL-INIT-FAILED:", "Kernel panic"}) {
    const auto at = lines.find(mark);
    if (at != std::string::npos) return lines.substr(at, lines.find('\n', at) - at) + " (" + reason + ")";
  }
  return reason;
}

void HolderVm::lose(const std::string& plain_reason)
{
  if (state_ == State::over) return;
  const std::string reason = reason_from_console(plain_reason);
  const std::string console = tail_of(paths_.console, 15);
  if (state_ == State::starting) {
    end_vm();
    return fail({Exit::target_lost, "starting the VM '" + config_.name + "'", reason,
                 console.empty() ? "the console is empty" : "the console's last lines:\n" + console});
  }
  tell_all({{"event", "TARGET_LOST"}, {"data", {{"reason", reason}, {"console", console}}}});
  end_vm();
  finish(static_cast<int>(Exit::target_lost));
}

void HolderVm::fail(const Failure& failure)
{
  if (state_ == State::over) return;
  tell_all(to_json(failure));
  end_vm();
  finish(static_cast<int>(failure.code()));
}

void HolderVm::end_vm()
{
  if (machine_) machine_->end();
}

void HolderVm::finish(int status)
{
  state_ = State::over;
  status_ = status;
  for (Client& client : clients_) client.socket->flush(Milliseconds(1000));
  loop_.end();
}

}  // namespace morsel::testvm
