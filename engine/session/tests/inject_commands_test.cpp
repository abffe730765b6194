// SPDX-License-Identifier: GPL-2.0-or-later
//
// inject add, preset, list and clear on the embedded machine.
#include "engine/session/tests/command_lines.hpp"

namespace morsel::session {
namespace {

using InjectCommands = CommandLines;

TEST_F(InjectCommands, InjectListsCountsAndClears)
{
  run("object create a 4M");
  run("view add a ept");
  const Reply added = run("inject add invalidate drop --view 1 --nth 2 --times 3");
  EXPECT_EQ(added.facts["rules"][0]["point"], "invalidate");
  EXPECT_EQ(added.facts["rules"][0]["view"], "1");
  EXPECT_EQ(added.facts["rules"][0]["nth"], 2);
  run("inject add alloc fail --view primary");
  run("inject add flush drop");
  const Json rules = run("inject list").facts["rules"];
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_EQ(rules[1]["view"], "primary");
  EXPECT_EQ(rules[1]["action"], "fail");
  EXPECT_EQ(rules[2]["view"], "any");
  EXPECT_EQ(failure("object populate a 0..4K").code(), Exit::usage);  // the allocation fails
  EXPECT_EQ(run("inject list").facts["rules"][1]["fired"], 1);
  EXPECT_TRUE(run("inject clear").facts["rules"].empty());
  EXPECT_EQ(run("object populate a 0..4K").facts["changed_pages"], 1);
}

TEST_F(InjectCommands, ARuleOfOneObjectSparesTheOthers)
{
  for (const char* line : {"object create a 4M", "view add a ept", "object create b 4M", "view add b ept"}) run(line);
  for (const char* line : {"access a ept 0 write", "access b ept 0 write"}) run(line);
  EXPECT_EQ(run("inject preset lost-invalidation a ept").facts["rules"][0]["object"], "a");
  run("object unmap b 0");
  EXPECT_EQ(run("inject list").facts["rules"][0]["fired"], 0);
  run("object unmap a 0");
  EXPECT_EQ(run("inject list").facts["rules"][0]["fired"], 1);
  EXPECT_EQ(run("diff b").status, 0);
  EXPECT_EQ(run("diff a").status, 1);
  run("inject clear");
  EXPECT_EQ(run("inject add alloc fail --object b --view ept").facts["rules"][0]["view"], "1");
  EXPECT_NE(run("inject list").text.find("of view 1 of b"), std::string::npos);
  run("object destroy b");
  EXPECT_NE(run("inject list").text.find("of an object that is gone"), std::string::npos);
  EXPECT_NE(std::string(failure("inject add alloc fail --object none").what()).find("'none'"), std::string::npos);
}

TEST_F(InjectCommands, ARuleSaysAllThatItWaitsFor)
{
  run("object create a 4M");
  run("view add a ept");
  const Reply added =
      run("inject add publish corrupt --bits 6 --view 1 --range 0..8K --actor 3 --interval 2 "
          "--probability 50 --seed 9");
  EXPECT_EQ(added.facts["rules"][0]["actor"], 3);
  const std::string when = "in 0x0..0x2000, actor 3, each 2th, 50 % of seed 9, bits 0x6";
  EXPECT_NE(added.text.find(when), std::string::npos) << added.text;
  EXPECT_NE(run("inject add publish delay --until flush").text.find("until flush"), std::string::npos);
}

TEST_F(InjectCommands, EveryPresetIsARuleForAView)
{
  run("object create a 4M");
  run("view add a ept");
  const Json presets = run("inject presets").facts["presets"];
  for (const Json& preset : presets) {
    const Json rule = run("inject preset " + preset["name"].get<std::string>() + " a ept").facts["rules"][0];
    EXPECT_EQ(rule["point"], preset["point"]);
    EXPECT_EQ(rule["action"], preset["action"]);
    EXPECT_EQ(rule["view"], preset["tree"] == "view" ? "1" : "primary");
    const bool flips = preset["action"] == "corrupt" && preset["point"] != "copy";
    EXPECT_EQ(rule.contains("bits"), flips) << preset;
  }
}

// The leaf that the fault lets be published is what the preset says.
TEST_F(InjectCommands, PresetsSpoilALeafAsTheyPromise)
{
  run("object create a 4M");
  run("view add a ept");
  run("object populate a 0..16K --rights r");
  const std::pair<const char*, const char*> states[] = {
      {"reserved-bit", "format"}, {"rights-widened", "rights"}, {"wrong-frame", "frame"}};
  u64 page = 0;
  for (const auto& [preset, state] : states) {
    run(std::string("inject preset ") + preset + " a ept");
    const std::string offset = std::to_string(page++ * page_bytes);
    run("access a ept " + offset + " read --no-touch");
    const Json runs = run("diff a --range " + offset).facts["views"][0]["runs"];
    ASSERT_EQ(runs.size(), 1u) << preset;
    EXPECT_EQ(runs[0]["state"], state) << preset;
  }
}

TEST_F(InjectCommands, AnInvalidationThatHappensTwiceHarmsNobody)
{
  for (const char* line : {"object create a 4M", "view add a ept", "access a ept 0 write"}) run(line);
  run("inject add invalidate duplicate --view 1");
  EXPECT_EQ(run("object unmap a 0").facts["changed_pages"], 1);
  EXPECT_EQ(run("inject list").facts["rules"][0]["fired"], 1);
  EXPECT_EQ(run("verify").status, 0);
}

// A leaf that may be written and not read is a misconfiguration in EPT only, and AMD64's leaves have no bit that has to
// be zero on every CPU.
TEST_F(InjectCommands, APresetIsRefusedWhereTheFormatHasNoBitForIt)
{
  run("object create a 4M");
  for (const char* format : {"npt", "ept", "ept_no_ad", "riscv_sv39", "vtd_second_stage"})
    run(std::string("view add a ") + format);
  const auto accepted = [&](const std::string& preset, const std::string& view) {
    try {
      run("inject preset " + preset + " a " + view);
      return true;
    } catch (const Failure&) {
      return false;
    }
  };
  for (const char* view : {"ept", "ept_no_ad"}) EXPECT_TRUE(accepted("ept-misconfiguration", view)) << view;
  for (const char* view : {"npt", "riscv_sv39", "vtd_second_stage"})
    EXPECT_FALSE(accepted("ept-misconfiguration", view)) << view;
  for (const char* view : {"ept", "vtd_second_stage"}) EXPECT_TRUE(accepted("reserved-bit", view)) << view;
  EXPECT_FALSE(accepted("reserved-bit", "npt"));
}

}  // namespace
}  // namespace morsel::session
