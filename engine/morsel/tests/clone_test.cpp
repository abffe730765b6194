// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

// A clone on the same machine; destroyed before its base.
struct Clone {
  Clone(EngineFixture& fixture, sim::EmbeddedObject& base) : f(fixture)
  {
    sim::EmbeddedPlatform of_base(f.machine, base);
    EXPECT_TRUE(freeze(of_base, base.object));
    auto p = platform();
    const Status s = clone(p, base.object, o.object);
    EXPECT_TRUE(s) << error_name(s.error());
  }
  ~Clone()
  {
    for (auto& [number, view] : o.views) {
      auto p = platform();
      drop_view(p, o.object, *view);
    }
    o.views.clear();
    auto p = platform();
    destroy(p, o.object);
    EXPECT_EQ(o.tables, 0u);
    EXPECT_EQ(o.frames, 0u);
  }
  Clone(const Clone&) = delete;
  Clone& operator=(const Clone&) = delete;

  sim::EmbeddedPlatform platform() { return {f.machine, o}; }
  std::optional<slow::Translation> at(u64 offset) { return f.translation(o.object.primary, offset); }
  u64& content(u64 offset) { return *f.machine.arena().words(PhysAddr{at(offset)->address}); }
  Expected<BreakOutcome> write(u64 offset, u64 value)
  {
    auto p = platform();
    const auto broken = break_copy(p, o.object, offset);
    if (broken) content(offset) = value;
    return broken;
  }

  EngineFixture& f;
  sim::EmbeddedObject o;
};

TEST(Clone, CostsOneTableAndMapsWhatTheBaseMaps)
{
  EngineFixture f(64 * MiB, 2);
  ASSERT_TRUE(f.populate({0, 16 * MiB}));
  ASSERT_TRUE(f.populate({32 * MiB, 34 * MiB}, right_read | right_exec, 1));
  Clone c(f, f.o);
  EXPECT_EQ(c.o.tables, 1u);
  EXPECT_EQ(c.o.frames, 0u);
  EXPECT_EQ(c.o.object.bytes, 64 * MiB);
  for (const u64 o : {u64{0}, 16 * MiB - 4 * KiB, 32 * MiB, 34 * MiB - 4 * KiB}) {
    ASSERT_TRUE(c.at(o)) << o;
    EXPECT_EQ(c.at(o)->address, f.primary(o)->address);
    EXPECT_FALSE(c.at(o)->write);
  }
  EXPECT_TRUE(c.at(32 * MiB)->exec);
  EXPECT_FALSE(c.at(20 * MiB));
}

TEST(Clone, AWriteCopiesOnePageAndTheTablesOnItsWay)
{
  EngineFixture f(64 * MiB, 2);
  ASSERT_TRUE(f.populate({0, 4 * MiB}));
  *f.machine.arena().words(PhysAddr{f.primary(8 * KiB)->address}) = 41;
  Clone a(f, f.o), b(f, f.o);
  EXPECT_EQ(*a.write(8 * KiB, 42), BreakOutcome::copied);
  EXPECT_EQ(a.o.frames, 1u);
  EXPECT_EQ(a.o.tables, 3u) << "root, PMD and one PTE table";
  EXPECT_EQ(a.content(8 * KiB), 42u);
  EXPECT_EQ(b.content(8 * KiB), 41u);
  EXPECT_TRUE(a.at(8 * KiB)->write);
  EXPECT_FALSE(a.at(12 * KiB)->write);
  EXPECT_EQ(*a.write(8 * KiB, 43), BreakOutcome::writable);
  EXPECT_EQ(*b.write(8 * KiB, 44), BreakOutcome::copied);
  EXPECT_EQ(a.content(8 * KiB), 43u);
}

TEST(Clone, OfALargeLeafCopiesThePageThatIsWritten)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  Clone c(f, f.o);
  EXPECT_EQ(*c.write(1 * MiB, 7), BreakOutcome::copied);
  EXPECT_EQ(c.o.frames, 1u);
  EXPECT_EQ(c.at(0)->address, f.primary(0)->address);
  EXPECT_NE(c.at(1 * MiB)->address, f.primary(1 * MiB)->address);
}

