// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

u64& content(EngineFixture& f, u64 offset)
{
  return *f.machine.arena().words(PhysAddr{f.primary(offset)->address + (offset & (page_bytes - 1))});
}

const u64* lookup_word(EngineFixture& f, u64 offset)
{
  auto p = f.platform();
  return walk<PrimaryFormat>(p, SyncPoint::find, f.o.object.primary, offset, 0).entry.word;
}

Expected<u64> move_all(EngineFixture& f, Range range)
{
  auto p = f.platform();
  return migrate(p, f.o.object, range);
}

TEST(Migrate, GivesEveryPageANewFrameWithTheSameContentAndRights)
{
  EngineFixture f(8 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_TRUE(f.populate({0, 64 * KiB}));
  ASSERT_TRUE(f.populate({2 * MiB, 4 * MiB}, rights_rw, 1));
  ASSERT_TRUE(f.protect({4 * KiB, 8 * KiB}, right_read));
  ASSERT_TRUE(f.fill(v, 4 * KiB));
  ASSERT_TRUE(f.fill(v, 2 * MiB, right_write));
  std::map<u64, u64> before;
  for (const u64 o : {u64{0}, 4 * KiB, 60 * KiB, 2 * MiB, 4 * MiB - 4 * KiB}) {
    content(f, o) = 0x1000 + o;
    before[o] = f.primary(o)->address;
  }
  EXPECT_EQ(*move_all(f, {0, 8 * MiB}), 16u + 512u);
  for (const auto& [o, frame] : before) {
    EXPECT_NE(f.primary(o)->address, frame) << o;
    EXPECT_EQ(content(f, o), 0x1000 + o);
    EXPECT_FALSE(f.translation(v.tree, o)) << "the view must not reach the old frame at " << o;
  }
  EXPECT_FALSE(f.primary(4 * KiB)->write);
  EXPECT_TRUE(f.primary(8 * KiB)->write);
  EXPECT_TRUE(f.machine.is_dirty(PhysAddr{f.primary(0)->address})) << "a new frame starts dirty";
  EXPECT_EQ(*f.fill(v, 4 * KiB), FillOutcome::filled);
  EXPECT_EQ(f.translation(v.tree, 4 * KiB)->address, f.primary(4 * KiB)->address);
}

TEST(Migrate, SplitsALargeLeafThatTheRangeCutsAndLeavesTheRest)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  const u64 first = f.primary(0)->address, second = f.primary(4 * KiB)->address;
  EXPECT_EQ(*move_all(f, {4 * KiB, 8 * KiB}), 1u);
  EXPECT_EQ(f.primary(0)->address, first);
  EXPECT_NE(f.primary(4 * KiB)->address, second);
}

// Somebody takes hold of the frame at 4 KiB, after `late` questions.
struct HoldingPlatform : sim::EmbeddedPlatform {
  HoldingPlatform(EngineFixture& f, u64 frame, u32 after) : EmbeddedPlatform(f.machine, f.o), held(frame), late(after)
  {
  }
  bool is_held(PhysAddr frame, Level) { return frame.value == held && asked++ >= late; }
  u64 held;
  u32 late, asked = 0;
};

TEST(Migrate, LeavesAFrameThatSomebodyElseHoldsWhereItIs)
{
  for (const u32 late : {0u, 1u}) {
    EngineFixture f(4 * MiB, 1);
    View& v = f.add(FormatId::ept);
    ASSERT_TRUE(f.populate({0, 12 * KiB}));
    ASSERT_TRUE(f.fill(v, 4 * KiB, right_write));
    const u64 first = f.primary(0)->address, held = f.primary(4 * KiB)->address, frames = f.o.frames;
    HoldingPlatform p(f, held, late);
    EXPECT_EQ(*migrate(p, f.o.object, {0, 12 * KiB}), 2u);
    EXPECT_EQ(p.asked, late + 1) << "the last time when nobody can reach it";
    EXPECT_NE(f.primary(0)->address, first);
    EXPECT_EQ(f.primary(4 * KiB)->address, held);
    EXPECT_TRUE(f.primary(4 * KiB)->write);
    EXPECT_EQ(f.o.frames, frames);
    EXPECT_EQ(*f.fill(v, 4 * KiB, right_write), FillOutcome::filled);
  }
}

TEST(Migrate, RefusesWhatIsNoRangeOfTheObject)
{
  EngineFixture f(4 * MiB, 1);
  EXPECT_EQ(move_all(f, {0, 8 * MiB}).error(), Error::out_of_range);
  EXPECT_EQ(move_all(f, {1, 4 * KiB}).error(), Error::unaligned);
  EXPECT_EQ(move_all(f, {0, 0}).error(), Error::invalid);
  EXPECT_EQ(*move_all(f, {0, 4 * MiB}), 0u) << "holes are no error";
}

