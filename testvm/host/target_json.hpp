// SPDX-License-Identifier: GPL-2.0-or-later
//
// The agent's replies as a target's values, and back. The agent is hostile: what does not fit throws
// Failure(target_lost).
#pragma once
#include "engine/session/target.hpp"
#include "testvm/host/journal_reader.hpp"
#include "testvm/host/message.hpp"

namespace morsel::testvm {

session::ObjectState object_from_json(const Json& json);
std::vector<session::ObjectState> objects_from_json(const Json& json);
session::ViewState view_from_json(const Json& json);
session::AccessReply access_from_json(const Json& json);
// A part of an answer about `asked`: runs [start, end, rights] or [start, end], and where the rest begins.
std::vector<session::MappedRun> runs_from_json(const Json& json, const char* name, Range asked);
u64 next_from_json(const Json& json, Range asked);  // behind the range's start, so that it comes to an end
session::Counters counters_from_json(const Json& json);
Json json_of_rule(const session::InjectRule& rule);
std::vector<session::InjectRule> rules_from_json(const Json& json);
JournalRings rings_from_json(const Json& json);
session::ActorState actor_from_json(const Json& json);
std::vector<session::ActorState> actors_from_json(const Json& json);
session::UntilReply until_from_json(const Json& json);
session::ProgramResult program_from_json(const Json& json);
std::optional<session::Event> event_from_json(const Json& json);  // empty: none that a session knows

// A field of that type; throws Failure if it is missing or of another type.
u64 number_field(const Json& json, const char* name);
std::string text_field(const Json& json, const char* name);

std::string rights_word(Rights rights);  // "rw"

}  // namespace morsel::testvm
