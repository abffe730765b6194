// SPDX-License-Identifier: GPL-2.0-or-later
//
// Scenario files (*.morsel): lines of the command table, and what is expected of their replies.
//
//   # title: A lost invalidation is found       heads: title, and target: embedded or vm (without: either)
//   object create a 4M
//   expect frames == 0                           a fact of the last reply: PATH OP VALUE
//   diff a
//   expect status 1                              without this line a status other than 0 is not ok
//   expect views.0.runs.0.state == stale
//   object show b
//   expect failure "there is no object"          without this line a failure is not ok, and ends the scenario (where
//                                                the target lacks something, the rest is skipped instead)
//   set VIEW views.0.view                        keeps a fact; $VIEW stands for it in the lines that follow
//
// PATH is names and numbers with dots between, or a JSON pointer (/views/0); `size` behind an array is its length.
// OP is ==, !=, <, <=, >, >= or contains (a part of a text, an element, a member). Numbers are written as in commands.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.hpp"
#include "engine/session/reply.hpp"

namespace morsel::session {

struct ScenarioStep {
  enum class Kind : u8 { command, fact, status, failure, keep };
  Kind kind = Kind::command;
  int line = 0;
  std::string text;  // as it stands there
  std::vector<std::string> words;
};

struct ScenarioFile {
  std::string name;
  std::string title;   // empty: the name
  std::string target;  // "embedded", "vm"; empty: either
  std::vector<ScenarioStep> steps;
};

// Throws Failure(usage) for lines that mean nothing.
ScenarioFile parse_scenario_file(const std::string& name, std::string_view text);

using Execute = std::function<Reply(std::span<const std::string> words)>;

// Does the steps, and then takes away what they left: objects, rules. The facts:
// {"file","title","skipped":why,"steps":[{"line","text","ok","found"…}],"planned":N,"ok":…}
Json run_scenario_file(const ScenarioFile& file, const Execute& execute);

// {"files":[…],"ok":…} as TAP, version 13.
std::string tap_text(const Json& facts);

}  // namespace morsel::session
