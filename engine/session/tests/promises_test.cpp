// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the journal shows and no table: promises that were not kept; and that who keeps them is not accused.
#include "engine/session/promises.hpp"

#include <random>

#include "engine/session/presets.hpp"
#include "engine/session/tests/command_lines.hpp"
#include "engine/session/tests/preset_cases.hpp"
#include "engine/session/tests/random_history.hpp"
#include "engine/session/tests/record_fixture.hpp"
#include "engine/session/verify.hpp"

namespace morsel::session {
namespace {

TEST(EveryPreset, IsToldByVerifyWithItsPlaceAndItsFault)
{
  ASSERT_EQ(preset_cases.size(), presets().size());
  for (const PresetCase& preset : preset_cases) {
    u32 formats = 0;
    ASSERT_NE(find_preset(preset.preset), nullptr) << preset.preset;
    for (const FormatInfo& format : format_table) {
      Session session{sim::make_embedded_target()};
      session.execute_line("journal on");
      formats += check_preset(session, preset, "demo", std::string(format.name));
    }
    EXPECT_GT(formats, 0u) << preset.preset;
  }
}

class PromisesTest : public CommandLines {
 protected:
  void prepare()
  {
    for (const char* line : {"journal on", "object create o 4M", "object populate o 0..64K", "view add o ept"})
      run(line);
  }
};

TEST_F(PromisesTest, AreTestedWithAnyFormatByChance)
{
  for (u64 seed = first_seed(); seed < first_seed() + 20; ++seed) {
    SCOPED_TRACE("MORSEL_SEED=" + std::to_string(seed));
    const auto target = sim::make_embedded_target(u64{256} << 20);
    RandomOperations operations(*target, seed, 1024);
    Recorder recorder;
    recorder.start(*target);
    for (int n = 0; n < 200; ++n) {
      operations.any();
      if (n % 7 == 0) recorder.sync(*target);
    }
    recorder.stop(*target);
    EXPECT_GT(recorder.chronicle().promises.followed(), 1000u);
    for (const BrokenPromise& b : recorder.chronicle().promises.broken())
      FAIL() << static_cast<int>(b.kind) << " of object " << b.object << " tree " << b.tree << " since " << b.since
             << " broken at " << b.broken;
  }
}

// Several operations at once, each step by chance.
TEST_F(PromisesTest, AreKeptInAnyOrderOfSteps)
{
  prepare();
  for (const char* line : {"view add o arm64_stage2", "view add o amd64", "object populate o 2M..4M --leaf 2M",
                           "access o 2 0x1000 write", "access o 2 0x2000 write"})
    run(line);
  const std::vector<std::string> work{"object unmap o 0..16K",    "access o 1 0x1000 write --value 1",
                                      "object protect o 0..32K r", "access o 2 0x2000 read",
                                      "object migrate o 0..32K",  "access o 3 0x200000 write --value 2",
                                      "object split o 2M..4M",    "object populate o 0..64K",
                                      "object harvest o 0..64K",  "access o 1 0x203000 read",
                                      "access o 2 0x1000 write",  "access o 2 0x2000 write --no-populate",
                                      "object protect o 0..64K rw", "object unmap o 0x203000"};
  std::mt19937_64 random(first_seed());
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE("MORSEL_SEED=" + std::to_string(first_seed()) + ", round " + std::to_string(round));
    run("stop");
    for (int n = 0; n < 4; ++n) try {
        run(work[random() % work.size()]);
      } catch (const Failure&) {  // denied: it is over at once
      }
    for (int n = 0; n < 150; ++n) {
      const std::vector<ActorState> actors = session_.target().stepping()->actors();
      if (actors.empty()) break;
      try {
        run("step " + std::to_string(actors[random() % actors.size()].id));
      } catch (const Failure&) {  // it waits for another one
      }
    }
    run("run");
    session_.settle(Milliseconds(20'000));
    const Reply verdict = run("verify");
    ASSERT_EQ(verdict.status, 0) << verdict.text;
  }
}

TEST_F(PromisesTest, ARunOfPagesIsOneViolation)
{
  prepare();
  for (int page = 0; page < 8; ++page) run("access o ept " + std::to_string(page * 4096) + " read");
  run("inject preset dropped-flush o ept");
  const Json list = run("object unmap o 0..32K").facts["violations"];
  ASSERT_EQ(list.size(), 1u) << list;
  EXPECT_EQ(list[0]["range"]["start"], 0u);
  EXPECT_EQ(list[0]["range"]["end"], 0x8000u);
  EXPECT_EQ(run("verify").text.substr(0, 30), "I2: view 1 (ept) of o was not ");
}

// A mistake has no rule to be blamed: what is owed is asked for, not what was injected.
TEST_F(PromisesTest, AreFollowedByTheRuleAndNotByTheFault)
{
  prepare();
  run("access o ept 0x1000 write");
  run("journal on");
  run("object unmap o 0x1000");
  Recorder& recorder = session_.recorder();
  std::vector<JournalRecord> records(recorder.chronicle().journal.records().begin(),
                                     recorder.chronicle().journal.records().end());
  const auto without = [&](SyncPoint point) {
    Promises promises;
    promises.follow({}, session_.target().objects());
    std::vector<JournalRecord> left;
    for (JournalRecord r : records) {
      if (r.point == static_cast<u16>(point)) r.point = MORSEL_POINT_find;
      left.push_back(r);
    }
    promises.follow(left, session_.target().objects());
    return promises.broken();
  };
  EXPECT_TRUE(without(SyncPoint::find).empty());
  const auto flush = without(SyncPoint::flush), carry = without(SyncPoint::carry);
  ASSERT_EQ(flush.size(), 1u);
  EXPECT_EQ(flush[0].kind, BrokenPromise::Kind::flush);
  EXPECT_FALSE(flush[0].fault);
  ASSERT_EQ(carry.size(), 1u);
  EXPECT_EQ(carry[0].kind, BrokenPromise::Kind::carry);
  // Who was not seen from the beginning, or not without a gap, is not accused.
  records.erase(records.begin() + static_cast<std::ptrdiff_t>(records.size() / 3));
  EXPECT_TRUE(without(SyncPoint::flush).empty());
}

// Of a journal from elsewhere: what it says was done cannot have been.
JournalRecord by_hand(u64 sequence, SyncPoint point, u64 offset, u64 before, u64 after)
{
  JournalRecord r = change(sequence, 0, offset, before, after);
  r.point = static_cast<u16>(point);
  return r;
}

TEST(Promises, OfRangesThatEndBeforeTheyBeginNothingIsKnown)
{
  const std::vector<ObjectState> objects{SmallMachine().state()};
  const auto broken = [&](SyncPoint point, u64 before, u64 after) {
    Promises promises;
    promises.follow({}, objects);
    promises.follow(std::vector{by_hand(1, SyncPoint::enter, 0, 0, 0),
                                by_hand(2, SyncPoint::reserve, 0x1000, leaf(7), leaf(8)),
                                by_hand(3, SyncPoint::invalidate, 0x3000, leaf(9), 0),
                                by_hand(4, point, 0, before, after), by_hand(5, SyncPoint::leave, 0, 0, 0)},
                    objects);
    return promises.broken().size();
  };
  EXPECT_NE(broken(SyncPoint::find, 0, 0), 0u);
  EXPECT_EQ(broken(SyncPoint::flush, 0x2000, 0x1000), 0u);  // a stale one stands in between
  EXPECT_EQ(broken(SyncPoint::flush, ~u64{0}, 0), 0u);
  EXPECT_EQ(broken(SyncPoint::flush, 0x1000, 0x1000), 0u);
  EXPECT_EQ(broken(SyncPoint::carry, ~u64{0} - 0xfff, 0), 0u);
}

TEST(Promises, OfLevelsThatATreeHasNotNothingIsKnown)
{
  const std::vector<ObjectState> objects{SmallMachine().state()};
  for (const SyncPoint met : {SyncPoint::load, SyncPoint::reserve})
    for (const SyncPoint point : {SyncPoint::link, SyncPoint::publish, SyncPoint::undo, SyncPoint::collect}) {
      Promises promises;
      promises.follow({}, objects);
      const u64 stale = software::make_reserved(1, software::Stale::yes);
      const JournalRecord first = by_hand(2, met, 0x1000, met == SyncPoint::load ? stale : leaf(7), 0);
      JournalRecord deep = by_hand(3, point, 0x1000, stale, leaf(7));
      deep.level = 200;
      deep.flags = MORSEL_RECORD_PRIVATE;  // written, whatever the level
      promises.follow(std::vector{by_hand(1, SyncPoint::enter, 0, 0, 0), first, deep}, objects);
      EXPECT_EQ(promises.followed(), 3u);
      EXPECT_TRUE(promises.broken().empty());
    }
}

// Operations by hand on the object of a small machine.
class ByHand {
 public:
  ByHand() { promises.follow({}, objects_); }
  void add(SyncPoint point, u64 offset = 0, u64 before = 0, u64 after = 0, u32 actor = 1)
  {
    JournalRecord r = by_hand(++last_, point, offset, before, after);
    r.actor_id = actor;
    records_.push_back(r);
  }
  const std::vector<BrokenPromise>& broken()
  {
    promises.follow(std::exchange(records_, {}), objects_);
    return promises.broken();
  }
  Promises promises;

 private:
  const std::vector<ObjectState> objects_{SmallMachine().state()};
  std::vector<JournalRecord> records_;
  u64 last_ = 0;
};

TEST(Promises, WhatIsOwedSideBySideIsOneInAnyOrder)
{
  ByHand hand;
  hand.add(SyncPoint::enter);
  for (const u64 page : {0, 2, 1, 4})
    hand.add(SyncPoint::invalidate, page * page_bytes, leaf(100 + page) | PrimaryFormat::dirty_bit, 0);
  hand.add(SyncPoint::leave);
  std::vector<Range> flush, carry;
  for (const BrokenPromise& b : hand.broken())
    (b.kind == BrokenPromise::Kind::flush ? flush : carry).push_back(b.range);
  const std::vector<Range> expected{{0, 3 * page_bytes}, {4 * page_bytes, 5 * page_bytes}};
  EXPECT_EQ(flush, expected);
  EXPECT_EQ(carry, expected);
  EXPECT_EQ(hand.broken()[0].since, 2u);
}

// Only where hardware walks it: then who changes it counts there.
TEST(Promises, OfThePrimaryAFlushIsOwedByWhoCountsThere)
{
  for (const bool counts : {false, true})
    for (const bool flushes : {false, true}) {
      ByHand hand;
      hand.add(SyncPoint::enter);
      if (counts) hand.add(SyncPoint::pend, 0, 0, 1);
      hand.add(SyncPoint::change, 0x1000, leaf(1), 0);
      hand.add(SyncPoint::change, 0x2000, 0, leaf(2));
      if (flushes) hand.add(SyncPoint::flush, 0, 0x1000, 0x2000);
      if (counts) hand.add(SyncPoint::unpend, 0, 1, 0);
      hand.add(SyncPoint::leave);
      std::vector<Range> unflushed;
      for (const BrokenPromise& b : hand.broken()) unflushed.push_back(b.range);
      const std::vector<Range> none, removed{{0x1000, 0x2000}};
      EXPECT_EQ(unflushed, counts && !flushes ? removed : none);
    }
}

TEST(Promises, OfMoreSectionsThanThereIsRoomForNothingIsKnown)
{
  for (const u32 more : {0u, 1u}) {
    ByHand hand;
    hand.add(SyncPoint::enter);
    hand.add(SyncPoint::invalidate, 0, leaf(1), 0);
    for (u32 n = 1; n < Promises::most_sections + more; ++n) hand.add(SyncPoint::enter, 0, 0, 0, 1 + n);
    hand.add(SyncPoint::leave);
    EXPECT_EQ(hand.broken().empty(), more == 1);
  }
}

TEST(Promises, OfMoreDebtsThanThereIsRoomForNothingIsKnown)
{
  for (const std::size_t debts : {Promises::most_held / 8, Promises::most_held}) {
    ByHand hand;
    hand.add(SyncPoint::enter);
    for (std::size_t n = 0; n < debts; ++n) hand.add(SyncPoint::copy, 0, 0, n * page_bytes);
    hand.add(SyncPoint::invalidate, 0, leaf(1), 0);
    hand.add(SyncPoint::leave);
    EXPECT_EQ(hand.broken().empty(), debts == Promises::most_held);
  }
}

TEST(Promises, TheLatestBrokenOnesAreKeptAndTheOthersCounted)
{
  constexpr u64 count = 3 * Promises::most_kept;
  ByHand hand;
  hand.add(SyncPoint::enter);
  for (u64 n = 0; n < count; ++n) hand.add(SyncPoint::install, n * page_bytes, 0, leaf(n + 1));
  EXPECT_LE(hand.broken().size(), Promises::most_kept);
  EXPECT_EQ(hand.broken().size() + hand.promises.dropped(), count);
  EXPECT_EQ(hand.broken().back().broken, count + 1);
  hand.promises.follow({}, {});
  EXPECT_TRUE(hand.promises.broken().empty());
  EXPECT_EQ(hand.promises.dropped(), 0u) << "the object is gone";
}

// Numbers are used again, also between two looks.
TEST_F(PromisesTest, ANewViewOwesNothingOfADroppedOne)
{
  prepare();
  run("access o ept 0x1000 read");
  run("inject preset dropped-flush o ept");
  run("object unmap o 0x1000");
  Target& target = session_.target();
  for (const FormatId format : {FormatId::ept, FormatId::amd64}) {
    EXPECT_EQ(run("verify").status, format == FormatId::ept ? 1 : 0);
    target.drop_view("o", 1);
    EXPECT_EQ(target.add_view("o", format).number, 1u);
  }
  const Reply verdict = run("verify");
  EXPECT_EQ(verdict.status, 0) << verdict.text;
  run("view drop o 1");
  run("view add o ept");
  EXPECT_EQ(run("verify").status, 0);
  run("object populate o 0x1000");
  run("access o ept 0x1000 read");
  run("inject preset dropped-flush o ept");
  run("object unmap o 0x1000");
  EXPECT_EQ(run("verify").status, 1) << "but what it owes itself";
}

// And by the rule that is there now, not by the one before it.
TEST_F(PromisesTest, ASecondBreachAtTheSamePlaceIsToldLikeTheFirst)
{
  prepare();
  u64 last = 0;
  for (int time = 0; time < 2; ++time) {
    run("object populate o 0x1000");
    run("access o ept 0x1000 read --no-touch");  // with a touch the walker would have no need of the new leaf
    run("inject clear");
    run("inject preset dropped-flush o ept");
    const Reply reply = run("object unmap o 0x1000");
    ASSERT_TRUE(reply.facts.contains("violations")) << time;
    const Json& list = reply.facts["violations"];
    ASSERT_EQ(list.size(), 1u) << list;
    EXPECT_EQ(list[0]["state"], "unflushed");
    EXPECT_TRUE(list[0]["fault"].contains("rule"));
    EXPECT_GT(list[0]["since"]["record"].get<u64>(), last);
    last = list[0]["since"]["record"].get<u64>();
    EXPECT_FALSE(run("object populate o 0x8000").facts.contains("violations")) << "told once";
  }
  const Json both = run("verify").facts["violations"];
  ASSERT_EQ(both.size(), 2u);
  EXPECT_FALSE(both[0]["fault"].contains("rule")) << "it is gone";
  EXPECT_TRUE(both[1]["fault"].contains("rule"));
}

TEST_F(PromisesTest, OldOnesDoNotKeepNewOnesFromBeingTold)
{
  prepare();
  constexpr u64 breaches = max_violations + 3;
  for (u64 n = 0; n < breaches; ++n) {
    run("object populate o 0x1000");
    run("access o ept 0x1000 read --no-touch");  // with a touch the walker would have no need of the new leaf
    run("inject clear");
    run("inject preset dropped-flush o ept");
    ASSERT_TRUE(run("object unmap o 0x1000").facts.contains("violations")) << n;
  }
  const Json facts = run("verify").facts;
  EXPECT_EQ(facts["violations"].size(), max_violations);
  EXPECT_EQ(facts["more"], breaches - max_violations);
}

TEST_F(PromisesTest, AFlushThatComesTooLateIsOneThatWasOwed)
{
  prepare();
  run("access o ept 0x1000 read");
  run("inject add flush delay --until unpend --view 1");
  const Json list = run("object unmap o 0x1000").facts["violations"];
  ASSERT_EQ(list.size(), 1u) << list;
  EXPECT_EQ(list[0]["state"], "unflushed");
}

TEST_F(PromisesTest, ACopyThatNeverHappenedIsTold)
{
  prepare();
  run("inject add copy drop");
  const Json list = run("object migrate o 0x1000").facts["violations"];
  ASSERT_EQ(list.size(), 1u) << list;
  EXPECT_EQ(list[0]["invariant"], "I9");
}

// Also by a walk over what was kept, in the past.
TEST_F(PromisesTest, AreFollowedAnewUpToAPlaceInThePast)
{
  prepare();
  run("access o ept 0x1000 read");
  run("inject preset dropped-flush o ept");
  const u64 before = run("journal status").facts["last"].get<u64>();
  run("object unmap o 0x1000");
  EXPECT_EQ(run("verify").status, 1);
  run("goto " + std::to_string(before));
  EXPECT_EQ(run("verify").status, 0);
  run("goto now");
  EXPECT_EQ(run("verify").status, 1);
  run("view drop o ept");
  EXPECT_EQ(run("verify").status, 0) << "the view is gone, and whoever cached of it";
}

}  // namespace
}  // namespace morsel::session
