// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/token.hpp"

#include <algorithm>
#include <charconv>

#include "engine/session/failure.hpp"

namespace morsel::sim {

namespace {

constexpr u64 most_times = 4'000'000;  // that one actor goes on

[[noreturn]] void wrong(const std::string& found)
{
  throw session::Failure(session::Exit::usage, "token", found,
                         "A token is a scenario with + between its words, and @u42, @p42 or @sa12b3 behind it.");
}

std::string scenario_part(const Scenario& scenario)
{
  std::string text = to_text(scenario);
  std::replace(text.begin(), text.end(), ' ', '+');
  return text;
}

constexpr char letter(Choice choice) { return static_cast<char>((is_buffer(choice) ? 'A' : 'a') + actor_of(choice)); }

u64 number(std::string_view text)
{
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    wrong("'" + std::string(text) + "' is no number");
  return value;
}

Schedule parse_schedule(std::string_view text)
{
  Schedule schedule;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const bool buffer = c >= 'A' && c < static_cast<char>('A' + max_actors);
    if (!buffer && !(c >= 'a' && c < static_cast<char>('a' + max_actors)))
      wrong(std::string("its schedule has a '") + c + "'");
    const auto choice =
        static_cast<Choice>(buffer ? static_cast<u32>(c - 'A') + max_actors : static_cast<u32>(c - 'a'));
    const std::size_t end = std::min(text.find_first_not_of("0123456789", at + 1), text.size());
    const u64 times = end == at + 1 ? 1 : number(text.substr(at + 1, end - at - 1));
    if (times > most_times) wrong("its schedule is too long");
    schedule.insert(schedule.end(), times, choice);
    at = end;
  }
  return schedule;
}

}  // namespace

std::string to_text(const Schedule& schedule)
{
  std::string text;
  for (std::size_t at = 0; at < schedule.size();) {
    std::size_t end = at;
    while (end < schedule.size() && schedule[end] == schedule[at]) ++end;
    text += letter(schedule[at]);
    if (end - at > 1) text += std::to_string(end - at);
    at = end;
  }
  return text;
}

std::string token_of(const Scenario& scenario, const Schedule& schedule)
{
  return scenario_part(scenario) + "@s" + to_text(schedule);
}

std::string token_of(const Scenario& scenario, u64 seed, Policy policy)
{
  return scenario_part(scenario) + (policy == Policy::uniform ? "@u" : "@p") + std::to_string(seed);
}

TokenRun parse_token(std::string_view token)
{
  const std::size_t at = token.rfind('@');
  if (at == token.npos || at + 1 == token.size()) wrong("it does not say how the run goes on");
  std::string text(token.substr(0, at));
  std::replace(text.begin(), text.end(), '+', ' ');
  TokenRun run{parse_scenario(text), {}};
  const std::string_view rest = token.substr(at + 2);
  switch (token[at + 1]) {
    case 's': run.schedule = parse_schedule(rest); break;
    case 'u': run.schedule = run_schedule(run.scenario, number(rest), Policy::uniform).schedule; break;
    case 'p': run.schedule = run_schedule(run.scenario, number(rest), Policy::pct).schedule; break;
    default: wrong(std::string("'") + token[at + 1] + "' is no kind of schedule");
  }
  return run;
}

}  // namespace morsel::sim