TEST(Clone, TheBaseIsFrozen)
{
  EngineFixture f(4 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_TRUE(f.populate({0, 8 * KiB}));
  ASSERT_TRUE(f.fill(v, 0, right_write));
  Clone c(f, f.o);
  EXPECT_EQ(f.populate({8 * KiB, 12 * KiB}).error(), Error::frozen);
  EXPECT_EQ(f.unmap({0, 4 * KiB}).error(), Error::frozen);
  EXPECT_EQ(f.protect({0, 4 * KiB}, right_read).error(), Error::frozen);
  auto p = f.platform();
  EXPECT_EQ(resize(p, f.o.object, 8 * MiB).error(), Error::frozen);
  EXPECT_EQ(migrate(p, f.o.object, {0, 4 * KiB}).error(), Error::frozen);
  EXPECT_EQ(split(p, f.o.object, {0, 4 * KiB}, 0).error(), Error::frozen);
  EXPECT_EQ(merge(p, f.o.object, {0, 2 * MiB}, 1).error(), Error::frozen);
  EXPECT_EQ(break_copy(p, f.o.object, 0).error(), Error::frozen);
  EXPECT_FALSE(f.translation(v.tree, 0)) << "a view's writable leaf is gone";
  EXPECT_EQ(f.fill(v, 0, right_write).error(), Error::access_denied);
  EXPECT_EQ(*f.fill(v, 0), FillOutcome::filled);
  EXPECT_EQ(f.o.object.primary.pending.value, 0u);
}

TEST(Clone, AViewOfACloneReadsTheBaseAndWritesItsOwnPage)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 16 * KiB}));
  Clone c(f, f.o);
  auto p = c.platform();
  View& v = *(c.o.views[1] = std::make_unique<View>());
  ASSERT_TRUE(add_view(p, c.o.object, v, FormatId::ept, 1));
  ASSERT_EQ(*fill(p, c.o.object, v, 0, right_read), FillOutcome::filled);
  EXPECT_EQ(f.translation(v.tree, 0)->address, f.primary(0)->address);
  EXPECT_EQ(fill(p, c.o.object, v, 0, right_write).error(), Error::access_denied) << "the caller breaks the copy";
  ASSERT_EQ(*break_copy(p, c.o.object, 0), BreakOutcome::copied);
  EXPECT_FALSE(f.translation(v.tree, 0)) << "no walker reads the base's frame any more";
  ASSERT_EQ(*fill(p, c.o.object, v, 0, right_write), FillOutcome::filled);
  EXPECT_EQ(f.translation(v.tree, 0)->address, c.at(0)->address);
}

TEST(Clone, ChangesOfAClonedRangeLeaveTheBaseWhole)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * MiB}));
  Clone c(f, f.o);
  auto p = c.platform();
  EXPECT_EQ(*unmap(p, c.o.object, {0, 2 * MiB}), 512u) << "a whole shared table";
  EXPECT_EQ(*unmap(p, c.o.object, {2 * MiB, 2 * MiB + 4 * KiB}), 1u);
  EXPECT_EQ(*protect(p, c.o.object, {3 * MiB, 3 * MiB + 4 * KiB}, right_read), 1u);
  EXPECT_EQ(break_copy(p, c.o.object, 3 * MiB).error(), Error::access_denied);
  EXPECT_EQ(*protect(p, c.o.object, {3 * MiB, 3 * MiB + 4 * KiB}, rights_rw), 1u);
  EXPECT_FALSE(c.at(3 * MiB)->write) << "still the base's frame";
  EXPECT_EQ(*break_copy(p, c.o.object, 3 * MiB), BreakOutcome::copied);
  EXPECT_EQ(break_copy(p, c.o.object, 0).error(), Error::needs_populate);
  EXPECT_EQ(*populate(p, c.o.object, {0, 4 * KiB}, rights_rw, 0), 1u);
  EXPECT_EQ(*migrate(p, c.o.object, {0, 4 * MiB}), 2u) << "pages of the base stay";
  for (u64 o = 0; o < 4 * MiB; o += 4 * KiB) ASSERT_TRUE(f.primary(o)) << o;
}

TEST(Clone, OfACloneSharesThroughBoth)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * MiB}));
  Clone c(f, f.o);
  ASSERT_TRUE(c.write(0, 5));
  {
    Clone d(f, c.o);
    EXPECT_EQ(c.o.object.clones.value, 1u);
    EXPECT_EQ(d.at(0)->address, c.at(0)->address);
    EXPECT_EQ(d.at(2 * MiB)->address, f.primary(2 * MiB)->address);
    EXPECT_EQ(*d.write(0, 6), BreakOutcome::copied);
    EXPECT_EQ(*d.write(2 * MiB, 7), BreakOutcome::copied);
    EXPECT_EQ(c.content(0), 5u);
    EXPECT_EQ(d.o.frames, 2u);
  }
  EXPECT_EQ(c.o.object.clones.value, 0u);
}

