// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every allocation of a scenario fails in turn: each operation reports it or succeeds, nothing is lost or leaked, the
// views stay within the primary, and the same operations then succeed.
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

void expect_mirror(EngineFixture& f, const View& v)
{
  for (u64 o = 0; o < 8 * MiB; o += 4 * KiB)
    if (const auto t = f.translation(v.tree, o)) {
      const auto p = f.primary(o);
      ASSERT_TRUE(p) << o;
      ASSERT_EQ(t->address, p->address) << o;
      ASSERT_TRUE(!t->write || p->write) << o;
    }
}

// Runs everything; operations may fail for lack of memory only.
void scenario(EngineFixture& f, View& v)
{
  auto ok = [](const auto& result) { EXPECT_TRUE(result || result.error() == Error::no_memory); };
  ok(f.populate({0, 2 * MiB}, rights_rw, 1));
  ok(f.populate({4 * MiB, 4 * MiB + 64 * KiB}));
  for (const u64 offset : {u64{0}, 4 * MiB, 4 * MiB + 4 * KiB})
    if (f.primary(offset)) ok(f.fill(v, offset));
  expect_mirror(f, v);
  ok(f.protect({0, 4 * KiB}, right_read));  // splits
  if (f.primary(0)) ok(f.fill(v, 0));
  expect_mirror(f, v);
  auto p = f.platform();
  ok(split(p, f.o.object, {0, 2 * MiB}, 0));
  ok(migrate(p, f.o.object, {0, 16 * KiB}));
  ok(migrate(p, f.o.object, {4 * MiB, 4 * MiB + 64 * KiB}));
  expect_mirror(f, v);
  ok(f.unmap({8 * KiB, 12 * KiB}));
  if (f.primary(4 * KiB)) ok(f.fill(v, 4 * KiB, right_write));
  expect_mirror(f, v);
}

u64 count_allocations()
{
  EngineFixture f(8 * MiB, 2);
  View& v = f.add(FormatId::ept);
  f.machine.faults().add({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL, .nth = ~u64{0}});
  scenario(f, v);
  return f.machine.faults().rules().front().seen;
}

TEST(OutOfMemory, AtAnyAllocationLeavesAConsistentObject)
{
  const u64 allocations = count_allocations();
  ASSERT_GT(allocations, 20u);
  for (u64 nth = 1; nth <= allocations; ++nth) {
    SCOPED_TRACE(testing::Message() << "allocation " << nth);
    EngineFixture f(8 * MiB, 2);
    View& v = f.add(FormatId::ept);
    f.machine.faults().add({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL, .nth = nth});
    scenario(f, v);
    ASSERT_EQ(f.machine.faults().rules().front().fired, 1u);
    EXPECT_EQ(v.tree.pending.value, 0u);
    scenario(f, v);  // the memory is back: now everything can be done
    EXPECT_TRUE(f.primary(0));
    EXPECT_TRUE(f.translation(v.tree, 4 * KiB));
  }
}

// A clone of an object with small and large leaves is written to everywhere, and changed where tables are shared.
void clone_scenario(EngineFixture& f, sim::EmbeddedObject& o)
{
  auto ok = [](const auto& result) { EXPECT_TRUE(result || result.error() == Error::no_memory); };
  sim::EmbeddedPlatform p(f.machine, o);
  if (!o.object.base) ok(clone(p, f.o.object, o.object));
  if (!o.object.base) return;
  for (const u64 offset : {u64{0}, 2 * MiB, 2 * MiB + 4 * KiB}) ok(break_copy(p, o.object, offset));
  ok(unmap(p, o.object, {8 * KiB, 12 * KiB}));
  ok(protect(p, o.object, {3 * MiB, 4 * MiB}, right_read));
  EXPECT_TRUE(f.primary(8 * KiB)) << "the base is whole";
}

