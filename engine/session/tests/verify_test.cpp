// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which invariant is broken, where, since when and by which injected fault; and the commands about journal and history.
#include "engine/session/verify.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "engine/session/session.hpp"
#include "engine/session/tests/hand_made_trees.hpp"
#include "engine/session/words.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

class VerifyTest : public testing::Test {
 protected:
  Reply run(const std::string& line) { return session_.execute_line(line); }
  std::string found(const std::string& line)
  {
    try {
      run(line);
    } catch (const Failure& failure) {
      return failure.found();
    }
    return "accepted";
  }
  // An object with an EPT view that has seen four pages.
  void prepare()
  {
    run("object create demo 4M");
    run("object populate demo 0..16K");
    run("view add demo ept");
    for (const std::string offset : {"0", "0x1000", "0x2000", "0x3000"}) run("access demo ept " + offset + " read");
  }

  Session session_{sim::make_embedded_target()};
};

TEST_F(VerifyTest, HoldsOnWhatWorks)
{
  run("journal on");
  prepare();
  EXPECT_FALSE(run("object unmap demo 0x1000").facts.contains("violations"));
  const Reply reply = run("verify");
  EXPECT_EQ(reply.status, 0);
  EXPECT_EQ(reply.facts["views"], 1u);
}

TEST_F(VerifyTest, NamesALostInvalidationWithItsRecordAndRule)
{
  run("journal on");
  prepare();
  run("inject add invalidate drop --view 1");
  const Reply unmap = run("object unmap demo 0x3000");
  ASSERT_TRUE(unmap.facts.contains("violations")) << unmap.text;
  const Json& v = unmap.facts["violations"][0];
  EXPECT_EQ(unmap.facts["violations"].size(), 1u);
  EXPECT_EQ(v["invariant"], "I2");
  EXPECT_EQ(v["view"], 1u);
  EXPECT_EQ(v["state"], "stale");
  EXPECT_EQ(v["range"]["start"], 0x3000u);
  EXPECT_EQ(v["range"]["end"], 0x4000u);
  EXPECT_EQ(v["since"]["point"], "change");
  EXPECT_EQ(v["fault"]["action"], "drop");
  EXPECT_EQ(v["fault"]["point"], "invalidate");
  EXPECT_EQ(v["fault"]["rule"], 1u);
  EXPECT_GT(v["fault"]["record"].get<u64>(), v["since"]["record"].get<u64>());
  EXPECT_NE(unmap.text.find("I2: view 1 (ept) of demo still maps 0x3000..0x4000"), std::string::npos) << unmap.text;

  // Told once by itself, and whenever it is asked for.
  EXPECT_FALSE(run("object populate demo 0x10000").facts.contains("violations"));
  const Reply verify = run("verify demo");
  EXPECT_EQ(verify.status, 1);
  EXPECT_EQ(verify.facts["violations"].size(), 1u);

  // Before the unmap nothing was broken.
  run("goto " + std::to_string(v["since"]["record"].get<u64>() - 1));
  EXPECT_EQ(run("verify").status, 0);
  run("forward");
  EXPECT_EQ(run("verify").status, 1);
}

TEST_F(VerifyTest, TellsARightThatOutlivesItsWithdrawalFromOneThatNeverWas)
{
  run("journal on");
  prepare();
  run("access demo ept 0 write");
  run("inject add invalidate drop --view 1");
  const Json withdrawn = run("object protect demo 0 r").facts["violations"];
  ASSERT_EQ(withdrawn.size(), 1u);
  EXPECT_EQ(withdrawn[0]["invariant"], "I2");
  EXPECT_EQ(withdrawn[0]["state"], "rights");
  run("object populate demo 0x8000");
  run("inject add publish corrupt --bits 0x10000");  // another frame
  const Json wrong = run("access demo ept 0x8000 read").facts["violations"];
  ASSERT_EQ(wrong.size(), 1u);
  EXPECT_EQ(wrong[0]["invariant"], "I1");
  EXPECT_EQ(wrong[0]["state"], "frame");
  EXPECT_EQ(wrong[0]["fault"]["point"], "publish");
}

