// SPDX-License-Identifier: GPL-2.0-or-later
//
// The scenarios that are always explored. Named, so that results of many machines can be put together.
#pragma once
#include <string_view>
#include <vector>

#include "engine/sim/scenario.hpp"

namespace morsel::sim {

enum class Suite : u8 {
  small,  // every state, in the tests: what the protocol's specification asks for, at each level
  large,  // every state, in campaigns
  races,  // schedules drawn by chance: more actors and pages
  crashes,  // stopped at every access, and every memory recovered (crash.hpp)
};
inline constexpr std::string_view suite_names[] = {"small", "large", "races", "crashes"};

std::vector<Scenario> scenarios(Suite suite);

}  // namespace morsel::sim
