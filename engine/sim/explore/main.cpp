// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-explore: exploration on a terminal. Scenarios are texts (engine/sim/scenario.hpp), runs are tokens
// (engine/sim/token.hpp). Exit status: 0 all holds, 1 something is violated or was not tried to its end, 2 usage.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>

#include "engine/session/failure.hpp"
#include "engine/sim/crash.hpp"
#include "engine/sim/explore/report.hpp"
#include "engine/sim/ingredients.hpp"
#include "engine/sim/minimise.hpp"
#include "engine/sim/search.hpp"
#include "engine/sim/suite.hpp"
#include "engine/sim/token.hpp"

namespace {

using namespace morsel;
using namespace morsel::sim;
using session::Exit;
using session::Failure;

struct Options {
  std::vector<std::string> words;  // scenarios, files, a token of a run or a crash
  std::string suite;
  std::string shard = "0/1";
  bool json = false;
  bool by_chance = false;
  bool by_crashes = false, crash_suite = false;
  u64 runs = 10'000, seed = 1;
  SearchOptions search;
  int preemptions = -1, delays = -1;
  bool no_reduction = false;
};

struct Shard {
  u64 number = 0, count = 1;
};

Shard parse_shard(const std::string& text)
{
  Shard shard;
  char rest = 0;
  unsigned long long number = 0, count = 0;
  if (std::sscanf(text.c_str(), "%llu/%llu%c", &number, &count, &rest) != 2 || number >= count)
    throw Failure(Exit::usage, "--shard " + text, "no shard", "I/N with I from 0 to N-1: --shard 0/4");
  shard.number = number;
  shard.count = count;
  return shard;
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

class Program {
 public:
  explicit Program(Options options) : options_(std::move(options))
  {
    options_.search.reduce = !options_.no_reduction;
    if (options_.delays >= 0) options_.search.delays = static_cast<u32>(options_.delays);
    if (options_.preemptions >= 0) options_.search.preemptions = static_cast<u32>(options_.preemptions);
  }

  // all, random, suite, crash
  int explore_all()
  {
    const Shard shard = parse_shard(options_.shard);
    const std::vector<Scenario> chosen = choose();
    Totals totals;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      // Schedules drawn by chance are shared out by seed, searches and crashes by scenario.
      if (!options_.by_chance && i % shard.count != shard.number) continue;
      const Line line = explore_one(chosen[i], shard);
      std::cout << (options_.json ? to_json(line) : sim::to_text(line)) << std::endl;
      totals.add(line);
    }
    if (!options_.json && totals.lines > 1) std::cout << summary(totals) << '\n';
    return totals.good() ? 0 : 1;
  }

  int replay_token()
  {
    if (is_crash_token(options_.words.at(0))) return replay_crash_token();
    const TokenRun run = parse_token(options_.words.at(0));
    const Replay told = replay(run.scenario, run.schedule);
    for (const Step& step : told.steps) std::cout << describe(run.scenario, step) << '\n';
    std::cout << (told.violation.empty() ? "holds" : told.violation) << '\n';
    return told.violation.empty() ? 0 : 1;
  }

  int replay_crash_token()
  {
    const CrashVerdict verdict = replay_crash(options_.words.at(0));
    for (const std::string& line : verdict.story) std::cout << line << '\n';
    std::cout << (verdict.violation.empty() ? "holds" : verdict.violation) << '\n';
    return verdict.violation.empty() ? 0 : 1;
  }

  int shrink()
  {
    const TokenRun run = parse_token(options_.words.at(0));
    const SmallRun small = minimise(run.scenario, run.schedule);
    if (small.violation.empty()) throw Failure(Exit::usage, "shrink", "this run holds", "Give it a run that fails.");
    std::cout << small.violation << '\n' << token_of(small.scenario, small.schedule) << '\n';
    return 0;
  }

  int list()
  {
    for (std::size_t suite = 0; suite < std::size(suite_names); ++suite)
      for (const Scenario& s : scenarios(static_cast<Suite>(suite)))
        std::cout << suite_names[suite] << "  " << s.name << "  " << to_text(s) << '\n';
    return 0;
  }

  int ingredients()
  {
    std::vector<Counterexample> found;
    for (const Ingredient& i : sim::ingredients()) found.push_back(counterexample(i));
    std::cout << ingredients_page(found);
    return 0;
  }

  int merge()
  {
    Totals totals;
    for (const std::string& name : options_.words) {
      std::ifstream file(name);
      if (!file) throw Failure(Exit::usage, "merge", "cannot read " + name, "Files of lines that --json printed.");
      for (std::string line; std::getline(file, line);)
        if (!line.empty()) totals.add(parse_line(line));
    }
    std::cout << to_text(totals) << '\n';
    return totals.good() ? 0 : 1;
  }

  // Steps a second of one core, all checks made: the median of runs of a quarter of a second. Time of this process:
  // what else the machine does is left out.
  int speed()
  {
    const Scenario scenario = parse_scenario("populate:p0-1 fill:p0 -- fill:p0,w unmap:p0 write:p0");
    ExploredRun run(scenario);
    std::vector<double> rates;
    u64 seed = 0;
    for (int i = 0; i < 15; ++i) {
      u64 steps = 0;
      const std::clock_t start = std::clock();
      while (std::clock() - start < CLOCKS_PER_SEC / 4) {
        ++seed;
        // Beginning and returning are no points.
        steps += run_schedule(run, seed, policy_of(seed)).steps - 2 * scenario.actors.size();
      }
      rates.push_back(static_cast<double>(steps) * CLOCKS_PER_SEC / static_cast<double>(std::clock() - start));
    }
    std::sort(rates.begin(), rates.end());
    std::printf("{\"name\": \"points explored in a second\", \"value\": %.0f, \"unit\": \"1/s\"}\n",
                rates[rates.size() / 2]);
    return 0;
  }

 private:
  std::vector<Scenario> choose() const
  {
    if (!options_.suite.empty()) {
      const auto* const suite = std::find(std::begin(suite_names), std::end(suite_names), options_.suite);
      return scenarios(static_cast<Suite>(suite - std::begin(suite_names)));
    }
    std::vector<Scenario> chosen;
    for (const std::string& text : options_.words) chosen.push_back(parse_scenario(text));
    return chosen;
  }

  static std::string name_of(const Scenario& scenario)
  {
    return scenario.name.empty() ? to_text(scenario) : scenario.name;
  }

  static void tell_failure(Line& line, const Scenario& scenario, const Schedule& schedule)
  {
    const SmallRun small = minimise(scenario, schedule);
    line.token = small.violation.empty() ? token_of(scenario, schedule) : token_of(small.scenario, small.schedule);
  }

  Line explore_one(const Scenario& scenario, const Shard& shard) const
  {
    if (options_.by_crashes) return crash_one(scenario);
    return options_.by_chance ? draw(scenario, options_.seed + shard.number * options_.runs) : search_one(scenario);
  }

  static Line crash_one(const Scenario& scenario)
  {
    const Stopwatch watch;
    const CrashVerdict verdict = crash_everywhere(scenario);
    Line line;
    line.scenario = name_of(scenario);
    line.how = "every crash";
    line.violation = verdict.violation;
    line.token = verdict.token;
    line.crashes = verdict.crashes;
    line.memories = verdict.images;
    line.seconds = watch.seconds();
    return line;
  }

  Line search_one(const Scenario& scenario) const
  {
    const Stopwatch watch;
    const SearchResult result = search(scenario, options_.search);
    Line line;
    line.scenario = name_of(scenario);
    line.how = options_.search.preemptions ? std::to_string(*options_.search.preemptions) + " preemptions"
               : options_.search.delays    ? std::to_string(*options_.search.delays) + " delays"
                                           : "every state";
    line.complete = result.complete;
    line.violation = result.violation;
    line.states = result.states;
    line.final_states = result.final_states;
    line.steps = result.steps;
    line.seconds = watch.seconds();
    if (!result.violation.empty()) tell_failure(line, scenario, result.schedule);
    return line;
  }

  Line draw(const Scenario& scenario, u64 first_seed) const
  {
    const Stopwatch watch;
    const Verdict verdict = explore(scenario, first_seed, options_.runs);
    Line line;
    line.scenario = name_of(scenario);
    line.how = "by chance";
    line.violation = verdict.outcome.violation;
    line.runs = verdict.runs;
    line.steps = verdict.steps;
    line.seconds = watch.seconds();
    if (verdict.failing_seed) tell_failure(line, scenario, verdict.outcome.schedule);
    return line;
  }

  Options options_;
};

void add_search_options(CLI::App& command, Options& options)
{
  CLI::Option* const preemptions =
      command.add_option("--preemptions", options.preemptions, "only schedules with at most this many");
  command.add_option("--delays", options.delays, "only those that skip at most this many in a fixed order of actors")
      ->excludes(preemptions);
  command.add_option("--states", options.search.max_states, "give up after so many")->capture_default_str();
  command.add_flag("--no-reduction", options.no_reduction, "tries all orders of independent steps too");
  command.add_flag("--progress", options.search.progress, "I5 too: from every state, each actor alone ends");
}

void add_chance_options(CLI::App& command, Options& options)
{
  command.add_option("--runs", options.runs, "schedules for each scenario")->capture_default_str();
  command.add_option("--seed", options.seed, "the first seed")->capture_default_str();
}

void add_crash_options(CLI::App& command, Options& options)
{
  auto* const what = command.add_option_group("what");
  what->add_option("SCENARIO", options.words, "one or two acts behind --: 'populate:p0 -- migrate:p0 unmap:p0'");
  what->add_flag("--suite", options.crash_suite, "those of the suite 'crashes'");
  what->require_option(1);
}

// Last first, as CLI11 takes them. Scenarios and tokens of an empty stage begin with --, and are no options.
std::vector<std::string> words_of(int argc, char** argv)
{
  std::vector<std::string> words;
  for (int i = argc - 1; i > 0; --i) {
    const std::string word = argv[i];
    const bool empty_stage = word.starts_with("--+") || word.starts_with("-- ");
    words.push_back(empty_stage ? word[2] + word : word);
  }
  return words;
}

int run(int argc, char** argv)
{
  Options options;
  CLI::App app("Explores the engine's own code: every state, or schedules drawn by chance.", "morsel-explore");
  app.require_subcommand(1);
  app.add_flag("--json", options.json, "one JSON object a line");
  CLI::App* const all = app.add_subcommand("all", "Every state of these scenarios.");
  CLI::App* const random = app.add_subcommand("random", "Schedules by chance: uniform with odd seeds, PCT with even.");
  CLI::App* const crash =
      app.add_subcommand("crash", "Stops at every access, and recovers every memory that this can leave.");
  CLI::App* const suite = app.add_subcommand("suite", "The scenarios that are always explored.");
  CLI::App* const replay = app.add_subcommand("replay", "Tells a run step by step.");
  CLI::App* const shrink = app.add_subcommand("shrink", "Makes a failing run small.");
  CLI::App* const merge = app.add_subcommand("merge", "Puts results together that --json printed.");
  CLI::App* const list = app.add_subcommand("list", "The scenarios of the suites.");
  CLI::App* const ingredients =
      app.add_subcommand("ingredients", "What each ingredient of the protocol is needed for, as Markdown.");
  CLI::App* const speed = app.add_subcommand("speed", "Measures points a second.");
  for (CLI::App* const command : {all, random})
    command->add_option("SCENARIO", options.words, "as text: 'populate:p0 -- fill:p0,w unmap:p0'")->required();
  add_crash_options(*crash, options);
  for (CLI::App* const command : {replay, shrink})
    command->add_option("TOKEN", options.words, "scenario@schedule; replay: also scenario@crash")
        ->required()
        ->expected(1);
  merge->add_option("FILE", options.words, "results")->required();
  suite->add_option("SUITE", options.suite, "small, large: every state; races: by chance; crashes: as 'crash --suite'")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(suite_names), std::end(suite_names))));
  for (CLI::App* const command : {suite, random, crash})
    command->add_option("--shard", options.shard, "I/N: the I-th of N parts, from 0")->capture_default_str();
  for (CLI::App* const command : {suite, all}) add_search_options(*command, options);
  for (CLI::App* const command : {suite, random}) add_chance_options(*command, options);
  try {
    app.parse(words_of(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  if (options.crash_suite) options.suite = suite_names[static_cast<std::size_t>(Suite::crashes)];
  options.by_crashes = crash->parsed() || options.suite == "crashes";
  options.by_chance = random->parsed() || options.suite == "races";
  Program program(std::move(options));
  if (replay->parsed()) return program.replay_token();
  if (shrink->parsed()) return program.shrink();
  if (merge->parsed()) return program.merge();
  if (list->parsed()) return program.list();
  if (ingredients->parsed()) return program.ingredients();
  if (speed->parsed()) return program.speed();
  return program.explore_all();
}

}  // namespace

int main(int argc, char** argv)
{
  try {
    return run(argc, argv);
  } catch (const Failure& failure) {
    std::cerr << "morsel-explore: " << failure.what() << '\n';
    return static_cast<int>(failure.code());
  } catch (const std::exception& error) {
    std::cerr << "morsel-explore: " << error.what() << '\n';
    return static_cast<int>(Exit::usage);
  }
}
