// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/explore/report.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/session/failure.hpp"

namespace morsel::sim {

namespace {

std::string rounded(double seconds)
{
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

// Of a line or of totals.
template <class Counted>
std::string counts(const Counted& c)
{
  std::string text;
  const auto add = [&text](u64 count, const char* of) {
    if (count) text += std::to_string(count) + of;
  };
  add(c.states, " states, ");
  add(c.runs, " runs, ");
  add(c.crashes, " crashes, ");
  add(c.memories, " memories, ");
  if (c.steps || !c.crashes) text += std::to_string(c.steps) + " steps, ";
  return text + rounded(c.seconds);
}

}  // namespace

std::string to_json(const Line& line)
{
  nlohmann::ordered_json json{{"scenario", line.scenario}, {"how", line.how}, {"complete", line.complete}};
  if (!line.violation.empty()) json.update({{"violation", line.violation}, {"token", line.token}});
  json.update({{"states", line.states},
               {"final_states", line.final_states},
               {"runs", line.runs},
               {"steps", line.steps},
               {"crashes", line.crashes},
               {"memories", line.memories},
               {"seconds", line.seconds}});
  return json.dump();
}

std::string to_text(const Line& line)
{
  std::string text = line.scenario + " (" + line.how + "): " + counts(line) + ": ";
  if (!line.violation.empty()) return text + line.violation + "\n  replay " + line.token;
  return text + (line.complete ? "holds" : "holds so far, not everything was tried");
}

Line parse_line(const std::string& text)
{
  try {
    const auto json = nlohmann::json::parse(text);
    Line line;
    line.scenario = json.at("scenario");
    line.how = json.at("how");
    line.complete = json.at("complete");
    line.violation = json.value("violation", "");
    line.token = json.value("token", "");
    line.states = json.at("states");
    line.final_states = json.at("final_states");
    line.runs = json.at("runs");
    line.steps = json.at("steps");
    line.crashes = json.at("crashes");
    line.memories = json.at("memories");
    line.seconds = json.at("seconds");
    return line;
  } catch (const nlohmann::json::exception& wrong) {
    throw session::Failure(session::Exit::usage, "line '" + text.substr(0, 60) + "'", wrong.what(),
                           "A result is what 'morsel-explore --json' prints.");
  }
}

void Totals::add(const Line& line)
{
  ++lines;
  states += line.states;
  runs += line.runs;
  steps += line.steps;
  crashes += line.crashes;
  memories += line.memories;
  seconds += line.seconds;
  auto same = [&line](const Line& other) {
    return other.violation == line.violation && other.scenario == line.scenario;
  };
  if (!line.violation.empty() && std::none_of(violated.begin(), violated.end(), same)) violated.push_back(line);
  if (!line.complete) incomplete.push_back(line);
}

std::string summary(const Totals& t)
{
  return std::to_string(t.lines) + " explorations, " + counts(t) + ": " +
         std::to_string(t.violated.size()) + " violations, " + std::to_string(t.incomplete.size()) + " incomplete";
}

std::string to_text(const Totals& t)
{
  std::string text = summary(t);
  for (const Line& line : t.violated) text += "\n" + to_text(line);
  for (const Line& line : t.incomplete) text += "\n" + to_text(line);
  return text;
}

}  // namespace morsel::sim
