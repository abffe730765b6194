// SPDX-License-Identifier: GPL-2.0-or-later
//
// --watch: a command is done again whenever the session or the VM tells that something has happened, and what it
// answers is shown when it is new. Nothing is asked in between.
#pragma once
#include <string>
#include <vector>

#include "engine/session/session.hpp"
#include "scripts/morselctl/sessions.hpp"

namespace morsel::ctl {

// How it is shown: to a person in place of what was there before.
struct Shown {
  const session::Style& style;
  bool as_json = false;
  bool person = false;
};

bool is_watched(const session::CommandTable& table, const std::vector<std::string>& words);
// Ends by the Failure that says why: the command's own, or that the target is lost, or its session.
[[noreturn]] void watch(Executor& executor, std::vector<std::string> words, const Shown& how);

}  // namespace morsel::ctl
