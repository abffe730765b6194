// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselctl as a program, on the embedded machine: how words, lines, colours and exit statuses behave.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "scripts/morselctl/tests/program.hpp"

namespace morsel::ctl {
namespace {

using Json = nlohmann::json;

std::vector<Json> json_lines(const std::string& text)
{
  std::vector<Json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

Ended lines(const std::string& input, std::vector<std::string> words = {"--embedded"})
{
  return run_morselctl({std::move(words), input, {}, Terminal::no});
}

TEST(Morselctl, RunsCommandsSeparatedBySemicolonsOrDashes)
{
  const Ended e = morselctl(
      {"--embedded", "--json", "object", "create", "a", "4M", ";", "view", "add", "a", "ept", "--", "object", "list"});
  EXPECT_EQ(e.status, 0) << e.errors;
  const std::vector<Json> facts = json_lines(e.output);
  ASSERT_EQ(facts.size(), 3u);
  EXPECT_EQ(facts[2]["objects"][0]["views"][0]["format"], "ept");
}

TEST(Morselctl, ReadsLinesWithComments)
{
  const Ended e = lines("# a life\n\nobject create a 4M   # small\nobject populate a 0..8K\ntree a\n");
  EXPECT_EQ(e.status, 0) << e.errors;
  EXPECT_NE(e.output.find("> object create a 4M\n"), std::string::npos);
  EXPECT_NE(e.output.find("0x0..0x2000 ×2"), std::string::npos) << e.output;
  EXPECT_EQ(lines("object list\n", {"--embedded", "-"}).status, 0);
}

TEST(Morselctl, StopsAtTheFirstFailureAndGivesItsStatus)
{
  const Ended e = lines("object create a 4M\nobject frobnicate a\nobject create b 4M\n");
  EXPECT_EQ(e.status, 2);
  EXPECT_EQ(e.output.find("object create b"), std::string::npos);
  EXPECT_NE(e.errors.find("'object frobnicate' is no command"), std::string::npos) << e.errors;
  EXPECT_EQ(lines("tree 'a\n").status, 2);
}

TEST(Morselctl, GoesOnAfterACheckThatDoesNotHoldAndRemembersIt)
{
  const Ended e =
      lines("object create a 4M\nobject populate a 0..4K --rights r\naccess a primary 0 write\nobject list\n");
  EXPECT_EQ(e.status, 1);
  EXPECT_NE(e.output.find("denied"), std::string::npos);
  EXPECT_NE(e.output.find("> object list"), std::string::npos);
}

TEST(Morselctl, SaysDiffByItsStatus)
{
  const std::string stale =
      "object create a 4M\nobject populate a 0..4K\nview add a ept\naccess a ept 0 read\n"
      "inject add invalidate drop --view 1\nobject unmap a 0\n";
  EXPECT_EQ(lines(stale).status, 0);
  const Ended e = lines(stale + "diff a\n");
  EXPECT_EQ(e.status, 1);
  EXPECT_NE(e.output.find("↻ stale 0x0..0x1000"), std::string::npos) << e.output;
}

TEST(Morselctl, AnswersInJsonEvenForFailures)
{
  const Ended e = lines("object create a 4M\nobject show b\n", {"--embedded", "--json"});
  EXPECT_EQ(e.status, 2);
  const std::vector<Json> facts = json_lines(e.output);
  ASSERT_EQ(facts.size(), 2u);
  EXPECT_EQ(facts[1]["error"]["exit"], 2);
  EXPECT_EQ(e.errors, "");
  const Ended later = morselctl({"--embedded", "object", "list", "--json"});
  EXPECT_EQ(json_lines(later.output).size(), 1u);
}

TEST(Morselctl, LeavesAProgramsWordsAlone)
{
  const Ended e = morselctl({"--embedded", "--json", "run", "true", "--", "object", "list"});
  EXPECT_EQ(e.status, 77);  // no guest; and nothing was split off
  EXPECT_EQ(json_lines(e.output).size(), 1u);
}

TEST(Morselctl, UsesColourOnATerminalOnly)
{
  const std::vector<std::string> words{"--embedded", "object", "create", "a", "4M", ";", "tree", "a"};
  EXPECT_EQ(morselctl(words).output.find('\x1b'), std::string::npos);
  EXPECT_NE(run_morselctl({words, {}, {}, Terminal::yes}).output.find('\x1b'), std::string::npos);
  EXPECT_EQ(run_morselctl({words, {}, {"NO_COLOR=1"}, Terminal::yes}).output.find('\x1b'), std::string::npos);
  EXPECT_EQ(run_morselctl({words, {}, {"TERM=dumb"}, Terminal::yes}).output.find('\x1b'), std::string::npos);
  std::vector<std::string> plain = words;
  plain.insert(plain.begin(), "--no-color");
  EXPECT_EQ(run_morselctl({plain, {}, {}, Terminal::yes}).output.find('\x1b'), std::string::npos);
}

TEST(Morselctl, PromptsAPersonAndGoesOnAfterMistakes)
{
  const Ended e = run_morselctl({{"--embedded"}, "object lst\nobject list\n", {}, Terminal::yes});
  EXPECT_EQ(e.status, 0);
  EXPECT_NE(e.output.find("morsel> "), std::string::npos);
  EXPECT_NE(e.output.find("Did you mean 'object list'?"), std::string::npos) << e.output;
  EXPECT_NE(e.output.find("no objects"), std::string::npos) << e.output;
}

TEST(Morselctl, RefusesWrongOptions)
{
  EXPECT_EQ(morselctl({"--embedded", "--vm", "x", "object", "list"}).status, 2);
  EXPECT_EQ(morselctl({"--embeded", "object", "list"}).status, 2);
  EXPECT_EQ(morselctl({"--vm"}).status, 2);
  EXPECT_EQ(morselctl({"--embedded", "tour", "--kep"}).status, 2);
  for (const char* modules : {"kvm,,msr", "../kvm", "kvm-amd "})
    EXPECT_EQ(morselctl({"vm", "up", "none", "--load", modules}).status, 2) << modules;
  EXPECT_EQ(morselctl({"--help"}).status, 0);
}

TEST(Morselctl, RunsTheTour)
{
  const Ended e = morselctl({"--embedded", "tour"});
  EXPECT_EQ(e.status, 0) << e.output;
  EXPECT_NE(e.output.find("facts of the tour hold"), std::string::npos);
}

TEST(Morselctl, WatchesASessionUntilItEnds)
{
  const std::string name = "watch-" + std::to_string(getpid());
  Running server({{"--embedded", "serve", name}, {}, {}, Terminal::no});
  ASSERT_NE(server.line(), "");
  Running watcher({{"--session", name, "--json", "object", "list", "--watch"}, {}, {}, Terminal::no});
  EXPECT_TRUE(Json::parse(watcher.line())["objects"].empty());
  EXPECT_EQ(morselctl({"--session", name, "object", "create", "a", "4M"}).status, 0);
  EXPECT_EQ(Json::parse(watcher.line())["objects"].size(), 1u);
  EXPECT_EQ(morselctl({"--session", name, "object", "show", "a"}).status, 0);  // changes nothing
  EXPECT_EQ(morselctl({"--session", name, "view", "add", "a", "ept"}).status, 0);
  EXPECT_EQ(Json::parse(watcher.line())["objects"][0]["views"].size(), 1u);
  EXPECT_EQ(morselctl({"session", "end", name}).status, 0);
  const Ended e = watcher.wait();
  EXPECT_EQ(e.status, 125);
  EXPECT_NE(e.output.find("a client ended it"), std::string::npos) << e.output << e.errors;
}

TEST(Morselctl, WatchesRecordsAsTheyAreMade)
{
  const std::string name = "watch-points-" + std::to_string(getpid());
  Running server({{"--embedded", "serve", name}, {}, {}, Terminal::no});
  ASSERT_NE(server.line(), "");
  morselctl({"--session", name, "journal", "on"});
  Running watcher({{"--session", name, "--json", "journal", "status", "--watch"}, {}, {}, Terminal::no});
  EXPECT_EQ(Json::parse(watcher.line())["records"], 0);
  EXPECT_EQ(morselctl({"--session", name, "object", "create", "a", "4M"}).status, 0);
  EXPECT_GT(Json::parse(watcher.line())["records"], 0);
  EXPECT_EQ(morselctl({"session", "end", name}).status, 0);
}

TEST(Morselctl, SaysWhatCannotBeWatched)
{
  const Ended alone = morselctl({"--embedded", "object", "list", "--watch"});
  EXPECT_EQ(alone.status, 2);
  EXPECT_NE(alone.errors.find("serve"), std::string::npos) << alone.errors;
  EXPECT_EQ(morselctl({"--embedded", "object", "create", "a", "4M", "--watch"}).status, 2);
}

TEST(Morselctl, HelpNeedsNoMachine)
{
  EXPECT_EQ(morselctl({"help"}).status, 0);
  EXPECT_EQ(morselctl({"formats"}).status, 0);
  EXPECT_EQ(morselctl({"entry", "ept", "pte", "0x1007"}).status, 0);
}

// The pages are printed by the table of commands and by the formats' fields; a row that changes changes its page.
TEST(Morselctl, PrintsItsPagesOfTheDocumentation)
{
  const char* docs = std::getenv("MORSEL_DOCS");
  ASSERT_NE(docs, nullptr);
  for (const auto& [command, page] : {std::pair("help", "commands.md"), std::pair("formats", "formats.md")}) {
    std::ifstream file(std::string(docs) + "/" + page);
    const std::string written((std::istreambuf_iterator<char>(file)), {});
    const Ended e = morselctl({command, "--markdown"});
    EXPECT_EQ(e.status, 0);
    EXPECT_EQ(written, e.output) << "write it again: morselctl " << command << " --markdown > docs/" << page;
  }
}

}  // namespace
}  // namespace morsel::ctl
