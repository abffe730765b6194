// SPDX-License-Identifier: GPL-2.0-or-later
//
// The store of records, and the image that follows them.
#include "engine/session/journal.hpp"

#include <gtest/gtest.h>

#include "engine/morsel/change.hpp"
#include "engine/session/history.hpp"
#include "engine/session/tests/record_fixture.hpp"

namespace morsel::session {
namespace {

TEST(Journal, KeepsWhatIsInOrderAndCountsTheRestAsGarbage)
{
  Journal journal;
  journal.append({{change(1, 0, 0, 0, 1), change(2, 0, 0, 1, 2)}, 0, 3});
  JournalRecord unknown = change(4, 0, 0, 0, 0);
  unknown.point = MORSEL_POINT_COUNT;
  journal.append({{change(2, 0, 0, 0, 1), unknown, change(3, 0, 0, 2, 3)}, 0, 0});
  EXPECT_EQ(journal.size(), 3u);
  EXPECT_EQ(journal.garbage, 5u);
  EXPECT_EQ(journal.lost, 0u);
}

TEST(Journal, KnowsWhereRecordsAreMissing)
{
  Journal journal;
  journal.append({{change(1, 0, 0, 0, 1)}, 0, 0});
  journal.append({{}, 7, 0});
  journal.append({{change(9, 0, 0, 1, 2), change(12, 0, 0, 2, 3)}, 0, 0});
  ASSERT_EQ(journal.gaps().size(), 2u);
  EXPECT_EQ(journal.gaps()[0].before, 1u);
  EXPECT_EQ(journal.gaps()[0].lost, 7u);
  EXPECT_EQ(journal.gaps()[1].before, 2u);
  EXPECT_EQ(journal.gaps()[1].lost, 2u);
  EXPECT_EQ(journal.lost, 9u);
}

TEST(Journal, FindsPositionsBySequence)
{
  Journal journal;
  journal.append({{change(5, 0, 0, 0, 1), change(6, 0, 0, 1, 2), change(9, 0, 0, 2, 3)}, 0, 0});
  EXPECT_EQ(journal.count_until(4), 0u);
  EXPECT_EQ(journal.count_until(6), 2u);
  EXPECT_EQ(journal.count_until(8), 2u);
  EXPECT_EQ(journal.count_until(~u64{0}), 3u);
  EXPECT_EQ(journal.sequence_at(0), 4u);
  EXPECT_EQ(journal.sequence_at(3), 9u);
}

TEST(Journal, ForgetsTheOldestWhenFull)
{
  Journal journal(100);
  for (u64 s = 1; s <= 150; ++s) journal.append({{change(s, 0, 0, 0, 0)}, 0, 0});
  journal.forget(journal.surplus());
  EXPECT_EQ(journal.size(), 75u);
  EXPECT_EQ(journal.forgotten, 75u);
  EXPECT_EQ(journal.records().front().sequence, 76u);
}

TEST(TableImage, KnowsWhereEachWordStandsInMemory)
{
  const TableImage image({{0x1000, 2 * page_bytes}, {0x9000, page_bytes}});
  for (const u64 at : {0x1000, 0x2ff8, 0x9000, 0x9008}) {
    const auto index = image.index({at});
    ASSERT_TRUE(index) << at;
    EXPECT_EQ(image.address(*index).value, at);
  }
  EXPECT_FALSE(image.index({0x3000}));
  EXPECT_FALSE(image.index({0x2ff8}, 2));
}

class HistoryOfRecords : public testing::Test {
 protected:
  void append(const std::vector<JournalRecord>& records, std::optional<std::size_t> gap = {})
  {
    history.append(records, {machine.state()}, gap, machine.memory());
  }
  u64 word(PhysAddr at) const { return *history.memory().words(at, 1); }

