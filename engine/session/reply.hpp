// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a command answers: facts. Text for people is rendered from the facts and from nothing else, so that both doors
// tell the same. Words of entries and physical addresses are hexadecimal strings in the facts (JSON's numbers lose
// bits beyond 2^53); offsets, sizes and counts are numbers.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "engine/session/failure.hpp"

namespace morsel::session {

using Json = nlohmann::ordered_json;

// One line. Bytes that are no UTF-8 (a guest's output, a name) are replaced.
inline std::string json_line(const Json& facts)
{
  return facts.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

struct Outcome {
  Json facts = Json::object();
  int status = 0;  // exit status: 0, Exit::check_failed, or that of a guest program
};

struct Reply {
  Json facts = Json::object();
  std::string text;    // ends with a line feed, unless empty
  std::string errors;  // what a guest program wrote to its standard error
  int status = 0;
  bool as_json = false;  // the words asked for --json

  // What is to be printed.
  std::string shown() const { return as_json ? json_line(facts) : text; }
};

// A failure as facts: {"error":{"exit":2,"tried":…,"found":…,"advice":…}}.
Json failure_facts(const Failure& failure);

}  // namespace morsel::session
