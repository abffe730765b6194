// SPDX-License-Identifier: GPL-2.0-or-later
//
// The controller of the module's gate (engine/abi/morsel_ioctl.h): stop, run, step and until for the host, and the list
// of the actors. It controls from the first stop or until to the next run, or until the host goes; then the gate is
// open. A lease is renewed meanwhile, so that an agent that hangs holds nobody. The loop's thread only.
//
// What takes its time (everybody waits; the actor has come to its next point) is answered when it is so, or when its
// limit is over.
#pragma once
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/abi/morsel_ioctl.h"
#include "testvm/agent/module.hpp"
#include "testvm/agent/object_names.hpp"
#include "testvm/agent/programs.hpp"
#include "testvm/agent/wire.hpp"
#include "testvm/agent/workers.hpp"

namespace morsel::agent {

class Gate {
 public:
  using Emit = std::function<void(const std::string& event, const Encoded& data)>;
  struct Reply {
    std::function<void(const Encoded& value)> done;
    std::function<void(const RequestError& error)> failed;
  };
  using Limit = std::chrono::milliseconds;

  Gate(Module& module, Poller& poller, Workers& workers, const Programs& programs, Emit emit);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // Each throws RequestError, or answers now or later.
  void stop(Limit limit, Reply reply);
  void step(std::uint32_t actor, Limit limit, Reply reply);
  // Nobody has met it when all actors have finished, and the client's programs: those may come to a point again.
  void until(morsel_gate_until condition, std::optional<std::uint64_t> client, Limit limit, Reply reply);
  // Opens the gate; whoever waits for an answer is told so.
  void run();
  Encoded actors();
  // Something that is waited for may have come: a change in the module, a worker's or a program's end.
  void look_again();

 private:
  using Clock = std::chrono::steady_clock;
  struct Names {
    std::string who, object;
  };
  struct AtPoint {
    morsel_gate_actor actor{};
    Names names;
  };
  struct Wait {
    enum class For { everybody, actor, condition } what;
    AtPoint before{};  // the actor when it was let go on
    std::optional<std::uint64_t> client{};  // whose programs are waited for
    Reply reply;
    Clock::time_point end{};
  };
  struct State {
    bool closed = false;
    std::uint32_t met_by = 0;
    std::span<const morsel_gate_actor> actors;  // until the next look
    std::vector<Workers::Job> jobs;             // if somebody waits
  };

  void control();
  void release(const char* why);
  void renew_lease();
  void add_wait(Wait wait, Limit limit);
  // The timer rings at the earliest end or before; it is set later only when it has rung.
  void set_timer(Clock::time_point at);
  void timer_rang();
  void time_out(const Wait& wait);
  void end_conditions();
  void close(bool was_open);
  State look();
  void tell(const State& state);
  State look_and_tell();
  void announce(const State& state);
  // False: it is at no point.
  bool let_go_on(std::uint32_t actor);
  // Lets it go on, unless it is on its way; as it was before.
  AtPoint look_and_let_go_on(std::uint32_t actor);
  // Answers, if it is time; then the wait is over.
  bool answer(Wait& wait, const State& state);
  Names names_of(const morsel_gate_actor& actor);
  Encoded describe(const morsel_gate_actor& actor, const State& state);
  static EncodedObject shown(const morsel_gate_actor& actor, const Names& names, const char* state);
  Encoded describe(const Workers::Job& job) const;
  Encoded describe_all(const State& state);

  Module& module_;
  Poller& poller_;
  Workers& workers_;
  const Programs& programs_;
  Emit emit_;
  UniqueFd gate_, lease_, timer_;
  std::list<Wait> waits_;
  Clock::time_point rings_ = Clock::time_point::max();
  std::vector<morsel_gate_actor> room_;         // as large as was needed so far
  std::map<std::uint32_t, AtPoint> at_points_;  // as the last look found them, and announced
  ObjectNames object_names_;
};

}  // namespace morsel::agent
