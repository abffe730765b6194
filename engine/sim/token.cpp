// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/token.hpp"

#include <algorithm>
#include <charconv>
#include <span>
#include <vector>

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

// A part of a schedule without repetition.
Schedule parse_turns(std::string_view text)
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

// With repetitions, "(b11a11)40".
Schedule parse_schedule(std::string_view text)
{
  Schedule schedule;
  for (;;) {
    const std::size_t open = std::min(text.find('('), text.size());
    const Schedule turns = parse_turns(text.substr(0, open));
    schedule.insert(schedule.end(), turns.begin(), turns.end());
    if (open == text.size()) return schedule;
    const std::size_t close = text.find(')', open);
    if (close == text.npos) wrong("its schedule has a '(' without ')'");
    const Schedule repeated = parse_turns(text.substr(open + 1, close - open - 1));
    const std::size_t end = std::min(text.find_first_not_of("0123456789", close + 1), text.size());
    const u64 times = number(text.substr(close + 1, end - close - 1));
    if (times > most_times || repeated.size() * times > most_times) wrong("its schedule is too long");
    for (u64 n = 0; n < times; ++n) schedule.insert(schedule.end(), repeated.begin(), repeated.end());
    text.remove_prefix(end);
  }
}

// One goes on several times.
struct Turn {
  Choice choice;
  std::size_t times;
  bool operator==(const Turn&) const = default;
};

std::string to_text(std::span<const Turn> turns)
{
  std::string text;
  for (const Turn& turn : turns) {
    text += letter(turn.choice);
    if (turn.times > 1) text += std::to_string(turn.times);
  }
  return text;
}

std::vector<Turn> turns_of(const Schedule& schedule)
{
  std::vector<Turn> turns;
  for (const Choice choice : schedule) {
    if (turns.empty() || turns.back().choice != choice) turns.push_back({choice, 0});
    ++turns.back().times;
  }
  return turns;
}

// How often the first `period` turns stand there, one after the other.
std::size_t repetitions(std::span<const Turn> turns, std::size_t period)
{
  std::size_t end = period;
  while (end < turns.size() && turns[end] == turns[end - period]) ++end;
  return end / period;
}

}  // namespace

// A run without an end goes round: that is written once.
std::string to_text(const Schedule& schedule)
{
  constexpr std::size_t longest_period = 8, fewest = 4;
  const std::vector<Turn> all = turns_of(schedule);
  std::string text;
  for (std::span<const Turn> turns(all); !turns.empty();) {
    std::size_t period = 1;
    while (period <= longest_period && (2 * period > turns.size() || repetitions(turns, period) < fewest)) ++period;
    if (period > longest_period) {
      text += to_text(turns.first(1));
      turns = turns.subspan(1);
      continue;
    }
    const std::size_t times = repetitions(turns, period);
    text += "(" + to_text(turns.first(period)) + ")" + std::to_string(times);
    turns = turns.subspan(period * times);
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
