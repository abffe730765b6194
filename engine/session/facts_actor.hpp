// SPDX-License-Identifier: GPL-2.0-or-later
//
// Actors, and commands that ended after they had waited, as facts and text.
#pragma once
#include "engine/session/reply.hpp"
#include "engine/session/stepping.hpp"
#include "engine/session/style.hpp"
#include "engine/session/target.hpp"
#include "engine/session/tasks.hpp"

namespace morsel::session {

// `objects` tell the formats of the trees that entries stand in.
Json actor_facts(const ActorState& actor, const std::vector<ObjectState>& objects);
Json finished_facts(const std::vector<Tasks::Finished>& finished);

// A line each.
std::string actor_text(const Json& actor, const Style& style);
std::string finished_text(const Json& finished, const Style& style);

}  // namespace morsel::session