TEST_F(VerifyTest, LooksWithoutAJournalOnceAFaultWasInjected)
{
  prepare();
  run("inject add invalidate drop --view 1");
  const Json list = run("object unmap demo 0x3000").facts["violations"];
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["invariant"], "I2");
  EXPECT_FALSE(list[0].contains("since"));
}

// It is the one that met the entry.
TEST_F(VerifyTest, ACommandThatFailsTellsWhatItHasBroken)
{
  run("journal on");
  prepare();
  run("object populate demo 0x8000");
  run("inject preset reserved-bit demo ept");
  const std::string what = found("access demo ept 0x8000 read");
  EXPECT_NE(what.find("corrupt table; I1: view 1 (ept) of demo has the entry"), std::string::npos) << what;
  EXPECT_NE(what.find("injected at record"), std::string::npos) << what;
  EXPECT_EQ(what.find('\n'), std::string::npos) << what;
  EXPECT_EQ(found("access demo ept 0x8000 read"), "corrupt table") << "told once";
  EXPECT_FALSE(run("object show demo").facts.contains("violations"));
}

TEST_F(VerifyTest, WaitsUntilNobodyIsInTheMiddle)
{
  run("journal on");
  prepare();
  run("stop");
  EXPECT_FALSE(run("object unmap demo 0x3000").facts.contains("violations"));
  EXPECT_FALSE(run("until invalidate").facts.contains("violations")) << "between the change and its invalidation";
  run("run");
  session_.settle(Milliseconds(10000));
  EXPECT_EQ(run("verify").status, 0);
}

TEST_F(VerifyTest, ThePastIsShownByEveryCommandThatLooks)
{
  run("journal on");
  prepare();
  const Json now = run("tree demo").facts;
  const u64 last = run("journal status").facts["last"].get<u64>();
  run("object unmap demo 0..16K");
  const Reply then = run("goto " + std::to_string(last));
  EXPECT_EQ(then.facts["at"]["record"], last);
  EXPECT_NE(then.text.find("at record " + std::to_string(last)), std::string::npos);
  EXPECT_EQ(run("tree demo").facts["columns"][1]["pages"]["same"], now["columns"][1]["pages"]["same"]);
  EXPECT_EQ(run("walk demo ept 0x1000").status, 0);
  EXPECT_EQ(run("diff demo").facts["views"][0]["pages"]["same"], 4u);
  run("goto start");
  EXPECT_TRUE(run("object list").facts["objects"].empty());
  EXPECT_NE(found("object create other 4M").find("shows the past"), std::string::npos);
  run("goto now");
  EXPECT_EQ(run("walk demo ept 0x1000").status, 1);
  EXPECT_NE(found("forward").find("present"), std::string::npos);
}

TEST_F(VerifyTest, ASavedJournalShowsTheSameInAnotherSession)
{
  const std::string path =
      (std::filesystem::path(testing::TempDir()) / ("verify-" + std::to_string(::getpid()))).string();
  run("journal on");
  prepare();
  const Json tree = run("tree demo").facts["columns"][1]["pages"];
  run("journal save " + path);
  EXPECT_NE(found("journal load " + path).find("under way"), std::string::npos);
  Session other{sim::make_embedded_target()};
  EXPECT_EQ(other.execute_line("journal load " + path).facts["done"], "loaded");
  EXPECT_EQ(other.execute_line("tree demo").facts["columns"][1]["pages"], tree);
  other.execute_line("back 100000");
  EXPECT_TRUE(other.execute_line("object list").facts["objects"].empty());
  other.execute_line("goto now");
  EXPECT_TRUE(other.execute_line("object list").facts["objects"].empty());
  std::filesystem::remove(path);
}

