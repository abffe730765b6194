// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/protocol.hpp"

#include <gtest/gtest.h>

namespace morsel::session {
namespace {

using Words = std::vector<std::string>;

Words words(const std::string& line)
{
  static const CommandTable table = session_commands();
  Message id;
  return words_of(parse_request(line, id), table);
}

std::string refusal(const std::string& line)
{
  try {
    words(line);
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "it was taken";
}

TEST(Protocol, MakesTheTablesWordsOfNamedArguments)
{
  EXPECT_EQ(words(R"({"execute":"object-create","arguments":{"SIZE":"4M","NAME":"a","--level":"pmd"}})"),
            (Words{"object", "create", "a", "4M", "--level=pmd"}));
  EXPECT_EQ(words(R"({"execute":"object-create","arguments":{"SIZE":4096,"NAME":"a","level":"pte"}})"),
            (Words{"object", "create", "a", "4096", "--level=pte"}));
  EXPECT_EQ(words(R"({"execute":"object-ranges","arguments":{"NAME":"a","dirty":true}})"),
            (Words{"object", "ranges", "a", "--dirty"}));
  EXPECT_EQ(words(R"({"execute":"object-ranges","arguments":{"NAME":"a","dirty":false}})"),
            (Words{"object", "ranges", "a"}));
  EXPECT_EQ(words(R"({"execute":"run","arguments":{"PROGRAM":["ls","--all","-l"]}})"),
            (Words{"run", "ls", "--all", "-l"}));
  EXPECT_EQ(words(R"({"execute":"kernel-log"})"), (Words{"kernel-log"}));
}

TEST(Protocol, TakesWholeLinesAndWords)
{
  EXPECT_EQ(words(R"({"execute":"command-line","arguments":{"line":"tree 'a b' --depth 2 # c"}})"),
            (Words{"tree", "a b", "--depth", "2"}));
  EXPECT_EQ(words(R"({"execute":"command-line","arguments":{"words":["tree","a b"]}})"), (Words{"tree", "a b"}));
}

TEST(Protocol, EveryCommandOfTheTableHasAName)
{
  const CommandTable table = session_commands();
  const Json facts = commands_facts(table);
  ASSERT_EQ(facts["commands"].size(), table.commands().size());
  for (const Json& c : facts["commands"]) {
    EXPECT_EQ(c["name"].get<std::string>().find(' '), std::string::npos);
    for (const Json& a : c["arguments"]) EXPECT_FALSE(a["kind"].get<std::string>().empty()) << c;
    // What it refuses is arguments, not the name.
    const std::string found = refusal(R"({"execute":")" + c["name"].get<std::string>() + R"(","arguments":{"?":1}})");
    EXPECT_NE(found.find("has no argument '?'"), std::string::npos) << found;
  }
}

TEST(Protocol, RefusesValuesThatTheWordsCannotSay)
{
  EXPECT_NE(refusal(R"({"execute":"object-show","arguments":{"NAME":"--json"}})").find("would be an option"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"object-show","arguments":{"NAME":-1}})").find("whole number"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"object-show","arguments":{"NAME":["a"]}})").find("whole number"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"run","arguments":{"PROGRAM":"ls"}})").find("array"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"run","arguments":{"PROGRAM":[]}})").find("array"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"run","arguments":{"PROGRAM":["a",1]}})").find("array"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"object-ranges","arguments":{"NAME":"a","dirty":"yes"}})").find("true or false"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"object-create","arguments":{"SIZE":"4M"}})").find("NAME is not"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"object-creat"})").find("Did you mean 'object-create'?"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"command-line","arguments":{"line":"a","words":[]}})").find("one argument"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"command-line","arguments":{"words":"a"}})").find("array"), std::string::npos);
  EXPECT_NE(refusal(R"({"execute":"command-line","arguments":{"line":"'"}})").find('\''), std::string::npos);
}

TEST(Protocol, KeepsTheIdOfARequestThatIsNone)
{
  Message id;
  EXPECT_THROW(parse_request(R"({"id":7,"exec":"x"})", id), BadMessage);
  EXPECT_EQ(id, 7);
  for (const char* line :
       {R"({})", R"({"execute":1})", R"({"execute":"x","arguments":[]})", R"({"execute":"x","id":{}})",
        R"({"execute":"x","id":[1]})", R"({"execute":"x","text":"html"})", R"({"execute":""})", "7", "null", ""}) {
    Message none;
    EXPECT_THROW(parse_request(line, none), BadMessage) << line;
  }
}

}  // namespace
}  // namespace morsel::session
