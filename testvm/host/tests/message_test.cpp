// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/message.hpp"

#include <gtest/gtest.h>

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

std::string nested(int depth)
{
  std::string text = "{\"a\":";
  for (int i = 0; i < depth; ++i) text += "[";
  for (int i = 0; i < depth; ++i) text += "]";
  return text + "}";
}

TEST(Message, TakesObjects)
{
  const Json message = parse_message(R"({"return":{"x":[1,2,{"y":null}]},"id":7})");
  EXPECT_EQ(message["id"], 7);
  EXPECT_EQ(message["return"]["x"].size(), 3u);
}

TEST(Message, RefusesWhatIsNoObject)
{
  for (const char* line :
       {"", "1", "[]", "\"text\"", "null", "{", "{\"a\":1}x", "{\"a\":\"\xff\"}", "{'a':1}", "nonsense"})
    EXPECT_THROW(parse_message(line), BadMessage) << line;
}

TEST(Message, RefusesDeepNestingWithoutExhaustingTheStack)
{
  EXPECT_NO_THROW(parse_message(nested(max_message_depth - 1)));
  EXPECT_THROW(parse_message(nested(max_message_depth + 1)), BadMessage);
  EXPECT_THROW(parse_message(nested(500'000)), BadMessage);
  EXPECT_THROW(parse_message("{\"a\":" + std::string(1'000'000, '[')), BadMessage);
}

TEST(Message, CarriesFailures)
{
  const Failure sent(Exit::skipped, "starting", "no libvirt", "install it");
  const Failure got = failure_from_json(parse_message(encode(to_json(sent)))["error"]);
  EXPECT_EQ(got.code(), Exit::skipped);
  EXPECT_EQ(got.tried(), "starting");
  EXPECT_EQ(got.found(), "no libvirt");
  EXPECT_EQ(got.advice(), "install it");
}

TEST(Message, TakesAnUnknownExitForALostTarget)
{
  for (const char* text : {R"({"exit":0})", R"({"exit":99})", R"({"exit":"1"})", R"({"tried":5,"found":[]})", "{}"})
    EXPECT_EQ(failure_from_json(Json::parse(text)).code(), Exit::target_lost) << text;
}

TEST(Message, ReadsMembersOfAnyTypeWithoutThrowing)
{
  for (const char* text : {"1", "null", "[]", "{}", R"({"a":1})", R"({"a":null})", R"({"a":[{}]})"}) {
    const Json json = Json::parse(text);
    EXPECT_EQ(text_at(json, "a"), "") << text;
    EXPECT_TRUE(object_at(json, "a").empty()) << text;
  }
  EXPECT_EQ(text_at(Json{{"a", "b"}}, "a"), "b");
}

TEST(Message, ShowsTextOfTheGuestWithoutControlCharacters)
{
  EXPECT_EQ(printable("a\x1b[31mb\r\n\x7f"), "a?[31mb\n?");
  EXPECT_EQ(printable("abcdef", 3), "abc…");
}

}  // namespace
}  // namespace morsel::testvm
