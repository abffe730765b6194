// SPDX-License-Identifier: GPL-2.0-or-later
//
// A token in a session: the same steps, words and verdict as exploration tells, and the tables as they stood.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <tuple>
#include <fstream>
#include <sstream>

#include "engine/inspect/snapshot.hpp"
#include "engine/session/explored_chronicle.hpp"
#include "engine/session/session.hpp"
#include "engine/session/tests/live_suite.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

constexpr std::string_view race = "populate:p0+fill:p0+--+fill:p0,w+unmap:p0@u42";
constexpr std::string_view lost_invalidation = "populate:p0+fill:p0+--+unmap:p0+drop:invalidate@sa23";

// Those of docs/ingredients.md that are not of persistence.
std::vector<std::string> known_tokens()
{
  const char* const page = std::getenv("MORSEL_INGREDIENTS_PAGE");
  std::ifstream file(page ? page : "docs/ingredients.md");
  std::vector<std::string> tokens;
  for (std::string line; std::getline(file, line);)
    for (std::size_t at = 0; (at = line.find('`', at)) != line.npos;) {
      const std::size_t end = line.find('`', at + 1);
      const std::string word = line.substr(at + 1, end - at - 1);
      const bool is_token = word.find("--+") != word.npos && word.find("@s") != word.npos;
      if (is_token) tokens.push_back(word);
      at = end + 1;
    }
  return tokens;
}

void expect_same_steps(const sim::Replay& told, const ExploredChronicle& made)
{
  const auto records = made.chronicle.journal.records();
  ASSERT_EQ(records.size(), told.steps.size());
  EXPECT_EQ(made.chronicle.history->size(), told.steps.size());
  for (std::size_t i = 0; i < records.size(); ++i) {
    const sim::Step& step = told.steps[i];
    EXPECT_EQ(records[i].sequence, i + 1);
    EXPECT_EQ(records[i].actor_id, sim::actor_of(step.choice) + 1);
    if (!sim::is_buffer(step.choice)) {
      EXPECT_EQ(records[i].point, static_cast<u16>(step.what.point));
    }
    if (!step.what.entry.word) continue;
    EXPECT_EQ(records[i].tree, step.what.entry.tree);
    EXPECT_EQ(records[i].level, step.what.entry.level);
    EXPECT_EQ(records[i].object_offset, step.what.entry.offset);
    EXPECT_EQ(records[i].before, step.before);
    EXPECT_EQ(records[i].after, step.after);
  }
  EXPECT_EQ(made.violation, told.violation);
}

TEST(Replay, TellsEveryKnownTokenStepByStep)
{
  const std::vector<std::string> tokens = known_tokens();
  ASSERT_GT(tokens.size(), 70u);
  for (const std::string& token : tokens) {
    SCOPED_TRACE(token);
    const sim::TokenRun run = sim::parse_token(token);
    const ExploredChronicle made = explore_again(run);
    expect_same_steps(sim::replay(run.scenario, run.schedule), made);
    EXPECT_FALSE(made.violation.empty());
    ASSERT_EQ(made.chronicle.findings.size(), 1u);
    EXPECT_EQ(made.chronicle.findings[0].position, made.chronicle.journal.size());
  }
}

std::vector<u64> words_of(const inspect::PhysicalMemory& memory, const inspect::TreeSource& tree, Range range)
{
  std::vector<u64> words;
  const auto snapshot = inspect::Snapshot::take(memory, tree, range);
  for (u32 t = 0; t < snapshot.table_count(); ++t)
    words.insert(words.end(), snapshot.words(t).begin(), snapshot.words(t).end());
  return words;
}

// One list of words for all trees that the objects have.
std::vector<u64> all_words(const inspect::PhysicalMemory& memory, const std::vector<ObjectState>& objects)
{
  std::vector<u64> all;
  const auto add = [&](const inspect::TreeSource& tree, Range range) {
    const std::vector<u64> words = words_of(memory, tree, range);
    all.insert(all.end(), words.begin(), words.end());
  };
  for (const ObjectState& o : objects) {
    add(o.source(), o.range());
    for (const ViewState& v : o.views) add(v.source(), o.range());
  }
  return all;
}