TEST(OutOfMemory, OfACloneLeavesBothWhole)
{
  u64 fired = 1;
  for (u64 nth = 1; fired != 0; ++nth) {
    SCOPED_TRACE(testing::Message() << "allocation " << nth);
    EngineFixture f(8 * MiB, 2);
    ASSERT_TRUE(f.populate({0, 64 * KiB}));
    ASSERT_TRUE(f.populate({2 * MiB, 4 * MiB}, rights_rw, 1));
    auto p = f.platform();
    ASSERT_TRUE(freeze(p, f.o.object));
    sim::EmbeddedObject o;
    f.machine.faults().add({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL, .nth = nth});
    clone_scenario(f, o);
    fired = f.machine.faults().rules().front().fired;
    clone_scenario(f, o);  // the memory is back
    ASSERT_TRUE(o.object.base);
    sim::EmbeddedPlatform of_clone(f.machine, o);
    EXPECT_FALSE(f.translation(o.object.primary, 8 * KiB));
    destroy(of_clone, o.object);
    EXPECT_EQ(o.tables, 0u);
    EXPECT_EQ(o.frames, 0u);
    ASSERT_TRUE(fired || nth > 7) << "the scenario allocates tables and frames";
  }
}

TEST(OutOfMemory, AFillThatTookALargeLeafAwayUndoesItsReservation)
{
  EngineFixture f(8 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, right_read, 1));
  ASSERT_TRUE(f.fill(v, 0));
  ASSERT_EQ(*f.unmap({4 * KiB, 8 * KiB}), 1u);
  ASSERT_TRUE(f.fill(v, 0));
  auto p = f.platform();
  ASSERT_TRUE(invalidate(p, f.o.object, v, {0, 2 * MiB}));
  // A large read-only leaf in the view over a primary that has small writable ones, as a split leaves it.
  const EntryRef upper = walk<EptL4>(p, SyncPoint::load, v.tree, 0, 1).entry;
  *upper.word = EptL4::make_leaf(PhysAddr{align_down(f.primary(0)->address, 2 * MiB)}, 1, {right_read, true, true});
  ASSERT_TRUE(f.protect({8 * KiB, 12 * KiB}, rights_rw));
  *upper.word = EptL4::make_leaf(PhysAddr{align_down(f.primary(0)->address, 2 * MiB)}, 1, {right_read, true, true});
  f.machine.faults().add({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL});
  EXPECT_EQ(f.fill(v, 8 * KiB, right_write).error(), Error::no_memory);
  EXPECT_EQ(*upper.word, 0u);
  EXPECT_TRUE(f.machine.is_dirty(PhysAddr{f.primary(0)->address})) << "the removed leaf's dirty bit is not lost";
  EXPECT_EQ(*f.fill(v, 8 * KiB, right_write), FillOutcome::filled);
}

TEST(OutOfMemory, APopulateOfOnePageInATableThatStandsSaysSo)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 4 * KiB}));
  f.machine.faults().add({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL});
  EXPECT_EQ(f.populate({4 * KiB, 8 * KiB}).error(), Error::no_memory);
  EXPECT_FALSE(f.primary(4 * KiB));
  EXPECT_EQ(*f.populate({4 * KiB, 8 * KiB}), 1u);
}

TEST(OutOfMemory, APopulateKeepsWhatThereWasMemoryFor)
{
  for (const u64 frames : {0u, 1u, 5u}) {
    SCOPED_TRACE(testing::Message() << frames << " frames");
    EngineFixture f(8 * MiB, 1);
    f.machine.faults().add({.point = SyncPoint::alloc, .action = MORSEL_FAULT_FAIL, .nth = 2 + frames});
    EXPECT_EQ(f.populate({12 * KiB, 64 * KiB}).error(), Error::no_memory);  // a table, then the frames
    for (u64 page = 0; page < 16; ++page)
      EXPECT_EQ(f.primary(page * 4 * KiB).has_value(), page >= 3 && page < 3 + frames) << page;
    EXPECT_EQ(f.o.tables, frames ? 2u : 1u);
    EXPECT_EQ(f.o.frames, frames);
  }
}

}  // namespace
}  // namespace morsel::testing_support