TEST(Migrate, CountsNothingThatALostInstallDidNotMove)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 8 * KiB}));
  const u64 frame = f.primary(0)->address;
  f.machine.faults().add({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL});
  EXPECT_EQ(*move_all(f, {0, 8 * KiB}), 1u);
  f.machine.faults().clear();
  // What a cancelled mover leaves behind is a moving word; whoever comes next puts the leaf back.
  EXPECT_FALSE(f.primary(0));
  ASSERT_TRUE(f.protect({0, 4 * KiB}, right_read));
  EXPECT_EQ(f.primary(0)->address, frame);
}

// A move whose mover never comes back: its frame belongs to the object until somebody ends it.
TEST(Migrate, AMoveThatNeverEndedIsFreedWithItsTable)
{
  for (const bool whole_table : {false, true}) {
    EngineFixture f(4 * MiB, 1);
    ASSERT_TRUE(f.populate({0, 8 * KiB}));
    f.machine.faults().add({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL});
    EXPECT_EQ(*move_all(f, {0, 8 * KiB}), 1u);
    EXPECT_FALSE(f.primary(0));
    if (whole_table) {
      EXPECT_EQ(*f.unmap({0, 2 * MiB}), 2u);
      EXPECT_EQ(f.o.frames, 0u);
      EXPECT_EQ(f.o.tables, 1u) << "the root";
    }
  }  // the fixture looks for leaks
}

TEST(Migrate, ABreakOfACopyPutsAPageBackThatIsMoving)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * KiB}));
  const u64 frame = f.primary(0)->address;
  f.machine.faults().add({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL});
  EXPECT_EQ(*move_all(f, {0, 4 * KiB}), 0u);
  auto p = f.platform();
  EXPECT_EQ(*break_copy(p, f.o.object, 0), BreakOutcome::writable);
  EXPECT_EQ(f.primary(0)->address, frame);
}

// The first mover stops before its install and is overtaken: a fill puts the leaf back, the page is written, and after
// as many moves as a word can count a second one begins, whose word is in the first one's place.
TEST(Migrate, AMoveThatWasOvertakenBy1024OthersInstallsNothing)
{
  EngineFixture f(4 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_TRUE(f.populate({0, 4 * KiB}));
  const u64 frame = f.primary(0)->address;
  u64 second = 0;
  OvertakenPlatform first(f.machine, f.o);
  first.meanwhile = [&](const EntryRef& e, u64 token) {
    EXPECT_EQ(*f.fill(v, 0, right_write), FillOutcome::filled);
    content(f, 0) = 2;
    f.o.last_token = u64{5} * (software::max_moving_token + 1) + token - 1;
    f.machine.faults().add({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL});
    EXPECT_EQ(*move_all(f, {0, 4 * KiB}), 0u);  // goes no further than to its install
    f.machine.faults().clear();
    second = *e.word;
    ASSERT_TRUE(software::is_moving(second));
    EXPECT_NE(software::read_moving(second).token, token) << "somebody holds that one";
  };
  EXPECT_EQ(*migrate(first, f.o.object, {0, 4 * KiB}), 0u);
  EXPECT_EQ(*lookup_word(f, 0), second) << "the second one's word still stands";
  EXPECT_EQ(holders(f.o.object), 0u);
  EXPECT_EQ(*f.fill(v, 0, right_write), FillOutcome::filled);
  EXPECT_EQ(f.primary(0)->address, frame);
  EXPECT_EQ(content(f, 0), 2u);
}

TEST(Migrate, SaysBusyWhenAsManyMovesAreUnderWayAsThereAreTokens)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  ASSERT_TRUE(f.populate({2 * MiB, 2 * MiB + 8 * KiB}));
  for (Counter& token : f.o.object.move_tokens) token.value = 1;
  const u64 frame = f.primary(2 * MiB)->address, frames = f.o.frames;
  EXPECT_EQ(move_all(f, {2 * MiB, 4 * MiB}).error(), Error::busy);
  f.o.object.primary.attached.value = 1;  // the leaf gives way to a table by way of a moving word
  EXPECT_EQ(f.unmap({0, 4 * KiB}).error(), Error::busy);
  EXPECT_EQ(f.primary(2 * MiB)->address, frame);
  EXPECT_TRUE(f.primary(0));
  EXPECT_EQ(f.o.frames, frames);
  EXPECT_EQ(holders(f.o.object), max_moves);
  f.o.object.move_tokens[7].value = 0;
  EXPECT_EQ(*move_all(f, {2 * MiB, 4 * MiB}), 2u) << "one for all";
  EXPECT_EQ(*f.unmap({0, 4 * KiB}), 1u);
  f.o.object.primary.attached.value = 0;
  EXPECT_EQ(f.o.object.move_tokens[7].value, 0u);
}

}  // namespace
}  // namespace morsel::testing_support