TEST(Replay, HasTheTablesAsTheyStoodAfterEachStep)
{
  for (const char* const token :
       {"populate:p0+fill:p0+--+fill:p0,w+unmap:p0@u42",
        "view:riscv_sv39x4+view:npt+populate:m0,2M+fill:p0+--+split:m0+fill:p3,w+unmap:p1@p7",
        "view:none+populate:p0+--+add_view:ept+fill:p0+unmap:p0+late:change~read_list@sa6c12b20c4",
        "populate:p0-1+clone+fill:p0+--+break_copy:p0+fill:p0,w@u3",
        "populate:p0+fill:p0,w+write:p0+--+harvest:p0+migrate:p0+fill:p0,w@u11",
        "populate:p0+--+fill:p0+unmap:p0+plain:change@sb12a20b3", "populate:p0+--+fill:p0+unmap:p0+plain:change@u1"}) {
    SCOPED_TRACE(token);
    const sim::TokenRun run = sim::parse_token(token);
    const ExploredChronicle made = explore_again(run);
    History& history = *made.chronicle.history;
    sim::ExploredRun world_run(run.scenario);
    const sim::ExploredMemory& tables = world_run.world().memory;
    const inspect::PhysicalMemory memory(
        {{sim::ExploredMemory::table_memory_start(), sim::ExploredMemory::table_memory_bytes(),
          reinterpret_cast<const std::byte*>(tables.words({sim::ExploredMemory::table_memory_start()}))}});
    std::size_t done = 0;
    std::vector<u64> at_the_beginning;
    sim::replay(world_run, run.schedule,
                {[&](sim::Choice) {
                   if (done != 0) return;
                   history.go_to(0);
                   at_the_beginning = all_words(memory, history.objects());
                   EXPECT_EQ(all_words(history.memory(), history.objects()), at_the_beginning);
                 },
                 [&](const sim::Step&) {
                   history.go_to(++done);
                   ASSERT_EQ(history.objects()[0].root, world_run.world().object().primary.root);
                   EXPECT_EQ(all_words(history.memory(), history.objects()), all_words(memory, history.objects()))
                       << "after step " << done;
                 }});
    EXPECT_EQ(done, history.size());
    history.go_to(0);
    EXPECT_EQ(all_words(history.memory(), history.objects()), at_the_beginning);
  }
}

class ReplayCommand : public testing::Test {
 protected:
  Reply run(const std::string& line) { return session.execute_line(line); }
  Json facts(const std::string& line) { return run(line).facts; }
  Session session{sim::make_embedded_target()};
};

TEST_F(ReplayCommand, ShowsTheEndOfARunAndWalksBack)
{
  const Reply reply = run("replay " + std::string(lost_invalidation));
  EXPECT_EQ(reply.status, 1);
  EXPECT_EQ(reply.facts["holds"], false);
  EXPECT_EQ(reply.facts["records"], 23);
  EXPECT_NE(reply.text.find("actor 1 = a: unmap:p0"), std::string::npos) << reply.text;
  EXPECT_NE(reply.text.find(reply.facts["violation"].get<std::string>()), std::string::npos) << reply.text;
  EXPECT_EQ(reply.facts["at"]["record"], 23);
  EXPECT_EQ(facts("diff replay")["clean"], false);
  EXPECT_EQ(facts("journal --faults")["records"][0]["point"], "invalidate");
  EXPECT_EQ(facts("goto start")["place"]["record"], 0);
  EXPECT_EQ(facts("diff replay")["clean"], true);
  EXPECT_EQ(facts("verify")["holds"], true);
  EXPECT_NE(run("tree replay").text.find("ept"), std::string::npos);
  EXPECT_THROW(run("object populate replay 0..4K"), Failure);
  run("goto now");
  EXPECT_EQ(facts("object list")["objects"].size(), 0u);
}

TEST_F(ReplayCommand, VerifyNamesTheInvariantItsRecordAndTheFault)
{
  run("replay " + std::string(lost_invalidation));
  const Reply verdict = run("verify");
  EXPECT_EQ(verdict.status, 1);
  const Json& list = verdict.facts["violations"];
  const auto found = std::find_if(list.begin(), list.end(), [](const Json& v) { return v["state"] == "found"; });
  ASSERT_NE(found, list.end()) << verdict.text;
  EXPECT_EQ((*found)["invariant"], "I3");
  EXPECT_EQ((*found)["since"]["record"], 23);
  EXPECT_EQ((*found)["fault"]["action"], "drop");
  EXPECT_EQ((*found)["fault"]["point"], "invalidate");
  run("back");
  const Json before = facts("verify");  // what is walked has to outlive the loop
  for (const Json& v : before["violations"]) EXPECT_NE(v["state"], "found") << "it was not yet broken";
}

TEST_F(ReplayCommand, ARunWithoutFaultHolds)
{
  const Reply reply = run("replay " + std::string(race));
  EXPECT_EQ(reply.status, 0) << reply.text;
  EXPECT_EQ(run("verify").status, 0);
  EXPECT_EQ(facts("diff replay")["clean"], true);
}

