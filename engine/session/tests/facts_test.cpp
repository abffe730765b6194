// SPDX-License-Identifier: GPL-2.0-or-later
//
// What trees, diffs and rules say as facts and as text.
#include "engine/session/facts.hpp"

#include <map>
#include <memory>
#include <stdexcept>

#include "engine/session/commands.hpp"
#include "engine/session/facts_actor.hpp"
#include "engine/session/facts_journal.hpp"
#include "engine/session/tests/hand_made_trees.hpp"
#include "engine/session/tests/record_fixture.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {
namespace {

using TreeFacts = HandMadeTrees;

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
      {0x4000, {"reserved", "a fill is under way"}},
      {0x5000, {"unfilled", "the view has not been asked for it yet"}},
      {0x6000, {"rights", "the view allows rw-, the primary r--"}},
      {0x7000, {"format", "the view's entry is malformed"}},
      {0x8000, {"stale", "the view still maps frame 0x108000, the primary has a moving entry"}},
      {mib2, {"format", "the view's table cannot be read"}},
  };
  EXPECT_EQ(found, expected);
}

TEST_F(TreesThatDiffer, WhatIsMerelyBehindIsLeftOutUnlessAskedFor)
{
  const Json facts = diff_facts(tree(), 100, false);
  EXPECT_EQ(facts["views"][0]["runs"].size(), 6u);
  for (const Json& run : facts["views"][0]["runs"]) {
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

TEST_F(TreeFacts, ARunOfScatteredFramesShowsNoAddress)
{
  for (u32 n = 0; n < 8; ++n) memory_.leaf<Amd64L4>(2, n, 0x100000 + (n ^ 1) * page_bytes);
  for (u32 n = 0; n < 4; ++n) memory_.word(13, n, 0);
  const Json facts = tree_facts(tree(), {});
  EXPECT_EQ(facts["rows"][3]["cells"][0]["text"], "leaf (scattered) rw-");
  EXPECT_EQ(facts["rows"][3]["cells"][0]["scattered"], true);
}

TEST(EntryFacts, AReservationHasItsToken)
{
  const u64 word = software::make_reserved(9, software::Stale::yes);
  const Json facts = entry_facts(inspect::decode(*find_format(FormatId::ept), 0, word));
  EXPECT_EQ(facts["kind"], "reserved");
  EXPECT_EQ(facts["token"], 9);
  EXPECT_EQ(facts["stale"], true);
  EXPECT_FALSE(facts.contains("address"));
}

ActorState waiting_actor()
{
  ActorState a;
  a.id = 4;
  a.kind = MORSEL_ACTOR_VCPU;
  a.who = "a guest";
  a.object = "a";
  a.waits = ActorWaits::at_point;
  a.next = {SyncPoint::change, primary_tree, 0, 0x3000, 0, 7};
  return a;
}

TEST(ActorFacts, SayWhereItsInstructionFaulted)
{
  ActorState a = waiting_actor();
  EXPECT_FALSE(actor_facts(a, {}).contains("cpu"));
  a.pid = 71;
  a.cpu = 1;
  a.instruction_pointer = 0x401000;
  a.fault_address = 0x7000;
  const Json facts = actor_facts(a, {});
  EXPECT_EQ(facts["kind"], "vcpu");
  EXPECT_EQ(facts["pid"], 71);
  EXPECT_NE(actor_text(facts, {}).find("  cpu 1  ip 0x401000, faulted at 0x7000"), std::string::npos);
}

// It may have been destroyed meanwhile, or have changed its views.
TEST(ActorFacts, AnObjectThatIsNotKnownHasWordsWithoutMeaning)
{
  const Json facts = actor_facts(waiting_actor(), {});
  EXPECT_FALSE(facts["next"].contains("before_text"));
  EXPECT_NE(actor_text(facts, {}).find("0x0 → 0x7"), std::string::npos) << actor_text(facts, {});
}

TEST(ActorFacts, SayWhoDoesNotWait)
{
  ActorState a = waiting_actor();
  a.waits = ActorWaits::nowhere;
  EXPECT_EQ(actor_text(actor_facts(a, {}), {}), "actor 4  a guest  runs\n");
  a.waits = ActorWaits::finished;
  EXPECT_EQ(actor_text(actor_facts(a, {}), {}), "actor 4  a guest  has finished\n");
}

TEST(FinishedFacts, TellWhatACommandHasThrown)
{
  const auto thrown = [](auto error) { return std::make_exception_ptr(error); };
  const Json facts = finished_facts({{3, "counters", {}, thrown(std::runtime_error("out of something"))},
                                     {4, "tree b", {}, thrown(Failure(Exit::usage, "tree", "there is none"))}});
  EXPECT_EQ(facts[0]["status"], static_cast<int>(Exit::target_lost));
  EXPECT_EQ(facts[0]["facts"]["error"]["found"], "out of something");
  EXPECT_EQ(facts[1]["status"], static_cast<int>(Exit::usage));
  EXPECT_EQ(finished_text(facts, {}),
            "actor 3 has finished 'counters': out of something\n"
            "actor 4 has finished 'tree b': tree: there is none\n");
}

TEST(ActorFacts, EveryKindOfActorHasAName)
{
  const std::pair<int, const char*> kinds[] = {{MORSEL_ACTOR_CALLER, "caller"},
                                               {MORSEL_ACTOR_PROCESS_PRIMARY, "process"},
                                               {MORSEL_ACTOR_PROCESS_VIEW, "process in a view"},
                                               {MORSEL_ACTOR_VCPU, "vcpu"},
                                               {MORSEL_ACTOR_IOMMU, "iommu"},
                                               {MORSEL_ACTOR_RECLAIM, "reclaim"},
                                               {200, "unknown"}};
  for (const auto& [kind, name] : kinds) EXPECT_EQ(actor_kind_name(static_cast<u8>(kind)), name);
}

class RecordFacts : public testing::Test {
 protected:
  Json facts(const JournalRecord& record)
  {
    Chronicle chronicle{"a machine made by hand", Journal{}, nullptr};
    chronicle.history = std::make_unique<History>(machine.memory(), std::vector{machine.state()});
    chronicle.history->append(chronicle.journal.append({{record}, 0, 0}), {machine.state()}, {}, machine.memory());
    return record_facts(chronicle, 0);
  }
  SmallMachine machine;
};

TEST_F(RecordFacts, AStoreIntoATableOfNobodyElseHasAnAddressAndFoundNothing)
{
  JournalRecord record = change(1, 0, 0x3000, SmallMachine::free_page.value, leaf(3));
  record.flags = MORSEL_RECORD_PRIVATE;
  const Json told = facts(record);
  EXPECT_EQ(told["address"], hex(SmallMachine::free_page.value));
  EXPECT_EQ(told["before"], "0x0");
  EXPECT_EQ(told["flags"], Json::array({"private"}));
}

TEST_F(RecordFacts, AViewThatIsNotKnownHasWordsWithoutMeaning)
{
  JournalRecord record = change(1, 0, 0x3000, 0, leaf(3));
  EXPECT_EQ(facts(record)["after_text"], "leaf 0x3000 rw-");
  record.tree = 3;
  EXPECT_EQ(facts(record)["after_text"], std::to_string(leaf(3)));
  record.object_id = 9;
  EXPECT_TRUE(facts(record)["object"].is_null());
}

TEST_F(RecordFacts, WhatIsNoAccessOfAnOperationSaysWhatItIs)
{
  const std::pair<SyncPoint, const char*> asides[] = {{SyncPoint::enter, "its act begins"},
                                                      {SyncPoint::leave, "its act returns"},
                                                      {SyncPoint::flush, "has ended"},
                                                      {SyncPoint::load, "looks around"},
                                                      {SyncPoint::change, "by hardware"}};
  for (const auto& [point, text] : asides) {
    JournalRecord record = change(1, 0, 0x3000, 0, 0);
    record.point = static_cast<u16>(point);
    record.flags = record_aside;
    EXPECT_EQ(facts(record)["flags"], Json::array({text}));
  }
  JournalRecord late = change(1, 0, 0x3000, 0, 0);
  late.flags = record_seen_late;
  EXPECT_EQ(facts(late)["flags"], Json::array({"a delayed store is seen"}));
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
      {MORSEL_FAULT_NONE, "none"},   {MORSEL_FAULT_DROP, "drop"},           {MORSEL_FAULT_FAIL, "fail"},
      {MORSEL_FAULT_DELAY, "delay"}, {MORSEL_FAULT_DUPLICATE, "duplicate"}, {MORSEL_FAULT_CORRUPT, "corrupt"},
      {MORSEL_FAULT_CRASH, "crash"}};
  for (const auto& [action, name] : names) EXPECT_EQ(action_name(action), name);
}

}  // namespace
}  // namespace morsel::session
