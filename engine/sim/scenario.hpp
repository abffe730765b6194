// SPDX-License-Identifier: GPL-2.0-or-later
//
// A scenario: what stands when exploration begins, who does what at once, what hardware accesses, and which
// ingredients of the protocol are taken away.
#pragma once
#include <string>
#include <vector>

#include "engine/sim/acts.hpp"
#include "engine/sim/fault_plan.hpp"

namespace morsel::sim {

inline constexpr u32 max_actors = 7;
inline constexpr std::size_t max_hardware_pages = 4;

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

}  // namespace morsel::sim