TEST_F(ReplayCommand, IsSavedWithWhatItFound)
{
  run("replay " + std::string(lost_invalidation));
  const Json verdict = facts("verify")["violations"], records = facts("journal")["records"];
  const std::string path =
      (std::filesystem::path(testing::TempDir()) / ("replay-" + std::to_string(::getpid()))).string();
  run("journal save " + path);
  Session other(sim::make_embedded_target());
  other.execute_line("journal load " + path);
  std::filesystem::remove(path);
  EXPECT_EQ(other.execute_line("verify").facts["violations"], verdict);
  EXPECT_EQ(other.execute_line("journal").facts["records"], records);
}

// ---- by tasks of the machine ----

TEST_F(ReplayCommand, StepsTasksOfThisMachineInTheTokensOrder)
{
  for (const char* const token :
       {"populate:p0+--+fill:p0+unmap:p0@u42", "populate:p0,r+fill:p0+--+fill:p0,w+unmap:p0@sa11b22",
        "populate:m0,2M+--+merge:m0,2M+unmap:p0@u7", "populate:p0+--+migrate:p0+fill:p0@p9",
        "view:npt+view:riscv_sv39+populate:m0,2M+fill:p0+--+split:m0+unmap:p1+fill:p3,v2@u5", "--+fill:p0+fill:p0@u3",
        "view:none+populate:p0+--+add_view:ept+fill:p0+unmap:p0@sa12b9c",
        "populate:p0+fill:p0+--+drop_view+fill:p0@u2", "populate:p0+fill:p0,w+--+write:p0+unmap:p0@u3",
        "populate:p0+fill:p0+--+read:p0+unmap:p0@u9", "populate:p0+fill:p0,w+--+write:p0+protect:p0,r+fill:p0@p3",
        "populate:p0+fill:p0,w+write:p0+--+harvest:p0+unmap:p0@u3"}) {
    SCOPED_TRACE(token);
    const Reply reply = run("replay " + std::string(token) + " --how live");
    EXPECT_EQ(reply.status, 0) << reply.text;
    EXPECT_EQ(reply.facts["how"], "live");
    EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
    EXPECT_EQ(reply.facts["compared"].get<u64>() + reply.facts["aside"].get<u64>() + reply.facts["absent"].get<u64>(),
              sim::replay(sim::parse_token(token).scenario, sim::parse_token(token).schedule).steps.size());
    EXPECT_GT(reply.facts["compared"], reply.facts["aside"]);
    EXPECT_EQ(facts("actors")["stopped"], false);
    EXPECT_TRUE(facts("actors")["actors"].empty());
  }
}

TEST_F(ReplayCommand, EveryScenarioOfTheSmallSuiteIsDoneLiveOrRefusedByName)
{
  const LiveSuite suite = replay_small_suite(session);
  expect_most_to_go(suite, 170);
  const std::set<std::string> refused{"'break_copy", "'freeze", "'invalidate", "'resize", "'walked'", "'same_token'",
                                      "leaves of 1 GiB"};
  for (const auto& refusal : suite.refused) {
    const std::string& word = refusal.first;
    EXPECT_TRUE(std::any_of(refused.begin(), refused.end(), [&](auto& r) { return word.starts_with(r); })) << word;
  }
}

TEST_F(ReplayCommand, AStoreThatIsSeenLateIsTheRulesPoint)
{
  run("replay populate:p0+--+fill:p0+unmap:p0+plain:change@u1");
  u64 late = 0;
  const Json records = facts("journal --limit 1000")["records"];
  for (const Json& r : records) {
    if (r["flags"] != Json::array({"a delayed store is seen"})) continue;
    ++late;
    EXPECT_EQ(r["point"], "change");
  }
  EXPECT_EQ(late, 1u);
}

// The explorer's hardware asks for no fill, and so does the machine's: it accesses what the tables allow.
TEST_F(ReplayCommand, AccessesWhatTheExplorersHardwareAccesses)
{
  for (const char* const token :
       {"populate:p0+fill:p0,w+--+unmap:p0+write:p0@u3", "populate:p0+fill:p0+--+unmap:p0+read:p0@u9",
        "populate:p0+fill:p0+--+unmap:p0+read:p0@sa99b9"}) {
    SCOPED_TRACE(token);
    const Reply reply = run("replay " + std::string(token) + " --how live");
    EXPECT_EQ(reply.status, 0) << reply.text;
    EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
    EXPECT_TRUE(facts("actors")["actors"].empty());
  }
}

