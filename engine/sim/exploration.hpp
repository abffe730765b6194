// SPDX-License-Identifier: GPL-2.0-or-later
//
// Exploration: the engine's own code, run by actors that stop before every shared access, under a schedule that is
// data. After every step the invariants I1 to I4 and I10 are checked against the pessimistic hardware.
//
// A run is decided by (scenario, seed): the same pair gives the same schedule, step by step.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/sim/acts.hpp"
#include "engine/sim/fault_plan.hpp"

namespace morsel::sim {

struct Scenario {
  std::string name;
  u64 bytes = u64{4} << 20;
  Level root_level = 1;
  std::vector<FormatId> views{FormatId::ept};
  bool primary_walked = false;    // hardware walks the primary too
  std::vector<Act> before;        // run one after the other to set the stage
  std::vector<Act> actors;        // run at once
  std::vector<u64> pages{0};      // pages that hardware accesses
  std::vector<FaultRule> faults;  // ingredients taken away
  bool reuse_tokens = false;      // all reservations bear the same token
  bool no_grace_periods = false;  // what is retired is reused at once
};

struct Step {
  u32 actor;
  SyncPoint point;
  EntryRef entry;
  u64 before = 0, after = 0;
};

struct Outcome {
  std::string violation;    // empty: none
  std::vector<Step> trace;  // of the run, when it was asked for or when it failed
  u64 steps = 0;
};

enum class Policy : u8 {
  uniform,  // any runnable actor, with equal chance
  pct,      // priorities with a few change points: finds bugs of small depth with known probability
};

// One run under a schedule drawn from `seed`.
Outcome run_schedule(const Scenario& scenario, u64 seed, Policy policy);

// Many runs, alternating policies, until one fails.
struct Verdict {
  std::optional<u64> failing_seed;
  Policy policy = Policy::uniform;
  Outcome outcome;
  u64 runs = 0, steps = 0;
};
Verdict explore(const Scenario& scenario, u64 first_seed, u64 runs);

std::string describe(const Scenario& scenario, const Verdict& verdict);

}  // namespace morsel::sim
