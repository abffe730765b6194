// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/command.hpp"

#include <gtest/gtest.h>

#include <set>

#include "engine/session/words.hpp"

namespace morsel::session {
namespace {

ParsedCommand parse(const std::string& line)
{
  static const CommandTable table = session_commands();
  return table.parse(split_line(line));
}

TEST(CommandTable, FindsTheLongestPathAndTypesTheArguments)
{
  const ParsedCommand p = parse("object populate a 0..2M --leaf 2M --rights=rwx");
  EXPECT_EQ(p.command->path, "object populate");
  EXPECT_EQ(p.arguments.text("NAME"), "a");
  EXPECT_EQ(p.arguments.get<Range>("RANGE"), (Range{0, u64{2} << 20}));
  EXPECT_EQ(p.arguments.text("--leaf"), "2M");
  EXPECT_EQ(p.arguments.get<Rights>("--rights"), rights_all);
  EXPECT_FALSE(p.arguments.as_json);
}

TEST(CommandTable, TakesOptionsAnywhere)
{
  const ParsedCommand p = parse("tree --depth 2 --json a --range=4K");
  EXPECT_EQ(p.arguments.number("--depth"), 2u);
  EXPECT_EQ(p.arguments.get<Range>("--range"), (Range{0x1000, 0x2000}));
  EXPECT_TRUE(p.arguments.as_json);
  EXPECT_FALSE(p.arguments.has("--view"));
}

TEST(CommandTable, LeavesTheWordsOfAProgramAlone)
{
  const ParsedCommand p = parse("run sh -c 'exit 3' --json --");
  EXPECT_EQ(p.arguments.get<std::vector<std::string>>("PROGRAM"),
            (std::vector<std::string>{"sh", "-c", "exit 3", "--json", "--"}));
  EXPECT_FALSE(p.arguments.as_json);
}

TEST(CommandTable, TypesFormatsPointsAndLevels)
{
  EXPECT_EQ(parse("view add a ept_l5").arguments.get<FormatId>("FORMAT"), FormatId::ept_l5);
  EXPECT_EQ(parse("inject add invalidate drop").arguments.get<SyncPoint>("POINT"), SyncPoint::invalidate);
  EXPECT_EQ(parse("entry npt pmd 0x83").arguments.get<Level>("LEVEL"), 1);
}

TEST(CommandTable, HasDocumentedRowsWithDistinctPaths)
{
  const CommandTable table = session_commands();
  std::set<std::string_view> paths;
  for (const Command& c : table.commands()) {
    EXPECT_TRUE(paths.insert(c.path).second) << c.path;
    EXPECT_TRUE(c.help.ends_with('.')) << c.path;
    EXPECT_TRUE(c.handler && c.render) << c.path;
    for (std::size_t n = 0; n < c.arguments.size(); ++n) {
      const Argument& a = c.arguments[n];
      EXPECT_FALSE(a.help.empty()) << c.path << " " << a.name;
      EXPECT_EQ(a.kind == ArgumentKind::choice, !a.choices.empty()) << c.path << " " << a.name;
      EXPECT_EQ(a.is_option() && a.kind != ArgumentKind::flag, !a.value.empty()) << c.path << " " << a.name;
      EXPECT_TRUE(a.kind != ArgumentKind::rest || n + 1 == c.arguments.size()) << c.path;
    }
  }
}

struct BadWords {
  const char* line;
  const char* found;   // part of what was found
  const char* advice;  // part of what to do
};

class BadInput : public ::testing::TestWithParam<BadWords> {};

TEST_P(BadInput, IsAnsweredWithWhatWasFoundAndWhatToDo)
{
  try {
    parse(GetParam().line);
    FAIL() << "accepted: " << GetParam().line;
  } catch (const Failure& f) {
    EXPECT_EQ(f.code(), Exit::usage);
    EXPECT_FALSE(f.tried().empty());
    EXPECT_NE(f.found().find(GetParam().found), std::string::npos) << f.found();
    EXPECT_NE(f.advice().find(GetParam().advice), std::string::npos) << f.advice();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadInput,
    ::testing::Values(
        BadWords{"", "no command", "help"}, BadWords{"objct create a 4M", "'objct' is no command", "'object create'"},
        BadWords{"object creat a 4M", "'object creat' is no command", "'object create'"},
        BadWords{"object", "'object' is no command", "object create, object clone, object list"},
        BadWords{"object frobnicate", "no command", "object create, object clone, object list"},
        BadWords{"zzzzzzzzzzzz", "no command", "'help'"}, BadWords{"tre a", "'tre' is no command", "'tree'"},
        BadWords{"tree", "NAME is missing", "tree NAME"}, BadWords{"tree a b", "'b' is one word too many", "tree NAME"},
        BadWords{"tree a --dept 3", "unknown option --dept", "'--depth'"},
        BadWords{"tree a --depth", "--depth lacks its N", "tree NAME"},
        BadWords{"tree a --depth x", "'x' is no number", "4096"},
        BadWords{"tree a --all=1", "--all takes no value", "tree NAME"},
        BadWords{"tree a --fold lke", "'lke' is none of none, step, like", "'like'"},
        BadWords{"tree a --range 8K..4K", "empty range", "half-open"}, BadWords{"tree ''", "empty", ""},
        BadWords{"object create a 4X", "unknown unit", "2M"},
        BadWords{"object create a", "SIZE is missing", "object create NAME SIZE"},
        BadWords{"object protect a 4K q", "no rights", "rwx"},
        BadWords{"object populate a 0..2M --leaf 1G", "'1G' is none of 4K, 2M", "4K"},
        BadWords{"view add a etp", "'etp' is no page-table format", "'ept'"},
        BadWords{"access a 1 0", "read|write|exec is missing", "access NAME VIEW OFFSET"},
        BadWords{"access a 1 0 raed", "'raed' is none of", "'read'"},
        BadWords{"access a 1 -8 read", "'-8' is no number", ""},
        BadWords{"inject add invalidat drop", "'invalidat' is no point", "'invalidate'"},
        BadWords{"inject add invalidate dorp", "'dorp' is none of drop, fail", "'drop'"},
        BadWords{"entry ept 9 0", "'9' is no level", "pml4"}, BadWords{"goto", "PLACE is missing", "goto PLACE"}));

}  // namespace
}  // namespace morsel::session
