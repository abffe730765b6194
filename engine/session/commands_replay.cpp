// SPDX-License-Identifier: GPL-2.0-or-later
//
// replay: the run that a token of exploration tells.
#include <fmt/format.h>

#include "engine/session/commands.hpp"
#include "engine/session/explored_chronicle.hpp"
#include "engine/session/facts_journal.hpp"
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

Outcome replay(Session& session, const Arguments& arguments)
{
  return replay_explored(session, arguments, sim::parse_token(arguments.text("TOKEN")));
}

std::string render_replay(const Json& facts, const Style& style)
{
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
