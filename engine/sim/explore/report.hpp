// SPDX-License-Identifier: GPL-2.0-or-later
//
// What an exploration found, as one line of JSON for each scenario, and such lines of many machines put together.
#pragma once
#include <string>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::sim {

struct Line {
  std::string scenario;  // its name; its text without one
  std::string how;       // "every state", "2 preemptions", "by chance", "every crash"
  bool complete = true;  // all that was asked for was tried
  std::string violation;
  std::string token;  // of the failing run, made small
  u64 states = 0, final_states = 0, runs = 0, steps = 0;
  u64 crashes = 0, memories = 0;  // that crashes left, and that were recovered
  double seconds = 0;
};

std::string to_json(const Line& line);
std::string to_text(const Line& line);
// Throws session::Failure: the line is none of these.
Line parse_line(const std::string& json);

struct Totals {
  u64 lines = 0, states = 0, runs = 0, steps = 0, crashes = 0, memories = 0;
  double seconds = 0;
  std::vector<Line> violated, incomplete;  // each violation once
  void add(const Line& line);
  bool good() const { return violated.empty() && incomplete.empty(); }
};
std::string summary(const Totals& totals);  // one line
std::string to_text(const Totals& totals);  // and what is violated or incomplete

}  // namespace morsel::sim
