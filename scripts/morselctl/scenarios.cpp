// SPDX-License-Identifier: GPL-2.0-or-later
#include "scripts/morselctl/scenarios.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/session/scenario_file.hpp"
#include "scripts/morselctl/sessions.hpp"

namespace morsel::ctl {

using session::ArgumentKind;
using session::Arguments;
using session::CommandTable;
using session::Exit;
using session::Failure;
using session::Json;
using session::Outcome;
using session::Session;
using session::Style;

namespace {

session::ScenarioFile read_scenario(const std::string& name)
{
  std::ifstream file(name);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file || file.bad()) throw Failure(Exit::usage, "read the scenario " + name, std::strerror(errno));
  return session::parse_scenario_file(name, text);
}

Outcome run(Session& here, const Arguments& arguments, const Choice& choice)
{
  std::vector<session::ScenarioFile> files;  // all are read before anything is done
  for (const std::string& name : arguments.get<std::vector<std::string>>("FILE")) files.push_back(read_scenario(name));
  const auto executor = make_executor(choice, here);
  const session::Execute execute = [&](std::span<const std::string> words) { return executor->execute(words); };
  Json facts{{"files", Json::array()}, {"ok", true}};
  bool lacking = false;
  for (const session::ScenarioFile& file : files) {
    const Json& done = facts["files"].emplace_back(session::run_scenario_file(file, execute));
    if (done["ok"] == false) facts["ok"] = false;
    for (const Json& step : done["steps"]) lacking = lacking || step.contains("skipped");
  }
  const Exit status = facts["ok"] == false ? Exit::check_failed : lacking ? Exit::skipped : Exit::done;
  return {std::move(facts), static_cast<int>(status)};
}

}  // namespace

void add_scenario_commands(CommandTable& table, const Choice& choice)
{
  table.add({"Scenarios",
             "scenario run",
             {{"FILE", ArgumentKind::rest, "scenario files"}},
             "Runs scenario files: commands, and what is expected of their replies; the text is TAP, version 13.\n"
             "What they leave is taken away. 'run FILE.morsel' is the same. Exit status 1 if something is not ok,\n"
             "77 if the target lacks something in the middle of one.",
             with(choice, run),
             [](const Json& facts, const Style&) { return session::tap_text(facts); }});
}

void expand_scenario_words(std::vector<std::string>& words)
{
  const bool are_files = words.size() > 1 && words[0] == "run" && words[1].ends_with(".morsel");
  if (are_files) words.insert(words.begin(), "scenario");
}

}  // namespace morsel::ctl
