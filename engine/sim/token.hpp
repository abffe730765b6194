// SPDX-License-Identifier: GPL-2.0-or-later
//
// A run in one printable word: the scenario with + between its words, @, and how it goes on:
//
//   populate:p0-1+fill:p0+--+fill:p0,w+unmap:p0+drop:flush@u42      uniform, seed 42
//   ...@p17                                                         PCT, seed 17
//   ...@sa12b3A2                                                    a goes on 12 times, b 3 times, two stores of a's
//                                                                   buffer are seen; then whoever can
//   ...@sa17(b11a11)180                                             the two take turns, 180 times
#pragma once
#include <string>
#include <string_view>

#include "engine/sim/exploration.hpp"

namespace morsel::sim {

std::string to_text(const Schedule& schedule);
std::string token_of(const Scenario& scenario, const Schedule& schedule);
std::string token_of(const Scenario& scenario, u64 seed, Policy policy);

struct TokenRun {
  Scenario scenario;
  Schedule schedule;
};
// With a seed, the schedule is drawn. Throws session::Failure.
TokenRun parse_token(std::string_view token);

}  // namespace morsel::sim
