// SPDX-License-Identifier: GPL-2.0-or-later
//
// scenario run: scenario files (engine/session/scenario_file.hpp) on any target, told as TAP.
#pragma once
#include "engine/session/session.hpp"
#include "scripts/morselctl/machines.hpp"

namespace morsel::ctl {

void add_scenario_commands(session::CommandTable& table, const Choice& choice);

// "run x.morsel" means "scenario run x.morsel": a program of the guest has no such name.
void expand_scenario_words(std::vector<std::string>& words);

}  // namespace morsel::ctl
