// SPDX-License-Identifier: GPL-2.0-or-later
//
// A failing run made small: fewer actors, acts, pages and faults, then fewer preemptions, then fewer steps, as long as
// the same invariant is violated.
#pragma once
#include "engine/sim/exploration.hpp"

namespace morsel::sim {

struct SmallRun {
  Scenario scenario;
  Schedule schedule;      // ends with the violation
  std::string violation;  // empty: the run that was given does not fail
};

SmallRun minimise(const Scenario& scenario, const Schedule& schedule);

// How often an actor that could have gone on gives way to another.
u32 preemptions(const Scenario& scenario, const Schedule& schedule);

}  // namespace morsel::sim