TEST(Clone, OwnsTheTablesThatAProcessAttaches)
{
  EngineFixture f(64 * MiB, 2);
  ASSERT_TRUE(f.populate({0, 8 * MiB}));
  Clone c(f, f.o);
  auto p = c.platform();
  c.o.object.primary.attached.value = 1;
  const Expected<PhysAddr> table = table_to_attach(p, c.o.object, c.o.object.primary, 2 * MiB, 1);
  ASSERT_TRUE(table) << error_name(table.error());
  EXPECT_EQ(c.o.tables, 6u) << "root, PMD and the four PTE tables below it";
  for (u64 i = 0; i < 4; ++i) EXPECT_FALSE(is_shared(p.words(*table)[i])) << i;
  EXPECT_EQ(c.at(2 * MiB)->address, f.primary(2 * MiB)->address) << "the frames are still the base's";
  c.o.object.primary.attached.value = 0;
}

TEST(Clone, NeedsAFrozenBase)
{
  EngineFixture f(4 * MiB, 1);
  auto p = f.platform();
  Object copy;
  EXPECT_EQ(clone(p, f.o.object, copy).error(), Error::invalid);
}

TEST(Send, MovesTheTreeWithoutTouchingAnEntry)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * MiB}));
  View& v = f.add(FormatId::ept);
  auto p = f.platform();
  Object receiver;
  EXPECT_EQ(send(p, f.o.object, receiver).error(), Error::busy) << "a view is listed";
  (void)v;
  f.drop(1);
  const PhysAddr root = f.o.object.primary.root;
  const u64 frame = f.primary(0)->address;
  ASSERT_TRUE(send(p, f.o.object, receiver));
  EXPECT_EQ(receiver.primary.root, root);
  EXPECT_EQ(lookup(p, SyncPoint::load, receiver.primary, 0)->frame.value, frame);
  EXPECT_EQ(f.populate({0, 4 * KiB}).error(), Error::out_of_range);
  EXPECT_EQ(resize(p, f.o.object, 4 * MiB).error(), Error::frozen);
  EXPECT_EQ(send(p, f.o.object, receiver).error(), Error::frozen);
  EXPECT_EQ(*unmap(p, receiver, {0, 4 * KiB}), 1u);
  destroy(p, receiver);
}

// Whoever helps goes on from a word that is not its own, and holds its token as long: here its maker is gone, and
// somebody begins again.
TEST(Clone, ABreakThatHelpedInstallsNothingInAnothersPlace)
{
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * KiB}));
  Clone c(f, f.o);
  const auto begin_only = [&] {
    f.machine.faults().add({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL});
    auto p = c.platform();
    EXPECT_EQ(break_copy(p, c.o.object, 0).error(), Error::busy);
    f.machine.faults().clear();
  };
  begin_only();
  u64 again = 0;
  OvertakenPlatform helper(f.machine, c.o);
  helper.meanwhile = [&](const EntryRef& e, u64 token) {
    EXPECT_EQ(c.o.object.move_tokens[token].value, 1u) << "the helper's";
    const u64 met = *e.word;
    auto p = c.platform();
    cancel_move(p, e, met);
    c.o.last_token = token - 1;
    begin_only();
    again = *e.word;
    EXPECT_TRUE(software::is_moving(again));
    EXPECT_NE(again, met);
  };
  EXPECT_EQ(break_copy(helper, c.o.object, 0).error(), Error::busy);
  ASSERT_NE(again, 0u);
  EXPECT_EQ(holders(c.o.object), 0u);
  EXPECT_EQ(*c.write(0, 7), BreakOutcome::copied);
}

// What it met is over when it holds the token: then it begins for itself.
TEST(Clone, ABreakLooksAgainOnceItHoldsTheTokenOfAnother)
{
  struct Platform : sim::EmbeddedPlatform {
    using EmbeddedPlatform::EmbeddedPlatform;
    void add(SyncPoint at, TreeId tree, Counter& counter, int delta)
    {
      EmbeddedPlatform::add(at, tree, counter, delta);
      if (at == SyncPoint::hold && meanwhile) std::exchange(meanwhile, {})();
    }
    std::function<void()> meanwhile;
  };
  EngineFixture f(4 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * KiB}));
  Clone c(f, f.o);
  f.machine.faults().add({.point = SyncPoint::install, .action = MORSEL_FAULT_FAIL});
  auto gone = c.platform();
  EXPECT_EQ(break_copy(gone, c.o.object, 0).error(), Error::busy);
  f.machine.faults().clear();
  Platform helper(f.machine, c.o);
  helper.meanwhile = [&] {
    auto p = c.platform();
    const Walked w = walk<PrimaryFormat>(p, SyncPoint::find, c.o.object.primary, 0, 0);
    cancel_move(p, w.entry, w.word);
  };
  EXPECT_EQ(*break_copy(helper, c.o.object, 0), BreakOutcome::copied);
  EXPECT_EQ(holders(c.o.object), 0u);
  EXPECT_EQ(c.o.frames, 1u);
}

}  // namespace
}  // namespace morsel::testing_support
