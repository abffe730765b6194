// SPDX-License-Identifier: GPL-2.0-or-later
//
// replay: the run that a token of exploration tells.
#include <fmt/format.h>

#include "engine/session/commands.hpp"
#include "engine/session/explored_chronicle.hpp"
#include "engine/session/live_replay.hpp"
#include "engine/session/verify.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

Json actors_of(const sim::Scenario& scenario)
{
  Json actors = Json::array();
  for (std::size_t i = 0; i < scenario.actors.size(); ++i)
    actors.push_back({{"letter", std::string(1, static_cast<char>('a' + i))},
                      {"actor", i + 1},
                      {"act", sim::to_text(scenario.actors[i])}});
  return actors;
}

// In the explorer's own machine; what it did is shown as the past.
Outcome replay_explored(Session& session, const Arguments& arguments, const sim::TokenRun& token)
{
  if (session.recorder().on())
    throw Failure(Exit::usage, arguments.command, "a recording is under way", "'journal off' ends it.");
  ExploredChronicle made = explore_again(token);
  const u64 records = made.chronicle.journal.size();
  session.recorder().load(std::move(made.chronicle));
  const bool holds = made.violation.empty();
  return {{{"how", "explored"},
           {"scenario", sim::to_text(token.scenario)},
           {"actors", actors_of(token.scenario)},
           {"object", explored_name},
           {"records", records},
           {"holds", holds},
           {"violation", made.violation}},
          holds ? 0 : static_cast<int>(Exit::check_failed)};
}

}  // namespace

// By real tasks of the machine: always in a VM, else if it is asked for.
Outcome replay(Session& session, const Arguments& arguments)
{
  const sim::TokenRun token = sim::parse_token(arguments.text("TOKEN"));
  const std::string how = arguments.get_or<std::string>("--how", "");
  if (how == "explored" || (how.empty() && session.target().info().kind != "vm"))
    return replay_explored(session, arguments, token);
  Json facts = LiveReplay(session, token).run();
  const bool holds = facts["holds"].get<bool>();
  return {std::move(facts), holds ? 0 : static_cast<int>(Exit::check_failed)};
}

namespace {

std::string render_live(const Json& facts, const Style& style)
{
  std::string out =
      fmt::format("{}: {}\n", style.bold(facts["object"].get<std::string>()), facts["scenario"].get<std::string>());
  for (const Json& a : facts["actors"])
    out += fmt::format("  actor {} = {}: {}\n", a["actor"].get<u64>(), a["letter"].get<std::string>(),
                       a["command"].get<std::string>());
  const u64 aside = facts["aside"].get<u64>(), absent = facts["absent"].get<u64>();
  const u64 more = facts["more"].get<u64>();
  out += fmt::format("{} of the token: {} as it says", plural(facts["steps"].get<u64>(), "step"),
                     facts["compared"].get<u64>());
  if (aside != 0) out += fmt::format(", {} of hardware's and acts' own", aside);
  if (absent != 0) out += fmt::format(", {} that this machine does without", absent);
  if (more != 0) out += fmt::format("; {} more of its own", more);
  out += "\n";
  if (const Json& d = facts["difference"]; !d.is_null())
    out += fmt::format("{} at step {}\n  token:   {}\n  machine: {}\n", style.bad("otherwise"), d["step"].get<u64>(),
                       d["expected"].get<std::string>(), d["found"].get<std::string>());
  for (const Json& r : facts["rules"])
    out += fmt::format("  {} at {}: fired {}\n", r["action"].get<std::string>(), r["point"].get<std::string>(),
                       plural(r["fired"].get<u64>(), "time"));
  const std::string explored = facts["explored"].get<std::string>();
  out += fmt::format("explorer: {}\n", explored.empty() ? "every invariant holds" : explored);
  out += fmt::format("here: {}\n", facts["broken"].empty() ? style.good("the tables hold") : std::string());
  if (!facts["broken"].empty()) out.pop_back();
  for (const Json& v : facts["broken"]) out += violation_text(v, style);
  return out;
}

}  // namespace

std::string render_replay(const Json& facts, const Style& style)
{
  if (facts["how"] == "live") return render_live(facts, style);
  std::string out =
      fmt::format("{}: {}\n", style.bold(facts["object"].get<std::string>()), facts["scenario"].get<std::string>());
  for (const Json& a : facts["actors"])
    out += fmt::format("  actor {} = {}: {}\n", a["actor"].get<u64>(), a["letter"].get<std::string>(),
                       a["act"].get<std::string>());
  out += plural(facts["records"].get<u64>(), "step") + ": ";
  if (facts["holds"] == true) return out + style.good("every invariant holds") + "\n";
  return out + style.bad(facts["violation"].get<std::string>()) + "\n";
}

}  // namespace morsel::session
