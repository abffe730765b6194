// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a token asks of a session's own machine: each act as a command of the table, each rule of the fault plan as a
// rule of injection. What the machine does not have is refused by name, before anything is done.
//
// Thread safety: pure functions of what they are given.
#pragma once
#include <string>
#include <vector>

#include "engine/session/explored_chronicle.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

// The commands that make the object, its views and what stands when the actors begin.
std::vector<std::vector<std::string>> stage_of(const sim::Scenario& scenario);
// Of one act. Failure if there is no such command.
std::vector<std::string> words_of(const sim::Act& act);
// A hardware's access is no operation of an actor: it is done at once, in its turn.
bool is_hardware(const sim::Act& act);
// Failure if a machine cannot do such a thing to an access.
InjectRule rule_of(const sim::FaultRule& rule, const sim::Scenario& scenario);
// Throws Failure: this machine has no such thing; the explorer's has.
[[noreturn]] void refuse(const std::string& what);
// Failure: what of the token no machine but the explorer's has.
void refuse_what_is_not_offered(const sim::Scenario& scenario, const ExploredChronicle& explored);

// The format of a tree of the scenario.
FormatId format_of(const sim::Scenario& scenario, TreeId tree);

}  // namespace morsel::session
