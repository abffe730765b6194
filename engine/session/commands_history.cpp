// SPDX-License-Identifier: GPL-2.0-or-later
//
// back, forward, goto: the place in the history that the session shows.
#include <fmt/format.h>

#include <algorithm>

#include "engine/session/commands.hpp"
#include "engine/session/facts_actor.hpp"
#include "engine/session/facts_journal.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

// What was recorded, up to now.
Recorder& recorded(Session& session, const std::string& command)
{
  Recorder& recorder = session.recorder();
  if (recorder.empty())
    throw Failure(Exit::usage, command, "nothing was recorded", "'journal on' begins; then run what you want to see.");
  if (recorder.on()) recorder.sync(session.target());
  return recorder;
}

Outcome place(const Recorder& recorder) { return {{{"place", place_facts(recorder)}}}; }

// One step from where the recording has ended is its last record; from the present of a running one, the last but one.
Outcome move(Session& session, const Arguments& arguments, bool forward)
{
  Recorder& recorder = recorded(session, arguments.command);
  const u64 asked = arguments.get_or<u64>("N", 1);
  const std::size_t last = recorder.chronicle().journal.size(), at = recorder.position();
  if (forward && !recorder.in_past())
    throw Failure(Exit::usage, arguments.command, "the session shows the present", "'back' goes into the past.");
  const bool from_elsewhere = !recorder.in_past() && !recorder.on();
  const u64 steps = asked - (from_elsewhere && asked > 0 ? 1 : 0);
  recorder.go_to(forward ? at + std::min<u64>(steps, last - at) : at - std::min<u64>(steps, at));
  return place(recorder);
}

}  // namespace

Outcome history_back(Session& session, const Arguments& arguments) { return move(session, arguments, false); }
Outcome history_forward(Session& session, const Arguments& arguments) { return move(session, arguments, true); }

Outcome history_goto(Session& session, const Arguments& arguments)
{
  Recorder& recorder = recorded(session, arguments.command);
  const std::string& word = arguments.text("PLACE");
  const Journal& journal = recorder.chronicle().journal;
  if (word == "now") {
    recorder.go_to_present();
    return place(recorder);
  }
  const u64 sequence = word == "start" ? 0 : parse_number(arguments.command + ": PLACE", word);
  if (sequence > journal.sequence_at(journal.size()))
    throw Failure(Exit::usage, arguments.command,
                  fmt::format("there is no record {}: the last is {}", sequence, journal.sequence_at(journal.size())),
                  "'goto now' returns to the present.");
  recorder.go_to(journal.count_until(sequence));
  return place(recorder);
}

Outcome history_branch(Session& session, const Arguments& arguments)
{
  recorded(session, arguments.command);
  const std::vector<std::string> undone = session.branch();
  Outcome outcome = place(session.recorder());
  const std::vector<ObjectState> objects = session.target().objects();
  outcome.facts["undone"] = undone;
  outcome.facts["actors"] = Json::array();
  for (const ActorState& a : stepping_of(session, arguments.command).actors())
    outcome.facts["actors"].push_back(actor_facts(a, objects));
  return outcome;
}

std::string render_branch(const Json& facts, const Style& style)
{
  std::string out = fmt::format("the machine is as it was at {}; stopped\n",
                                style.bold(fmt::format("record {}", facts["place"]["record"].get<u64>())));
  for (const Json& command : facts["undone"]) out += fmt::format("  undone: '{}'\n", command.get<std::string>());
  for (const Json& a : facts["actors"]) out += actor_text(a, style);
  return out;
}

std::string render_place(const Json& facts, const Style& style)
{
  const Json& place = facts["place"];
  if (place["present"] == true) return style.bold("the present") + "\n";
  return {};  // the line that every command has in the past says it
}

}  // namespace morsel::session
