// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/outdated_leaves.hpp"

#include "engine/session/tests/command_lines.hpp"

namespace morsel::session {
namespace {

constexpr u64 page = page_bytes, large = u64{512} * page;

TEST(OutdatedLeaves, ClashWithAnotherFrameUntilAFlushCoversThem)
{
  OutdatedLeaves leaves;
  leaves.taken_out(page, {2 * page, 0x5000, 0, 7});
  leaves.flushed({2 * page, 3 * page});
  leaves.flushed({3 * page, 3 * page});
  const auto clashes = leaves.published(page, {2 * page, 0x6000, 0, 9});
  ASSERT_EQ(clashes.size(), 1u);
  EXPECT_EQ(clashes[0].range, (Range{page, 2 * page}));
  EXPECT_EQ(clashes[0].since, 7u);
  EXPECT_TRUE(leaves.published(page, {2 * page, 0x7000, 0, 11}).empty()) << "told once";
  leaves.taken_out(page, {2 * page, 0x7000, 0, 12});
  leaves.flushed({0, 8 * page});
  EXPECT_EQ(leaves.size(), 0u);
  EXPECT_TRUE(leaves.published(page, {2 * page, 0x8000, 0, 14}).empty());
}

TEST(OutdatedLeaves, TheSameTranslationAgainIsNoOther)
{
  OutdatedLeaves leaves;
  leaves.taken_out(page, {2 * page, 0x5000, 0, 7});
  EXPECT_TRUE(leaves.published(page, {2 * page, 0x5000, 0, 9}).empty());
  EXPECT_EQ(leaves.size(), 0u);
}

TEST(OutdatedLeaves, AnotherSizeClashesAlsoWithTheSameFrames)
{
  OutdatedLeaves leaves;
  leaves.taken_out(0, {large, 0x20'0000, 1, 7});
  leaves.flushed({4 * page, 5 * page});
  EXPECT_EQ(leaves.size(), 2u) << "before it and behind it";
  EXPECT_TRUE(leaves.published(4 * page, {5 * page, 0x9000, 0, 8}).empty());
  const auto clashes = leaves.published(6 * page, {7 * page, 0x20'6000, 0, 9});
  ASSERT_EQ(clashes.size(), 1u);
  EXPECT_EQ(clashes[0].range, (Range{6 * page, 7 * page}));
  EXPECT_EQ(leaves.published(0, {large, 0x20'0000, 1, 10}).size(), 0u) << "what is left of it is the same leaf";
}

TEST(OutdatedLeaves, ALargeLeafClashesWithEachSmallOne)
{
  OutdatedLeaves leaves;
  for (u64 n = 0; n < 3; ++n) leaves.taken_out(n * page, {(n + 1) * page, 0x5000 + n * page, 0, n + 1});
  EXPECT_EQ(leaves.published(0, {large, 0x20'0000, 1, 10}).size(), 3u);
}

class MadeBeforeBroken : public CommandLines {
 protected:
  void SetUp() override
  {
    for (const char* line : {"journal on", "object create o 4M", "object populate o 0..64K", "view add o arm64_stage2",
                             "access o 1 0x1000 read"})
      run(line);
  }
  // Another frame for the page, the old one being somebody else's by now; and its leaf in the view.
  void fill_again()
  {
    run("object populate o 0x20000");
    run("object populate o 0x1000");
    run("access o 1 0x1000 read --no-touch");
  }
};

TEST_F(MadeBeforeBroken, IsToldByVerifyWithTheLeafAndTheLostFlush)
{
  run("inject preset dropped-flush o 1");
  run("object unmap o 0x1000");
  fill_again();
  const Json list = run("verify").facts["violations"];
  ASSERT_EQ(list.size(), 2u) << list;
  const Json& made = list[1];
  EXPECT_EQ(made["invariant"], "I10");
  EXPECT_EQ(made["range"]["start"], 0x1000);
  EXPECT_EQ(made["since"]["point"], "invalidate");
  EXPECT_EQ(made["fault"]["point"], "flush");
  EXPECT_EQ(made["fault"]["rule"], 1);
  run("view drop o 1");
  EXPECT_EQ(run("verify").status, 0);
}

TEST_F(MadeBeforeBroken, IsNotToldOfWhoFlushesBetween)
{
  run("object unmap o 0x1000");
  fill_again();
  EXPECT_EQ(run("verify").status, 0);
}

// Two actors: one has taken the leaf out and not flushed yet, the other one's own flush is lost. The explorer has found
// the schedule.
TEST_F(MadeBeforeBroken, IsToldOfAFillerThatDoesNotFlushForOthers)
{
  run("journal off");
  const Reply live =
      run("replay populate:p0+fill:p0+--+unmap:p0+populate:p0+fill:p0+drop:flush@c@sa8b17c16 --how live");
  EXPECT_NE(live.text.find("here: I10"), std::string::npos) << live.text;
}

}  // namespace
}  // namespace morsel::session
