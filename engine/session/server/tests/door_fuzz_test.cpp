// SPDX-License-Identifier: GPL-2.0-or-later
//
// door_fuzz for a bounded time: requests with bytes changed, cut, doubled and put together, drawn by a seed. The
// function itself ends the process where something does not hold.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>

#include "engine/session/server/protocol.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace morsel::session {
namespace {

constexpr int inputs = 20000, most_changes = 8;

// One request for each command of the table, with all its arguments, and lines of every other kind.
std::vector<std::string> seeds()
{
  std::vector<std::string> lines{
      R"({"execute":"command-line","arguments":{"line":"tree demo --range 0..2M --depth 2"},"id":1,"text":"plain"})",
      R"({"execute":"command-line","arguments":{"words":["walk","demo","ept","0x3000","--guest","0x1000"]}})",
      R"({"execute":"events","arguments":{"since":18446744073709551615,"limit":0}})", "[[[[{}]]]]",
      std::string(5000, '[')};
  const Json facts = commands_facts(session_commands());
  for (const Json& c : facts["commands"]) {
    Json arguments = Json::object();
    for (const Json& a : c["arguments"]) {
      const std::string kind = a["kind"].get<std::string>();
      Json& value = arguments[a["name"].get<std::string>()];
      if (kind == "flag")
        value = true;
      else if (kind == "rest")
        value = {"one", "--two"};
      else
        value = a.contains("choices") ? a["choices"][0] : Json("0x1000");
    }
    lines.push_back(Json{{"execute", c["name"]}, {"arguments", arguments}, {"id", "x"}}.dump());
  }
  return lines;
}

void change(std::string& text, std::mt19937_64& random)
{
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % std::max<std::size_t>(1, n)); };
  static constexpr std::string_view pieces[] = {
      "\"", "{",      "}",    "[",     "]",  ":",    ",",    "\\u0000",         "\\",
      "\n", "--json", "\xff", "1e999", "-1", "null", "true", "\xf0\x9f\x98\x80"};
  const std::size_t at = below(text.size());
  switch (random() % 5) {
    case 0: text[at] = static_cast<char>(random()); break;
    case 1: text.erase(at, below(16) + 1); break;
    case 2: text.insert(at, pieces[below(std::size(pieces))]); break;
    case 3: text.insert(at, text.substr(below(text.size()), below(64))); break;
    default: text.resize(at + 1); break;
  }
  if (text.empty()) text = "{";
}

TEST(DoorFuzz, AnswersEveryLineWhateverItIs)
{
  const std::vector<std::string> from = seeds();
  for (u64 seed = 1; seed <= inputs; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string text;
    for (u64 lines = random() % 3 + 1; lines > 0; --lines) {
      std::string line = from[random() % from.size()];
      for (u64 changes = random() % most_changes; changes > 0; --changes) change(line, random);
      text += line + "\n";
    }
    EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()), 0);
  }
}

}  // namespace
}  // namespace morsel::session
