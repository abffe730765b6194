// SPDX-License-Identifier: GPL-2.0-or-later
//
// What trees, diffs and rules say as facts and as text.
#include "engine/session/facts.hpp"

#include <map>

#include "engine/session/commands.hpp"
#include "engine/session/tests/hand_made_trees.hpp"

namespace morsel::session {
namespace {

using TreeFacts = HandMadeTrees;

// Each page with a difference of its own: what is wrong with the view there.
class TreesThatDiffer : public HandMadeTrees {
 protected:
  TreesThatDiffer()
  {
    object_.bytes = 4 * mib2;
    memory_.leaf<EptL4>(13, 1, 0x30000);
    memory_.word(2, 2, 0);
    memory_.word(2, 3, software::make_moving({PhysAddr{0x103000}, rights_rw, 1}));
    memory_.word(13, 4, software::make_reserved(9, software::Stale::no));
    memory_.leaf<Amd64L4>(2, 6, 0x106000, 0, right_read);
    memory_.leaf<EptL4>(13, 6, 0x106000);
    memory_.word(13, 7, 2);  // to be written and not to be read: there is no such entry
    memory_.table<Amd64L4>(1, 1, 3);
    memory_.leaf<Amd64L4>(3, 0, 0x200000);
    memory_.table<EptL4>(12, 1, 1000);  // outside memory
  }
};

TEST_F(TreesThatDiffer, EachRunOfTheDiffSaysWhy)
{
  const Json facts = diff_facts(tree(), 100, true);
  EXPECT_EQ(facts["clean"], false);
  std::map<u64, std::pair<std::string, std::string>> found;
  for (const Json& run : facts["views"][0]["runs"])
    found[run["start"].get<u64>()] = {run["state"].get<std::string>(), run["why"].get<std::string>()};
  const std::map<u64, std::pair<std::string, std::string>> expected{
      {0x1000, {"frame", "the view maps frame 0x30000, the primary frame 0x101000"}},
      {0x2000, {"stale", "the view still maps frame 0x102000, the primary maps nothing here"}},
      {0x3000, {"stale", "the view still maps frame 0x103000, the primary has a moving entry"}},
      {0x4000, {"reserved", "a fill is under way"}},
      {0x5000, {"unfilled", "the view has not been asked for it yet"}},
      {0x6000, {"rights", "the view allows rw-, the primary r--"}},
      {0x7000, {"format", "the view's entry is malformed"}},
      {mib2, {"format", "the view's table cannot be read"}},
  };
  EXPECT_EQ(found, expected);
}

TEST_F(TreesThatDiffer, WhatIsMerelyBehindIsLeftOutUnlessAskedFor)
{
  for (const Json& run : diff_facts(tree(), 100, false)["views"][0]["runs"]) {
    EXPECT_NE(run["state"], "reserved");
    EXPECT_NE(run["state"], "unfilled");
  }
}

TEST_F(TreesThatDiffer, TheTextSaysWhatCannotBeRead)
{
  const std::string diff = render_diff(diff_facts(tree(), 100, false), {});
  EXPECT_NE(diff.find("primary: pte leaf 0x200000 rw-"), std::string::npos) << diff;
  EXPECT_NE(diff.find("view:    (table unreadable)"), std::string::npos) << diff;
  EXPECT_NE(diff.find("view 1: table outside memory at pmd 0x200000, entry 0x"), std::string::npos) << diff;
  EXPECT_EQ(diff.find("more anomalies"), std::string::npos) << diff;
  const std::string tree_text = render_tree(tree_facts(tree(), {}), {});
  EXPECT_NE(tree_text.find("(table unreadable)"), std::string::npos) << tree_text;
  EXPECT_NE(tree_text.find("view 1 ept: table outside memory"), std::string::npos) << tree_text;
}

TEST_F(TreeFacts, ATextNamesSomeAnomaliesAndCountsTheOthers)
{
  object_.bytes = 64 * mib2;
  for (u32 n = 1; n <= 23; ++n) memory_.table<EptL4>(12, n, 1000 + n);
  const Json facts = diff_facts(tree(), 100, false);
  EXPECT_EQ(facts["views"][0]["anomalies"].size(), 23u);
  EXPECT_NE(render_diff(facts, {}).find("view 1: 3 more anomalies\n"), std::string::npos);
}

TEST_F(TreeFacts, AnomaliesThatAreNotKeptAreCounted)
{
  for (u32 n = 1; n <= 5; ++n) memory_.table<EptL4>(12, n, 1000 + n);
  for (u32 n = 1; n <= 7; ++n) memory_.table<Amd64L4>(1, n, 1000 + n);
  object_.bytes = 64 * mib2;
  inspect::SnapshotLimits limits;
  limits.max_anomalies = 2;
  const Json facts = diff_facts(AlignedTree::capture(memory_.memory(), object_, {}, {}, limits), 100, false);
  EXPECT_EQ(facts["primary_anomalies"].size(), 2u);
  const std::string text = render_diff(facts, {});
  EXPECT_NE(text.find("primary: 5 more anomalies\n"), std::string::npos) << text;
  EXPECT_NE(text.find("view 1: 3 more anomalies\n"), std::string::npos) << text;
}

TEST(RuleFacts, TellAllThatARuleIsAbout)
{
  InjectRule rule;
  rule.number = 7;
  rule.point = SyncPoint::publish;
  rule.action = MORSEL_FAULT_DELAY;
  rule.until = SyncPoint::flush;
  rule.tree = TreeId{2};
  rule.object = "a";
  rule.range = Range{0, page_bytes};
  rule.actor = 4;
  rule.interval = 3;
  rule.probability = 50;
  rule.seed = 99;
  rule.bits = 6;
  EXPECT_EQ(rule_facts(rule), Json::parse(R"({"rule":7,"point":"publish","action":"delay","view":"2","object":"a",
    "nth":1,"times":1,"fired":0,"range":{"start":0,"end":4096},"actor":4,"interval":3,"probability":50,"seed":99,
    "until":"flush","bits":"0x6"})"));
}

TEST(RuleFacts, EveryActionHasAName)
{
  const std::pair<morsel_fault_action, const char*> names[] = {
      {MORSEL_FAULT_NONE, "none"},           {MORSEL_FAULT_DROP, "drop"},       {MORSEL_FAULT_FAIL, "fail"},
      {MORSEL_FAULT_DELAY, "delay"},         {MORSEL_FAULT_DUPLICATE, "duplicate"}, {MORSEL_FAULT_CORRUPT, "corrupt"},
      {MORSEL_FAULT_CRASH, "crash"}};
  for (const auto& [action, name] : names) EXPECT_EQ(action_name(action), name);
}

}  // namespace
}  // namespace morsel::session
