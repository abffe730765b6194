// SPDX-License-Identifier: GPL-2.0-or-later
//
// A further face of targets whose requests wait for others without a limit, for a program or at the gate: the wait can
// be ended.
//
// Thread safety: any thread.
#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "engine/session/target.hpp"

namespace morsel::session {

class Waiting {
 public:
  virtual ~Waiting() = default;
  // As Target::run_program(); when `told`, the program is killed.
  virtual ProgramResult run_until(const std::vector<std::string>& argv, const std::stop_token& told) = 0;
  // Requests that wait fail, and so do all later ones.
  virtual void give_up() = 0;
};

}  // namespace morsel::session
