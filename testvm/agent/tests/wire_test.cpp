// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/wire.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace morsel::agent {
namespace {

TEST(EncodedObject, IsWhatATreeOfTheSameMembersWouldBe)
{
  constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
  const std::string texts[] = {"", "plain", "a \"quoted\" one", "back\\slash", "line\n", "\x7f", "m\u00fcsli", "\xff"};
  for (const std::string& text : texts) {
    EncodedObject object;
    object.add("number", largest);
    object.add("text", text);
    object.add("list", encode_list({Json(1), Json("two"), Json::object()}));
    const Json same{{"number", largest}, {"text", text}, {"list", {1, "two", Json::object()}}};
    EXPECT_EQ(Json::parse(std::move(object).take().text), Json::parse(encode(same))) << text;
  }
}

TEST(EncodedObject, MayBeEmpty)
{
  EXPECT_EQ(EncodedObject().take().text, "{}");
  EXPECT_EQ(encode_list({}).text, "[]");
}

TEST(EncodedReply, HasAnIdWhereTheRequestHadOne)
{
  EXPECT_EQ(encode_return(Json::object(), 7), "{\"return\":{},\"id\":7}\n");
  EXPECT_EQ(encode_return(Json::object(), "\"x\""), "{\"return\":{},\"id\":\"\\\"x\\\"\"}\n");
  EXPECT_EQ(encode_return(Json::object(), nullptr), "{\"return\":{}}\n");
  const Json refused = Json::parse(encode_return(Json(std::string(max_line_bytes, 'x')), 7));
  EXPECT_EQ(refused["error"]["class"], "EMSGSIZE");
  EXPECT_EQ(refused["id"], 7);
}

}  // namespace
}  // namespace morsel::agent
