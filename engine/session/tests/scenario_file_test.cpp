// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/scenario_file.hpp"

#include <gtest/gtest.h>

#include "engine/session/session.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

class Scenarios : public testing::Test {
 protected:
  Json run(const std::string& text)
  {
    return run_scenario_file(parse_scenario_file("x.morsel", text),
                             [this](std::span<const std::string> words) { return session_.execute(words); });
  }
  // Of each step that was done: y or n.
  std::string verdicts(const std::string& text)
  {
    std::string all;
    const Json facts = run(text);
    for (const Json& step : facts["steps"]) all += step["ok"] == true ? 'y' : 'n';
    return all;
  }
  Session session_{sim::make_embedded_target()};
};

TEST_F(Scenarios, FactsOfTheLastReplyAreCompared)
{
  const std::string made = "object create a 4M\nobject populate a 0..8K\nview add a ept\nobject show a\n";
  EXPECT_EQ(verdicts(made + "expect name == a\nexpect bytes == 4M\nexpect bytes == 4194304\nexpect frames < 3\n"
                            "expect frames >= 2\nexpect views.size == 1\nexpect views.0.format == ept\n"
                            "expect /views/0/view == 1\nexpect frozen == false\nexpect base == null\n"
                            "expect name != b\nexpect root contains 0x\n"),
            std::string(16, 'y'));
  EXPECT_EQ(verdicts(made + "expect name == b\nexpect bytes == 8M\nexpect frames > 2\nexpect views.1.view == 1\n"
                            "expect nothing == 1\nexpect name != a\nexpect name < 3\nexpect root contains 0y\n"),
            "yyyynnnnnnnn");
}

TEST_F(Scenarios, WordsOf64BitsAreNotRounded)
{
  const std::string entry = "entry amd64 pte 0x8000000000001067\n";
  EXPECT_EQ(verdicts(entry + "expect word == 0x8000000000001067\nexpect word == 0x8000000000001066\n"
                             "expect word > 0x8000000000001066\nexpect word <= 0x8000000000001066\n"),
            "yynyn");
}

TEST_F(Scenarios, AStatusOrAFailureMustBeExpected)
{
  const std::string denied = "object create a 4M\naccess a primary 0 read --no-populate\n";
  EXPECT_EQ(verdicts(denied + "object list\n"), "yny");
  EXPECT_EQ(verdicts(denied + "expect status 1\nobject list\n"), "yyyy");
  EXPECT_EQ(verdicts(denied + "expect status 2\n"), "yyn");
  EXPECT_EQ(verdicts("object show b\nobject list\n"), "n");  // the rest would mean something else
  EXPECT_EQ(verdicts("object show b\nexpect failure \"no object 'b'\"\nobject list\n"), "yyy");
  EXPECT_EQ(verdicts("object show b\nexpect failure \"no view\"\nobject list\n"), "yny");
  EXPECT_EQ(verdicts("object list\nexpect failure \"anything\"\n"), "yn");
  EXPECT_EQ(verdicts("frobnicate\n"), "n");
}

TEST_F(Scenarios, FactsCanBeKept)
{
  EXPECT_EQ(verdicts("object create a 4M\nview add a ept\nset V view\nview drop a $V\nexpect view == $V\n"), "yyyyy");
  EXPECT_EQ(verdicts("object create a 4M\nset V nothing\nview drop a $W\n"), "ynn");
}

TEST_F(Scenarios, WhatIsLeftIsTakenAway)
{
  run("object create mine 4M\n");
  EXPECT_TRUE(session_.target().objects().empty());
  session_.execute_line("object create yours 4M");
  const Json facts =
      run("object create a 4M\nobject populate a 0..8K\nobject clone a b\nobject clone b c\n"
          "inject add alloc fail\nobject show nothing\n");
  EXPECT_EQ(facts["ok"], false);
  ASSERT_EQ(session_.target().objects().size(), 1u);
  EXPECT_EQ(session_.target().objects()[0].name, "yours");
  EXPECT_TRUE(session_.target().injected().empty());
}

TEST_F(Scenarios, AnotherTargetsScenarioIsSkipped)
{
  const Json facts = run("# title: Only there\n# target: vm\nobject create a 4M\n");
  EXPECT_EQ(facts["ok"], true);
  EXPECT_EQ(tap_text({{"files", Json::array({facts})}}),
            "TAP version 13\n1..1\n# Only there\nok 1 - x.morsel # SKIP it is for the target vm, and this is "
            "embedded\n");
}

TEST_F(Scenarios, WhatTheTargetLacksSkipsTheRest)
{
  const Json facts = run("object create a 4M\nrun ls\nexpect output == x\n");  // no guest
  EXPECT_EQ(facts["ok"], true);
  EXPECT_TRUE(session_.target().objects().empty());
  const std::string text = tap_text({{"files", Json::array({facts})}});
  EXPECT_NE(text.find("ok 1 - object create a 4M\nok 2 - run ls # SKIP "), std::string::npos) << text;
  EXPECT_NE(text.find("ok 3 - expect output == x # SKIP "), std::string::npos) << text;
}

TEST_F(Scenarios, TheTextIsTap)
{
  const Json first = run("# title: One\nobject create a 4M # small\nexpect name == b\nobject show b\nobject list\n");
  const Json second = run("object list\n");
  const std::string text = tap_text({{"files", {first, second}}});
  EXPECT_NE(text.find("TAP version 13\n1..5\n# One\nok 1 - object create a 4M   small\nnot ok 2 - expect name == b\n"
                      "  ---\n  file: \"x.morsel\"\n  line: 3\n  wanted: \"== b\"\n  found: \"a\"\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("not ok 3 - object show b\n"), std::string::npos);
  EXPECT_EQ(text.find(" 4 - "), std::string::npos);  // was not done, so that the plan does not hold
  EXPECT_NE(text.find("ok 5 - object list\n"), std::string::npos);
}

TEST(ScenarioFile, LinesThatMeanNothingAreRefusedBeforeAnythingIsDone)
{
  for (const char* text :
       {"expect\n", "expect a\n", "expect a ==\n", "expect a === 1\n", "expect a == 1 2\n", "set x a\n", "set X\n",
        "set X a b\n", "tree 'a\n", "", "# nothing\n", "# target: moon\nobject list\n"}) {
    try {
      parse_scenario_file("x.morsel", text);
      ADD_FAILURE() << text;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::usage) << text;
      EXPECT_TRUE(failure.tried().starts_with("x.morsel")) << failure.what();
    }
  }
}

TEST(ScenarioFile, CleansUpOnATargetThatCannotBeStepped)
{
  Session session(std::make_unique<ForwardingTarget>(sim::make_embedded_target()));
  const Json facts = run_scenario_file(parse_scenario_file("x.morsel", "object create a 4M\nobject clone a b\n"),
                                       [&](std::span<const std::string> words) { return session.execute(words); });
  EXPECT_EQ(facts["steps"].size(), 2u);
  EXPECT_TRUE(session.target().objects().empty());
}

}  // namespace
}  // namespace morsel::session