TEST_F(ReplayCommand, FollowsAccessesThatThePlanPutsOff)
{
  for (const char* const token :
       {"populate:p0+--+fill:p0+protect:p0,r@u3", "populate:p0+fill:p0+--+unmap:p0+late:flush~leave@sa22",
        "populate:p0+fill:p0+--+unmap:p0+unmap:p0+late:flush~unpend@sa13b19a6",
        "populate:p0+fill:p0,w+write:p0+--+unmap:p0+late:carry~leave@sa24",
        "populate:p0+fill:p0+--+drop_view+unmap:p0+late:flush~unlist@sa2571b13"}) {
    SCOPED_TRACE(token);
    const Reply reply = run("replay " + std::string(token) + " --how live");
    EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
    EXPECT_TRUE(facts("actors")["actors"].empty());
  }
}

TEST_F(ReplayCommand, SaysWhichEntryStandsElsewhereAndWhichCommandFails)
{
  for (const auto& [token, found] :
       {std::pair("view:none+populate:p0+--+add_view:ept+fill:p0+unmap:p0+late:change~read_list@sa6c12b20c4",
                  "a hole entry stands there instead of a leaf one"),
        std::pair("populate:p0+fill:p0+--+drop_view+fill:p0@sa2584b9", "it has ended: access: 'replay' has no view")}) {
    const Reply reply = run("replay " + std::string(token) + " --how live");
    EXPECT_EQ(reply.status, 1);
    EXPECT_NE(reply.text.find(found), std::string::npos) << reply.text;
    EXPECT_TRUE(facts("actors")["actors"].empty()) << "all have gone on";
  }
}

TEST_F(ReplayCommand, AStageThatCannotBeSetKeepsNobodyWaiting)
{
  EXPECT_THROW(run("replay drop_view+populate:p0+fill:p0+--+unmap:p0@u1 --how live"), Failure);
  EXPECT_EQ(facts("actors")["stopped"], false);
  EXPECT_TRUE(facts("actors")["actors"].empty());
}

TEST_F(ReplayCommand, IsForThePresent)
{
  run("journal on");
  run("object create a 4M");
  run("back");
  try {
    run("replay " + std::string(race) + " --how live");
    ADD_FAILURE() << "done";
  } catch (const Failure& failure) {
    EXPECT_NE(failure.advice().find("goto now"), std::string::npos) << failure.what();
  }
}

TEST_F(ReplayCommand, InjectsWhatTheTokenTakesAwayAndSaysWhatBreaks)
{
  for (const std::string& token :
       {std::string(lost_invalidation), std::string("populate:p0+--+unmap:p0+fill:p0+late:change~flush@sa15b16a2b2"),
        std::string("populate:p0+fill:p0+--+unmap:p0+fill:p0+drop:invalidate@a@sa23b")}) {
    SCOPED_TRACE(token);
    const Reply reply = run("replay " + token + " --how live");
    EXPECT_EQ(reply.status, 1);
    EXPECT_TRUE(reply.facts["difference"].is_null()) << reply.text;
    EXPECT_EQ(reply.facts["rules"][0]["fired"], 1);
    ASSERT_FALSE(reply.facts["broken"].empty()) << reply.text;
    EXPECT_EQ(reply.facts["broken"][0]["invariant"], "I2");
    EXPECT_EQ(reply.facts["broken"][0]["fault"]["rule"], reply.facts["rules"][0]["rule"]);
    EXPECT_FALSE(reply.facts.contains("violations")) << "said once";
    EXPECT_EQ(facts("verify")["holds"], false);
    EXPECT_EQ(facts("goto start")["place"]["record"], 0);
    EXPECT_EQ(facts("diff replay")["clean"], true);
    run("goto now");
  }
}

// What no table shows, the journal does.
TEST_F(ReplayCommand, SaysWhatAnOperationOwedAndDidNotDo)
{
  for (const auto& [token, invariant, point] :
       {std::tuple("populate:p0+fill:p0+--+unmap:p0+drop:flush@sa22", "I2", "flush"),
        std::tuple("populate:p0+fill:p0+--+unmap:p0+unmap:p0+late:flush~unpend@sa13b19a6", "I2", "flush"),
        std::tuple("populate:p0+fill:p0,w+--+migrate:p0+late:flush~copy@sa26", "I2", "flush"),
        std::tuple("populate:p0,r+fill:p0+--+fill:p0,w+unmap:p0+drop:flush@a@sa17b18", "I2", "flush"),
        std::tuple("populate:p0,r+fill:p0+--+fill:p0,w+migrate:p0+drop:flush@a@sa17b24", "I2", "flush"),
        std::tuple("populate:p0+fill:p0+write:p0+--+unmap:p0+drop:carry@sa24", "I4", "carry")}) {
    SCOPED_TRACE(token);
    const Reply reply = run("replay " + std::string(token) + " --how live");
    EXPECT_EQ(reply.status, 1);
    ASSERT_EQ(reply.facts["broken"].size(), 1u) << reply.text;
    EXPECT_EQ(reply.facts["broken"][0]["invariant"], invariant);
    EXPECT_EQ(reply.facts["broken"][0]["fault"]["point"], point);
  }
}

