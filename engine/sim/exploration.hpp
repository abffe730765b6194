// SPDX-License-Identifier: GPL-2.0-or-later
//
// Exploration by chance: the engine's own code, run by actors that stop before every shared access, under schedules
// drawn from a seed. After every step the invariants are checked against the pessimistic hardware.
//
// A run is decided by (scenario, policy, seed): the same give the same schedule, step by step.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sim/explored_run.hpp"

namespace morsel::sim {

using Schedule = std::vector<Choice>;

struct Outcome {
  std::string violation;  // empty: none
  Schedule schedule;      // the choices made, up to the violation
  u64 steps = 0;
};

enum class Policy : u8 {
  uniform,  // any that can go on, with equal chance
  pct,      // priorities with a few change points: finds bugs of small depth with known probability
};

// A run that comes to this many steps violates I5: four times what its actors need one after the other, in whatever
// order, and never less than few_steps. Who scans a table of 512 entries takes many and comes to an end.
class StepLimit {
 public:
  static constexpr u64 few_steps = 4000;
  static constexpr std::string_view reached_text = "I5 the actors do not come to an end";

  explicit StepLimit(const Scenario& scenario) : scenario_(scenario) {}
  bool reached(u64 steps);

 private:
  const Scenario& scenario_;
  u64 limit_ = few_steps;
  bool known_ = false;  // it is measured when it matters first
};

// One run under a schedule drawn from `seed`. The run is reset before.
Outcome run_schedule(ExploredRun& run, u64 seed, Policy policy);
Outcome run_schedule(const Scenario& scenario, u64 seed, Policy policy);

// Many runs, alternating policies, until one fails.
struct Verdict {
  std::optional<u64> failing_seed;
  Policy policy = Policy::uniform;
  Outcome outcome;
  u64 runs = 0, steps = 0;
};
Verdict explore(const Scenario& scenario, u64 first_seed, u64 runs);
constexpr Policy policy_of(u64 seed) { return seed % 2 ? Policy::uniform : Policy::pct; }

// The same steps again, each described: who, at which point, the entry before and after.
struct Replay {
  std::string violation;
  std::vector<Step> steps;
};
Replay replay(const Scenario& scenario, const Schedule& schedule);
// Whoever wants to see the world between the steps: before one of this choice, and after it. At the end the world is
// of no use any more.
struct ReplayWatch {
  std::function<void(Choice)> before;
  std::function<void(const Step&)> after;
};
Replay replay(ExploredRun& run, const Schedule& schedule, const ReplayWatch& watch);

std::string describe(const Scenario& scenario, const Step& step);
std::string describe(const Scenario& scenario, const Verdict& verdict);

}  // namespace morsel::sim