  SmallMachine machine;
  History history{machine.memory(), {machine.state()}};
};

TEST_F(HistoryOfRecords, GoesBackAndForth)
{
  append({change(1, 0, 0x3000, 0, leaf(7)), change(2, 0, 0x3000, leaf(7), leaf(8)), change(3, 0, 0x3000, leaf(8), 0)});
  const PhysAddr entry = machine.leaf_table + 3 * sizeof(u64);
  const u64 expected[] = {0, leaf(7), leaf(8), 0};
  for (const std::size_t at : {3, 0, 2, 1, 3, 1}) {
    history.go_to(at);
    EXPECT_EQ(history.position(), at);
    EXPECT_EQ(word(entry), expected[at]);
    EXPECT_TRUE(history.is_exact(at));
  }
}

TEST_F(HistoryOfRecords, FollowsAnActorIntoATableThatIsUnlinked)
{
  const u64 link = *machine.memory().words(machine.root, 1);
  JournalRecord seen = change(1, 1, 0, link, link), fill = change(3, 0, 0x5000, 0, leaf(5));
  seen.actor_id = fill.actor_id = 9;
  append({seen, change(2, 1, 0, link, 0), fill});
  EXPECT_EQ(word(machine.root), 0u);
  EXPECT_EQ(word(machine.leaf_table + 5 * sizeof(u64)), leaf(5)) << "the actor was inside already";
  EXPECT_TRUE(history.is_exact(3));
}

TEST_F(HistoryOfRecords, KnowsTablesFromBeforeTheyWereLinked)
{
  const PhysAddr table = machine.free_page;
  JournalRecord alloc = change(1, 0, 0, 0, table.value), map = change(2, 0, 0x200000, table.value, leaf(3));
  alloc.point = MORSEL_POINT_alloc;
  alloc.flags = MORSEL_RECORD_TABLE;
  map.flags = MORSEL_RECORD_PRIVATE;
  append({alloc, map, change(3, 1, 0x200000, 0, PrimaryFormat::make_table(table, 1))});
  EXPECT_EQ(word(table), leaf(3));
  history.go_to(1);
  EXPECT_EQ(word(table), 0u);
}

TEST_F(HistoryOfRecords, MakesTheLeavesOfASplit)
{
  const u64 large = PrimaryFormat::make_leaf({u64{4} << 20}, 1, {rights_rw});
  const u64 link = PrimaryFormat::make_table(machine.free_page, 1);
  JournalRecord split = change(2, 1, 0x400000, large, link);
  split.point = MORSEL_POINT_split;
  append({change(1, 1, 0x400000, 0, large), split});
  EXPECT_EQ(word(machine.free_page + 511 * sizeof(u64)), smaller_leaf(large, 1, 511));
  history.go_to(1);
  EXPECT_EQ(word(machine.free_page + 511 * sizeof(u64)), 0u);
}

TEST_F(HistoryOfRecords, SaysWhereItIsNotExact)
{
  append({change(1, 0, 0x3000, 0, leaf(7))});
  // A record that found something that no record put there: all before it is doubtful.
  append({change(2, 0, 0x4000, leaf(1), leaf(2))});
  EXPECT_FALSE(history.is_exact(0));
  EXPECT_FALSE(history.is_exact(1));
  EXPECT_TRUE(history.is_exact(2));
  // Records are missing before number 2: what stands in memory is read again when that is noticed.
  append({change(7, 0, 0x4000, leaf(2), 0)}, 2);
  EXPECT_TRUE(history.is_exact(2));
  EXPECT_TRUE(history.is_exact(3));
  EXPECT_EQ(word(machine.leaf_table + 3 * sizeof(u64)), 0u) << "as in the machine";
  history.go_to(1);
  EXPECT_EQ(word(machine.leaf_table + 3 * sizeof(u64)), leaf(7));
}

TEST_F(HistoryOfRecords, DoubtsWhatWasFoundInATableThatItDoesNotHave)
{
  append({change(1, 0, 0x3000, 0, leaf(7))});
  append({change(2, 0, 0x200000, 0, 0)});  // nothing was found where there is no table: so it is
  EXPECT_TRUE(history.is_exact(1));
  append({change(3, 0, 0x200000, leaf(1), leaf(2))});
  EXPECT_FALSE(history.is_exact(0));
  EXPECT_FALSE(history.is_exact(2));
  EXPECT_TRUE(history.is_exact(3));
  append({change(4, 0, 0x200000, leaf(3), leaf(4))});
  EXPECT_FALSE(history.is_exact(3));
  EXPECT_EQ(history.doubts().size(), 1u) << "one doubt goes on the other";
}

TEST_F(HistoryOfRecords, KnowsObjectsThatChangeWithoutARecord)
{
  ObjectState renamed = machine.state();
  renamed.name = "tall";
  history.append({}, {renamed}, {}, machine.memory());
  EXPECT_EQ(history.objects()[0].name, "tall");
  EXPECT_EQ(history.objects_since().size(), 1u);
}

TEST_F(HistoryOfRecords, IsNotMovedByNewRecordsWhileItShowsThePast)
{
  append({change(1, 0, 0x3000, 0, leaf(7)), change(2, 0, 0x3000, leaf(7), 0)});
  history.go_to(1);
  append({change(3, 0, 0x3000, 0, leaf(9))});
  EXPECT_EQ(history.position(), 1u);
  EXPECT_EQ(word(machine.leaf_table + 3 * sizeof(u64)), leaf(7));
  history.go_to(3);
  EXPECT_EQ(word(machine.leaf_table + 3 * sizeof(u64)), leaf(9));
}

TEST_F(HistoryOfRecords, ForgetsTheOldestAndKeepsTheRest)
{
  append({change(1, 0, 0x3000, 0, leaf(7)), change(2, 0, 0x3000, leaf(7), leaf(8)), change(3, 0, 0x3000, leaf(8), 0)});
  history.forget(1);
  ASSERT_EQ(history.size(), 2u);
  history.go_to(0);
  EXPECT_EQ(word(machine.leaf_table + 3 * sizeof(u64)), leaf(7));
  history.go_to(1);
  EXPECT_EQ(word(machine.leaf_table + 3 * sizeof(u64)), leaf(8));
}

}  // namespace
}  // namespace morsel::session
