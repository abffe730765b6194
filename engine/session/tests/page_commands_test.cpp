// SPDX-License-Identifier: GPL-2.0-or-later
//
// split, merge, migrate, harvest, ranges and clone on the embedded machine.
#include "engine/session/tests/command_lines.hpp"

namespace morsel::session {
namespace {

using PageCommands = CommandLines;

TEST_F(PageCommands, SplitAndMergeChangeTheLeavesAndNothingElse)
{
  run("object create a 8M");
  run("object populate a 0..4M --leaf 2M");
  run("access a primary 0x1008 write --value 7");
  const Json tables = run("object show a").facts["tables"];
  EXPECT_EQ(run("object split a 4K").facts["leaf_bytes"], 4096);
  EXPECT_EQ(run("object show a").facts["tables"], tables.get<u64>() + 1);
  EXPECT_EQ(run("access a primary 0x1008 read").facts["value"], "0x7");
  EXPECT_EQ(run("object merge a all").facts["leaves"], 1);
  EXPECT_EQ(run("object merge a all").facts["leaves"], 0);
  EXPECT_EQ(run("object show a").facts["tables"], tables);
  EXPECT_EQ(run("access a primary 0x1008 read").facts["value"], "0x7");
  run("object unmap a 4K");
  EXPECT_EQ(run("object merge a all").facts["leaves"], 0) << "a table with a hole stays";
}

TEST_F(PageCommands, MigrateMovesPagesToOtherFramesWithTheirContents)
{
  run("object create a 4M");
  run("view add a ept");
  run("access a ept 0x2000 write --value 9");
  const std::string before = run("walk a primary 0x2000").facts["target"];
  EXPECT_EQ(run("object migrate a all").facts["changed_pages"], 1);
  EXPECT_NE(run("walk a primary 0x2000").facts["target"], before);
  EXPECT_EQ(run("diff a").status, 0);
  EXPECT_EQ(run("access a ept 0x2000 read").facts["value"], "0x9");
}

TEST_F(PageCommands, HarvestTellsOnceWhatWasWrittenThroughAnyTree)
{
  run("object create a 4M");
  run("object populate a 0..64K");
  run("view add a ept");
  run("view add a npt");
  run("object harvest a all");
  EXPECT_EQ(run("object ranges a --dirty").facts["pages"], 0);
  run("access a ept 0 write");
  run("access a ept 0x1000 write");
  run("access a npt 0x5000 write");
  run("access a npt 0x6000 read");
  run("access a primary 0x9000 write");
  run("access a primary 0xa000 read");
  const Json dirty = Json::parse(R"([{"start":0,"end":8192},{"start":20480,"end":24576},{"start":36864,"end":40960}])");
  EXPECT_EQ(run("object ranges a --dirty").facts["runs"], dirty);
  const Json first = run("object harvest a all").facts;
  EXPECT_EQ(first["dirty"], dirty);
  EXPECT_EQ(first["dirty_pages"], 4);
  EXPECT_EQ(first["accessed"],
            Json::parse(R"([{"start":0,"end":8192},{"start":20480,"end":28672},{"start":36864,"end":45056}])"));
  const Json second = run("object harvest a all").facts;
  EXPECT_EQ(second["dirty_pages"], 0);
  EXPECT_EQ(second["accessed_pages"], 0);
  EXPECT_EQ(run("object ranges a --dirty").facts["pages"], 0);
  run("access a primary 0x9000 write");
  run("access a ept 0x1000 write");
  EXPECT_EQ(run("object harvest a 0..32K").facts["dirty"], Json::parse(R"([{"start":4096,"end":8192}])"));
  EXPECT_EQ(run("object harvest a all").facts["dirty"], Json::parse(R"([{"start":36864,"end":40960}])"));
}

TEST_F(PageCommands, RangesAreRunsOfPagesWithTheSameRights)
{
  run("object create a 8M");
  EXPECT_TRUE(run("object ranges a").facts["runs"].empty());
  run("object populate a 0..16K");
  run("object populate a 2M..4M --leaf 2M");
  run("object protect a 8K r");
  const Reply r = run("object ranges a");
  ASSERT_EQ(r.facts["runs"].size(), 4u);
  EXPECT_EQ(r.facts["runs"][1], Json::parse(R"({"start":8192,"end":12288,"rights":"r--"})"));
  EXPECT_EQ(r.facts["pages"], 4 + 512);
  EXPECT_NE(r.text.find("0x200000..0x400000 (512 pages) rw-"), std::string::npos) << r.text;
  EXPECT_EQ(run("object ranges a 3M..8M").facts["pages"], 256);
}

TEST_F(PageCommands, ACloneCostsOneTableAndCopiesWhatItWrites)
{
  run("object create base 4M");
  run("object populate base 0..8K");
  run("object populate base 2M..4M --leaf 2M");
  run("object protect base 4K r");
  run("access base primary 0 write --value 1");
  const Json clone = run("object clone base copy").facts;
  EXPECT_EQ(clone["tables"], 1);
  EXPECT_EQ(clone["frames"], 0);
  EXPECT_EQ(clone["base"], "base");
  const Json base = run("object show base").facts;
  EXPECT_EQ(base["frozen"], true);
  EXPECT_EQ(base["clones"], 1);
  EXPECT_EQ(run("object ranges copy").facts["runs"], run("object ranges base").facts["runs"]);

  run("view add copy ept");
  EXPECT_EQ(run("access copy ept 0 read").facts["value"], "0x1");
  EXPECT_EQ(run("access copy ept 0 write --no-populate --value 2").facts["outcome"], "denied");
  EXPECT_EQ(run("access copy ept 0 write --value 2").facts["outcome"], "copied");
  EXPECT_EQ(run("access copy ept 0 write --value 3").facts["outcome"], "hit");
  EXPECT_EQ(run("access copy primary 2M write --value 4").facts["outcome"], "copied");
  EXPECT_EQ(run("access copy primary 4K write").facts["outcome"], "denied") << "its holder may not write it";
  EXPECT_EQ(run("object show copy").facts["frames"], 2);
  EXPECT_EQ(run("access base primary 0 read").facts["value"], "0x1");
  EXPECT_EQ(run("access copy primary 0 read").facts["value"], "0x3");
  EXPECT_EQ(run("diff copy").status, 0);

  EXPECT_EQ(run("access base primary 0 write").facts["outcome"], "denied");
  EXPECT_NE(failure("object unmap base 0").found().find("base of clones"), std::string::npos);
  EXPECT_NE(failure("object destroy base").found().find("copy"), std::string::npos);
  run("object clone base second");
  run("object clone copy third");
  EXPECT_EQ(run("access third primary 0 read").facts["value"], "0x3");
  for (const char* name : {"third", "second", "copy", "base"}) run(std::string("object destroy ") + name);
  EXPECT_EQ(run("counters").facts["frames"], 0);
  EXPECT_EQ(run("counters").facts["tables"], 0);
}

}  // namespace
}  // namespace morsel::session
