// SPDX-License-Identifier: GPL-2.0-or-later
//
// tlb, and what an access shows of a flush that was lost.
#include "engine/session/tests/command_lines.hpp"
#include "engine/session/tests/forwarding_target.hpp"

namespace morsel::session {
namespace {

class Tlb : public CommandLines {
 protected:
  void SetUp() override
  {
    run("object create o 4M");
    run("object populate o 0..64K");
    run("view add o ept");
  }
  Json first() { return run("tlb o ept").facts["translations"][0]; }
};

TEST_F(Tlb, ShowsWhatWasCachedByAccesses)
{
  EXPECT_EQ(run("tlb o 1").text, "o view 1: 0 pages and 0 pointers to tables are cached\n");
  EXPECT_FALSE(run("access o ept 0x1000 read").facts.contains("cached"));
  const Reply again = run("access o ept 0x1008 read");
  EXPECT_EQ(again.facts["cached"], true);
  EXPECT_NE(again.text.find(", cached)"), std::string::npos) << again.text;
  EXPECT_EQ(first()["offset"], 0x1000);
  EXPECT_EQ(first()["rights"], "rw-");
  EXPECT_EQ(first()["dirty"], false);
  EXPECT_EQ(first()["stale"], false);
  EXPECT_EQ(first()["frame"], first()["tables"]["frame"]);
  run("access o ept 0x1000 write");
  EXPECT_EQ(first()["dirty"], true);
  EXPECT_EQ(run("tlb o 1").facts["tables"][0]["level"], "pte");
  run("object unmap o 0x1000");
  EXPECT_EQ(run("tlb o 1").facts["translations"].size(), 0u);
}

TEST_F(Tlb, ALostFlushLeavesAStaleTranslationThatIsUsed)
{
  run("access o ept 0x1000 write --value 5");
  run("inject preset dropped-flush o ept");
  run("object protect o 0x1000 r");
  EXPECT_EQ(first()["stale"], true);
  EXPECT_NE(run("tlb o 1").text.find("stale: its tables have"), std::string::npos) << run("tlb o 1").text;
  EXPECT_EQ(run("access o ept 0x1000 write --value 6").facts["outcome"], "hit") << "against the primary's rights";
  EXPECT_EQ(run("access o primary 0x1000 read").facts["value"], "0x6");
  EXPECT_EQ(run("verify").status, 0) << "no table shows it";
}

TEST_F(Tlb, AFlushOfAnotherRangeIsAsGoodAsNone)
{
  run("access o ept 0x1000 read");
  run("inject preset wrong-range o ept");
  run("object unmap o 0x1000");
  EXPECT_EQ(first()["stale"], true);
  EXPECT_EQ(run("access o ept 0x1000 read --no-populate").facts["outcome"], "hit");
}

TEST_F(Tlb, AHarvestWithoutItsFlushMissesTheNextWrite)
{
  run("access o ept 0x1000 write");
  run("inject add flush drop --view 1");
  EXPECT_EQ(run("object harvest o all").facts["dirty"].size(), 1u);
  run("access o ept 0x1000 write");
  EXPECT_EQ(run("object harvest o all").facts["dirty"].size(), 0u) << "written, and nobody knows";
}

TEST_F(Tlb, AnIommuThatIsNotToldOfANewLeafGoesOnToFault)
{
  run("view add o vtd_second_stage");
  run("inject add flush drop --view 2 --times 100");
  EXPECT_NE(failure("access o 2 0x1000 read").found().find("the walk still faults"), std::string::npos);
  const Json held = run("tlb o 2").facts["translations"][0];
  EXPECT_EQ(held["absent"], true);
  EXPECT_EQ(held["stale"], true) << "the leaf is there by now";
}

TEST_F(Tlb, ADroppedViewsNumberBeginsWithEmptyCaches)
{
  run("access o ept 0x1000 read");
  run("view drop o 1");
  run("view add o npt");
  EXPECT_EQ(run("tlb o 1").facts["translations"].size(), 0u);
}

TEST_F(Tlb, IsRefusedOfThePrimaryAndInThePast)
{
  EXPECT_NE(failure("tlb o primary").found().find("nothing is cached"), std::string::npos);
  run("journal on");
  run("object unmap o 0x1000");
  run("back");
  EXPECT_NE(failure("tlb o 1").found().find("not recorded"), std::string::npos);
}

// As a target answers whose walkers are hardware.
TEST(TlbOfHardware, IsShownToNobody)
{
  class Closed : public ForwardingTarget {
   public:
    using ForwardingTarget::ForwardingTarget;
    std::optional<WalkerCaches> cached(const std::string&, TreeId) override { return std::nullopt; }
  };
  Session session{std::make_unique<Closed>(sim::make_embedded_target())};
  session.execute_line("object create o 4M");
  session.execute_line("view add o ept");
  try {
    session.execute_line("tlb o 1");
    FAIL();
  } catch (const Failure& f) {
    EXPECT_EQ(f.code(), Exit::skipped);
  }
}

}  // namespace
}  // namespace morsel::session
