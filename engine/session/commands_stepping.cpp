// SPDX-License-Identifier: GPL-2.0-or-later
//
// stop, run, step, until, actors: the gate, and who waits at it.
#include <fmt/format.h>

#include <algorithm>

#include "engine/session/commands.hpp"
#include "engine/session/facts_actor.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

// What one step may take, and what waits for others that only end after some time.
constexpr Milliseconds step_limit{5'000}, run_limit{60'000};

// Of a step to a point: an actor may go round for ever without coming there.
constexpr u64 most_steps = 100'000;

Json actor_list(Session& session)
{
  const std::vector<ObjectState> objects = session.target().objects();
  Json list = Json::array();
  for (const ActorState& a : stepping_of(session, "actors").actors()) list.push_back(actor_facts(a, objects));
  return list;
}

Json state_facts(Session& session, Milliseconds limit)
{
  Json facts{{"stopped", false}, {"finished", finished_facts(session.settle(limit))}};
  facts["stopped"] = stepping_of(session, "actors").stopped();
  facts["actors"] = actor_list(session);
  return facts;
}

u32 number_of_actor(const std::string& what, u64 number)
{
  if (number > ~u32{0}) throw Failure(Exit::usage, what, fmt::format("{} is no actor", number), "See: actors");
  return static_cast<u32>(number);
}

Milliseconds limit_of(const Arguments& arguments, Milliseconds otherwise)
{
  constexpr u64 longest = u64{24} * 3600 * 1000;
  if (!arguments.has("--timeout")) return otherwise;
  const u64 wanted = arguments.number("--timeout");
  if (wanted == 0 || wanted > longest)
    throw Failure(Exit::usage, arguments.command + ": --timeout", fmt::format("{} ms", wanted),
                  "From 1 ms to a day (86400000).");
  return Milliseconds(wanted);
}

// The one that is meant where none is named.
u32 only_actor(Stepping& stepping, const std::string& command)
{
  std::vector<u32> at_points;
  for (const ActorState& a : stepping.actors())
    if (a.waits == ActorWaits::at_point) at_points.push_back(a.id);
  if (at_points.size() == 1) return at_points[0];
  if (at_points.empty())
    throw Failure(Exit::usage, command, "nobody waits at a point",
                  stepping.stopped() ? "Begin something, for example: object populate NAME all." : "First: stop.");
  throw Failure(Exit::usage, command, fmt::format("{} actors wait: {}", at_points.size(), fmt::join(at_points, ", ")),
                "Say which: step ACTOR.");
}

}  // namespace

Outcome actors(Session& session, const Arguments& arguments)
{
  stepping_of(session, arguments.command);
  return {state_facts(session, Milliseconds(0))};
}

Outcome stop_actors(Session& session, const Arguments& arguments)
{
  stepping_of(session, arguments.command).stop(step_limit);
  return {state_facts(session, step_limit)};
}

Outcome run_actors(Session& session)
{
  stepping_of(session, "run").run();
  return {state_facts(session, run_limit)};
}

Outcome step(Session& session, const Arguments& arguments)
{
  Stepping& stepping = stepping_of(session, arguments.command);
  const u32 id = arguments.has("ACTOR") ? number_of_actor(arguments.command + ": ACTOR", arguments.number("ACTOR"))
                                        : only_actor(stepping, arguments.command);
  const bool to_point = arguments.has("--to");
  const u64 count = arguments.get_or<u64>("N", to_point ? most_steps : 1);
  if (count == 0) throw Failure(Exit::usage, arguments.command + ": N", "0 steps are none", "1 is the next access.");
  const Milliseconds limit = limit_of(arguments, step_limit);
  ActorState state;
  u64 done = 0;
  bool there = false;
  do {
    state = stepping.step(id, limit);
    ++done;
    there = to_point && state.waits == ActorWaits::at_point && state.next.point == arguments.get<SyncPoint>("--to");
  } while (!there && done < count && state.waits == ActorWaits::at_point);
  Json facts{{"steps", done}, {"stepped", actor_facts(state, session.target().objects())}};
  if (to_point) facts["met"] = there;
  facts.update(state_facts(session, step_limit));
  return {std::move(facts), to_point && !there ? static_cast<int>(Exit::check_failed) : 0};
}

Outcome until(Session& session, const Arguments& arguments)
{
  StopCondition condition;
  condition.point = arguments.get<SyncPoint>("POINT");
  if (arguments.has("--actor"))
    condition.actor = number_of_actor(arguments.command + ": --actor", arguments.number("--actor"));
  if (arguments.has("--object")) condition.object = arguments.text("--object");
  condition.tree = tree_option(session, arguments);
  if (arguments.has("--range")) condition.range = arguments.get<Range>("--range");
  condition.nth = arguments.get_or<u64>("--nth", 1);
  if (condition.nth == 0) throw Failure(Exit::usage, arguments.command + ": --nth", "it counts from 1", {});
  const UntilReply end = stepping_of(session, arguments.command).until(condition, limit_of(arguments, run_limit));
  Json facts{{"met", end.met.has_value()}};
  facts["by"] = end.met ? actor_facts(*end.met, session.target().objects()) : Json();
  if (!end.met && !end.finished) facts["programs"] = end.programs;
  facts.update(state_facts(session, step_limit));
  return {std::move(facts), end.met ? 0 : static_cast<int>(Exit::check_failed)};
}

std::string render_started(const Json& facts, const Style& style)
{
  const std::string what = fmt::format("'{}' has begun", facts["started"].get<std::string>());
  if (!facts.contains("waits_at")) return what + ", and has not come to a point yet\n";
  return what + "\n" + actor_text(facts["waits_at"], style);
}

std::string render_gate(const Json& facts, const Style& style)
{
  std::string out = finished_text(facts["finished"], style);
  if (facts.contains("programs")) {
    out += "the gate was closed or opened before anybody came there\n";
    for (const Json& p : facts["programs"]) out += p.get<std::string>() + " still runs\n";
  } else if (facts.contains("met") && facts["met"] == false) {
    out += facts.contains("stepped") ? "it did not come there\n" : "all have finished, and nobody came there\n";
  }
  const u64 stepped = facts.contains("stepped")                        ? facts["stepped"]["actor"].get<u64>()
                      : facts.contains("by") && !facts["by"].is_null() ? facts["by"]["actor"].get<u64>()
                                                                       : 0;
  for (const Json& a : facts["actors"])
    out += (stepped == 0 ? "" : a["actor"] == stepped ? "> " : "  ") + actor_text(a, style);
  if (facts["actors"].empty()) out += facts["stopped"] == true ? "stopped; nobody waits\n" : "nobody runs\n";
  return out;
}

}  // namespace morsel::session