TEST_F(VerifyTest, TheJournalListsWhatIsAskedFor)
{
  run("journal on");
  prepare();
  const Json published = run("journal --point publish --view 1").facts;
  ASSERT_EQ(published["total"], 4u);
  EXPECT_EQ(published["records"][3]["offset"], 0x3000u);
  EXPECT_EQ(published["records"][3]["object"], "demo");
  EXPECT_NE(published["records"][3]["after_text"].get<std::string>().find("leaf"), std::string::npos);
  const u64 one = published["records"][0]["sequence"].get<u64>();
  EXPECT_EQ(run("journal " + std::to_string(one)).facts["total"], 1u);
  EXPECT_EQ(run("journal " + std::to_string(one) + "+3").facts["total"], 3u);
  EXPECT_EQ(run("journal --limit 5").facts["records"].size(), 5u);
  EXPECT_EQ(run("journal --faults").facts["total"], 0u);
  EXPECT_NE(found("journal --object demmo").find("demmo"), std::string::npos);
  run("journal off");
  run("object unmap demo all");
  EXPECT_EQ(run("journal --point publish").facts["total"], 4u);
}

// Text is made from the facts alone.
TEST_F(VerifyTest, TextIsRenderedFromTheFacts)
{
  run("journal on");
  prepare();
  run("inject add invalidate drop --view 1");
  run("object unmap demo 0x3000");
  for (const char* line : {"journal", "journal status", "journal --limit 3", "verify", "journal off", "goto now"}) {
    const std::vector<std::string> words = split_line(line);
    const Reply reply = session_.execute(words);
    const Command& command = session_.table().find(words);
    EXPECT_EQ(command.render(Json::parse(reply.facts.dump()), Style{}), reply.text) << line;
    EXPECT_FALSE(reply.text.empty()) << line;
  }
}

TEST_F(TreesThatDiffer, AreToldWithTheInvariantThatIsBroken)
{
  const Verdict verdict = verify(memory_.memory(), {object_}, {});
  std::map<u64, std::string> found;
  for (const Violation& v : verdict.violations) found[v.range.start] = v.invariant + " " + v.why;
  const std::map<u64, std::string> expected{
      {0x1000, "I1 maps 0x1000..0x2000 → frame 0x30000, the primary frame 0x101000"},
      {0x2000, "I2 still maps 0x2000..0x3000 → frame 0x102000, the primary has nothing there"},
      {0x6000, "I1 allows rw- at 0x6000..0x7000, the primary r--"},
      {0x7000, "I1 has the entry 0x2 at 0x7000..0x8000, which is malformed"},
      {0x8000, "I2 still maps 0x8000..0x9000 → frame 0x108000, the primary has a moving entry there"},
      {mib2, "I1 has a table at 0x200000..0x400000 that cannot be read"},
  };
  EXPECT_EQ(found, expected);
}

TEST_F(HandMadeTrees, ATableOfTwoEntriesWasGivenAwayTooEarly)
{
  memory_.table<EptL4>(12, 1, 13);
  const Verdict verdict = verify(memory_.memory(), {object_}, {});
  ASSERT_EQ(verdict.violations.size(), 1u);
  EXPECT_EQ(verdict.violations[0].invariant, "I3");
  EXPECT_EQ(verdict.violations[0].range.start, mib2);
}

TEST_F(HandMadeTrees, MoreViolationsThanAreListedAreCounted)
{
  constexpr u32 pages = 120;
  for (u32 n = 0; n < pages; ++n) {
    memory_.leaf<EptL4>(13, n, 0x100000 + n * page_bytes);
    memory_.leaf<Amd64L4>(2, n, 0x100000 + n * page_bytes);
    if (n % 2 == 1) memory_.word(2, n, 0);
  }
  const Verdict verdict = verify(memory_.memory(), {object_}, {});
  EXPECT_EQ(verdict.violations.size(), max_violations);
  EXPECT_EQ(verdict.more, pages / 2 - max_violations);
}

}  // namespace
}  // namespace morsel::session
