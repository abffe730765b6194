// SPDX-License-Identifier: GPL-2.0-or-later
//
// Results as lines, and the program that prints and merges them.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "engine/session/failure.hpp"
#include "engine/sim/explore/report.hpp"
#include "engine/sim/suite.hpp"

namespace morsel::sim {
namespace {

struct Ended {
  std::string output;
  int status;
};

Ended explore(const std::string& words)
{
  const char* const program = std::getenv("MORSEL_EXPLORE");
  if (!program) return {"MORSEL_EXPLORE is not set", -1};
  std::FILE* const pipe = popen((std::string(program) + " " + words + " 2>&1").c_str(), "r");
  std::string output;
  char part[4096];
  while (const std::size_t bytes = std::fread(part, 1, sizeof part, pipe)) output.append(part, bytes);
  return {output, WEXITSTATUS(pclose(pipe))};
}

TEST(ExploreReport, ReadsWhatItWrites)
{
  Line line;
  line.scenario = "a";
  line.how = "every state";
  line.violation = "I2 text";
  line.token = "t@s";
  line.states = 12;
  line.steps = 34;
  line.crashes = 56;
  line.memories = 78;
  line.complete = false;
  const Line again = parse_line(to_json(line));
  EXPECT_EQ(to_json(again), to_json(line));
  EXPECT_THROW((void)parse_line("{\"scenario\": 1}"), session::Failure);
}

TEST(ExploreReport, TellsEachViolationOnce)
{
  Line bad;
  bad.scenario = "a";
  bad.violation = "I2 text";
  bad.steps = 5;
  Totals totals;
  totals.add(bad);
  totals.add(bad);
  Line crashes;
  crashes.crashes = 2;
  crashes.memories = 3;
  totals.add(crashes);
  EXPECT_EQ(totals.lines, 3u);
  EXPECT_EQ(totals.steps, 10u);
  EXPECT_NE(summary(totals).find("2 crashes, 3 memories, 10 steps"), std::string::npos) << summary(totals);
  EXPECT_EQ(totals.violated.size(), 1u);
  EXPECT_FALSE(totals.good());
}

TEST(ExploreProgram, ShardsMergeToTheWhole)
{
  const std::string folder = testing::TempDir();
  std::string files;
  u64 steps = 0;
  for (int shard = 0; shard < 3; ++shard) {
    const Ended part = explore("--json suite races --runs 20 --shard " + std::to_string(shard) + "/3");
    ASSERT_EQ(part.status, 0) << part.output;
    files += " " + folder + "/explored-" + std::to_string(shard);
    std::ofstream(folder + "/explored-" + std::to_string(shard)) << part.output;
    std::istringstream lines(part.output);
    for (std::string line; std::getline(lines, line);) steps += parse_line(line).steps;
  }
  const Ended merged = explore("merge" + files);
  EXPECT_EQ(merged.status, 0);
  EXPECT_NE(merged.output.find(std::to_string(steps) + " steps"), std::string::npos) << merged.output;
  EXPECT_NE(merged.output.find("0 violations, 0 incomplete"), std::string::npos) << merged.output;
}

TEST(ExploreProgram, SharesOutCrashesToo)
{
  u64 crashes = 0;
  std::set<std::string> scenarios_tried;
  for (const char* shard : {"0/2", "1/2"}) {
    const Ended part = explore(std::string("--json crash --suite --shard ") + shard);
    ASSERT_EQ(part.status, 0) << part.output;
    std::istringstream lines(part.output);
    for (std::string text; std::getline(lines, text);) {
      const Line line = parse_line(text);
      EXPECT_EQ(line.how, "every crash");
      EXPECT_GE(line.memories, line.crashes) << text;
      crashes += line.crashes;
      EXPECT_TRUE(scenarios_tried.insert(line.scenario).second) << text;
    }
  }
  EXPECT_EQ(scenarios_tried.size(), scenarios(Suite::crashes).size());
  EXPECT_GT(crashes, 500u);
}

TEST(ExploreProgram, GivesATokenOfACrashThatReplays)
{
  const Ended lawful = explore("crash 'populate:p0 -- unmap:p0' '-- populate:p0'");
  EXPECT_EQ(lawful.status, 0);
  EXPECT_NE(lawful.output.find("populate:p0 -- unmap:p0 (every crash): "), std::string::npos) << lawful.output;
  EXPECT_NE(lawful.output.find("2 explorations"), std::string::npos) << lawful.output;
  const Ended failing = explore("--json crash 'populate:p0 -- unmap:p0 drop:persist'");
  EXPECT_EQ(failing.status, 1);
  const Line line = parse_line(failing.output);
  EXPECT_EQ(line.violation.substr(0, 3), "I6 ");
  const Ended replayed = explore("replay '" + line.token + "'");
  EXPECT_EQ(replayed.status, 1);
  EXPECT_NE(replayed.output.find(line.violation), std::string::npos) << replayed.output;
}

TEST(ExploreProgram, GivesATokenThatReplays)
{
  const Ended failing = explore("--json all 'populate:p0-1 fill:p0 -- fill:p0 unmap:p0 unmap:p0 drop:read_pending'");
  EXPECT_EQ(failing.status, 1);
  const Line line = parse_line(failing.output);
  ASSERT_FALSE(line.token.empty());
  const Ended replayed = explore("replay '" + line.token + "'");
  EXPECT_EQ(replayed.status, 1);
  EXPECT_NE(replayed.output.find(line.violation.substr(0, 3)), std::string::npos) << replayed.output;
}

// Tokens of the page of ingredients, but those cut off there because their run has no end.
std::vector<std::string> tokens_of_the_page()
{
  const char* const page = std::getenv("MORSEL_INGREDIENTS_PAGE");
  std::ifstream file(page ? page : "");
  std::vector<std::string> tokens;
  for (std::string line; std::getline(file, line);) {
    const std::size_t end = line.rfind("` | "), begin = line.rfind('`', end - 1) + 1;
    if (line[0] == '|' && end != line.npos && line.substr(end - 3, 3) != "...")
      tokens.push_back(line.substr(begin, end - begin));
  }
  return tokens;
}

TEST(ExploreProgram, ReplaysEveryTokenOfTheIngredientsPage)
{
  std::size_t crashes = 0;
  const std::vector<std::string> tokens = tokens_of_the_page();
  ASSERT_GT(tokens.size(), 80u);
  for (const std::string& token : tokens) {
    const Ended ended = explore("replay '" + token + "'");
    EXPECT_EQ(ended.status, 1) << token << "\n" << ended.output;
    const bool crash = ended.output.find("the machine stops") != std::string::npos;
    if (crash) {
      ++crashes;
      const bool recovered = ended.output.find("after recovery p0 ") != std::string::npos;
      EXPECT_NE(recovered, ended.output.find("recovery fails: ") != std::string::npos) << ended.output;
      EXPECT_NE(ended.output.find("\nI6 "), std::string::npos) << ended.output;
    }
  }
  EXPECT_EQ(crashes, 8u);
}

TEST(ExploreProgram, RefusesWithAReason)
{
  EXPECT_EQ(explore("all 'populate:p0 -- jump:p0'").status, 2);
  EXPECT_NE(explore("all 'populate:p0 -- jump:p0'").output.find("no such operation"), std::string::npos);
  EXPECT_EQ(explore("suite races --shard 3/3").status, 2);
  EXPECT_EQ(explore("suite all").status, 2);
  EXPECT_EQ(explore("crash").status, 2);
  EXPECT_EQ(explore("crash --suite --shard 2/2").status, 2);
  EXPECT_EQ(explore("crash --suite '-- unmap:p0'").status, 2);
  EXPECT_NE(explore("crash 'populate:p0 -- clone'").output.find("neither frozen nor cloned"), std::string::npos);
  EXPECT_EQ(explore("merge /nonexistent").status, 2);
}

TEST(ExploreProgram, MakesAFailingRunSmall)
{
  const Ended failing = explore("--json all 'populate:p0-1 fill:p0 -- unmap:p0 fill:p1 drop:flush'");
  const Line line = parse_line(failing.output);
  const Ended small = explore("shrink '" + line.token + "'");
  EXPECT_EQ(small.status, 0) << small.output;
  EXPECT_EQ(small.output.substr(0, 2), line.violation.substr(0, 2)) << small.output;
  EXPECT_EQ(small.output.find("fill:p1"), std::string::npos) << small.output;
  const Ended lawful = explore("shrink 'populate:p0+--+unmap:p0@sa'");
  EXPECT_EQ(lawful.status, 2);
  EXPECT_NE(lawful.output.find("this run holds"), std::string::npos) << lawful.output;
}

TEST(ExploreProgram, ListsItsSuites)
{
  const Ended list = explore("list");
  EXPECT_EQ(list.status, 0);
  for (const char* row : {"small  fill_unmap_write_ept", "large  two_views", "races  pte_root  root:pte populate:p0-1",
                          "crashes  migrate_and_fill  populate:p0 -- migrate:p0 fill:p0,w"})
    EXPECT_NE(list.output.find(row), std::string::npos) << row;
}

TEST(ExploreProgram, SpeaksInLinesForPeople)
{
  EXPECT_NE(explore("all 'populate:p0 -- fill:p0'").output.find("(every state): "), std::string::npos);
  EXPECT_NE(explore("all 'populate:p0 -- fill:p0'").output.find(": holds"), std::string::npos);
  const Ended cut = explore("all --states 3 'populate:p0 -- fill:p0 unmap:p0'");
  EXPECT_NE(cut.output.find("not everything was tried"), std::string::npos) << cut.output;
  EXPECT_NE(explore("all 'populate:p0 fill:p0 -- unmap:p0 drop:flush'").output.find("replay "), std::string::npos);
}

}  // namespace
}  // namespace morsel::sim