// Put off in the explorer, a store to a counter is a step of its own; here it comes at once, and somebody sees it.
TEST_F(ReplayCommand, SaysWhereTheMachineGoesAnotherWay)
{
  const Reply reply = run("replay populate:p0+fill:p0+--+unmap:p0+unmap:p0+late:pend~invalidate@sa14b16a5 --how live");
  EXPECT_EQ(reply.status, 1);
  ASSERT_FALSE(reply.facts["difference"].is_null()) << reply.text;
  EXPECT_EQ(reply.facts["difference"]["step"], 33);
  EXPECT_NE(reply.facts["difference"]["expected"].get<std::string>().find("retire"), std::string::npos) << reply.text;
  EXPECT_NE(reply.facts["difference"]["found"].get<std::string>().find("flush"), std::string::npos) << reply.text;
  EXPECT_TRUE(facts("actors")["actors"].empty()) << "all have gone on";
}

TEST_F(ReplayCommand, NamesWhatOnlyTheExplorerHas)
{
  for (const auto& [token, what] :
       {std::pair("populate:p0+--+fill:p0+unmap:p0+blind:publish@sa17b21a2", "blind:publish"),
        std::pair("populate:p0+fill:p0+invalidate:p0+--+fill:p0+unmap:p0@u1", "invalidate:p0"),
        std::pair("populate:p0+--+fill:p0+resize:p0@u1", "resize:p0"),
        std::pair("view:npt+view:ept+populate:p0+fill:p0+--+harvest:p0+drop:harvest@u1", "of which view"),
        std::pair("walked+populate:p0+--+unmap:p0+unmap:p0@u1", "walked"),
        std::pair("populate:p0+--+fill:p0+unmap:p0+same_token@u1", "same_token"),
        std::pair("populate:p0+fill:p0+--+unmap:p0+unmap:p0+drop:read_pending@sa13b16a6", "read_pending"),
        std::pair("populate:p0+--+fill:p0,rw+unmap:p0@u1", "fill:p0,rw")}) {
    SCOPED_TRACE(token);
    try {
      run("replay " + std::string(token) + " --how live");
      ADD_FAILURE() << "done";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::skipped);
      EXPECT_NE(failure.found().find(what), std::string::npos) << failure.what();
    }
    EXPECT_TRUE(facts("object list")["objects"].empty()) << "nothing was begun";
  }
}

TEST_F(ReplayCommand, WaitsForNobodyElse)
{
  run("object create other 4M");
  run("stop");
  run("object populate other 0..4K");
  EXPECT_THROW(run("replay populate:p0+--+fill:p0+unmap:p0@u42 --how live"), Failure);
  run("run");
  EXPECT_EQ(run("replay populate:p0+--+fill:p0+unmap:p0@u42 --how live").status, 0);
  EXPECT_EQ(facts("object list")["objects"].size(), 2u);
}

TEST_F(ReplayCommand, AViewIsFilledWithoutAnAccess)
{
  run("object create a 4M");
  run("object populate a 0..8K");
  run("view add a ept");
  EXPECT_EQ(facts("access a 1 0 write --no-touch")["outcome"], "filled");
  EXPECT_FALSE(facts("access a 1 0 write --no-touch").contains("value"));
  EXPECT_EQ(facts("access a 1 0 write --no-touch")["outcome"], "hit");
  EXPECT_TRUE(facts("object ranges a --dirty")["runs"].empty());
  EXPECT_EQ(facts("access a 1 0x4000 read --no-touch --no-populate")["outcome"], "denied");
  EXPECT_THROW(run("access a primary 0 read --no-touch"), Failure);
}

TEST_F(ReplayCommand, RefusesWhatIsNoTokenAndDoesNotDisturbARecording)
{
  EXPECT_THROW(run("replay populate:p0"), Failure);
  EXPECT_THROW(run("replay populate:p0+--+frobnicate:p0@u1"), Failure);
  run("journal on");
  EXPECT_THROW(run("replay " + std::string(race)), Failure);
  EXPECT_EQ(facts("journal status")["recording"], true);
}

}  // namespace
}  // namespace morsel::session
