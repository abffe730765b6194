// SPDX-License-Identifier: GPL-2.0-or-later
//
// The journal of a real kernel, read in its memory while it runs: the records tell what stands in the tables.
#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "engine/session/recorder.hpp"
#include "testvm/host/target_json.hpp"
#include "testvm/host/tests/guest_words.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_journal.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

constexpr u64 address_bits = 0x000f'ffff'ffff'f000;

struct Place {
  u64 pa = 0, word = 0;
};

// The entry for `offset` at `level`: formats here have their tables' addresses in the same bits.
Place entry_at(const inspect::PhysicalMemory& memory, const inspect::TreeSource& tree, u64 offset, Level level)
{
  u64 table = tree.root.value;
  for (int at = tree.root_level;; --at) {
    const u64 pa = table + (offset >> (12 + 9 * at) & 511) * sizeof(u64);
    const u64* const word = memory.words({pa}, 1);
    if (!word) return {};
    if (at == level) return {pa, *word};
    if (!(*word & 7)) return {};
    table = *word & address_bits;
  }
}

class VmJournalTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { target = VmTarget::start(test_config()); }
  static void TearDownTestSuite() { target.reset(); }
  void TearDown() override
  {
    target->journal()->record(false);
    target->journal()->read();
    for (const auto& object : target->objects()) target->destroy_object(object.name);
  }
  static std::unique_ptr<VmTarget> target;
};
std::unique_ptr<VmTarget> VmJournalTest::target;

bool names_an_entry(const morsel_journal_record& r)
{
  static const std::set<u16> points{MORSEL_POINT_link,      MORSEL_POINT_reserve, MORSEL_POINT_publish,
                                    MORSEL_POINT_change,    MORSEL_POINT_undo,    MORSEL_POINT_link_primary,
                                    MORSEL_POINT_invalidate};
  return points.contains(r.point);
}

TEST_F(VmJournalTest, TellsWhatStandsInTheTables)
{
  target->journal()->record(true);
  EXPECT_TRUE(target->journal()->recording());
  target->create_object("o", 64 * mebibyte, {});
  const auto view = target->add_view("o", FormatId::ept);
  target->populate("o", {0, 2 * mebibyte}, rights_rw, 0);
  for (u64 offset = 0; offset < 64 * page_bytes; offset += page_bytes)
    target->access({.object = "o", .view = view.number, .offset = offset, .right = right_write, .value = 5});
  target->unmap("o", {16 * page_bytes, 32 * page_bytes});
  target->journal()->record(false);
  EXPECT_FALSE(target->journal()->recording());
  const auto read = target->journal()->read();
  ASSERT_EQ(read.lost + read.garbage, 0u);
  ASSERT_GT(read.records.size(), 1000u);

  const auto object = target->object("o");
  std::map<std::tuple<u16, u8, u64>, u64> last;  // tree, level, offset: the word
  u64 sequence = read.records[0].sequence, time = 0, privates = 0, tables = 0;
  for (const auto& r : read.records) {
    EXPECT_EQ(r.sequence, sequence++);
    EXPECT_GE(r.time_ns, time);
    time = r.time_ns;
    EXPECT_EQ(r.object_id, object.id);
    EXPECT_NE(r.actor_id, 0u);
    tables += r.flags == MORSEL_RECORD_TABLE && r.point == MORSEL_POINT_alloc;
    if (r.flags & MORSEL_RECORD_PRIVATE) {
      ++privates;
      EXPECT_EQ(r.before, entry_at(target->memory(), object.source(), r.object_offset, r.level).pa);
    } else if (!names_an_entry(r)) {
      continue;
    } else if (const auto known = last.find({r.tree, r.level, r.object_offset}); known != last.end()) {
      // What the one left there the next one found, but for the bits that hardware sets.
      EXPECT_EQ((known->second ^ r.before) & address_bits, 0u) << r.sequence;
    }
    last[{r.tree, r.level, r.object_offset}] = r.after;
  }
  EXPECT_EQ(privates, 512u);
  EXPECT_EQ(tables, object.tables);
  ASSERT_EQ(object.views.size(), 1u);
  for (const auto& [place, word] : last) {
    const auto& [tree, level, offset] = place;
    const auto source = tree == primary_tree ? object.source() : object.views[0].source();
    constexpr u64 used_bits = 0x360;  // accessed and dirty: bits 5 and 6, in EPT 8 and 9
    EXPECT_EQ(entry_at(target->memory(), source, offset, level).word & ~used_bits, word & ~used_bits)
        << tree << " " << int{level} << " " << std::hex << offset;
  }
}

// More records than the rings hold, in one request: what a session records with reads along.
TEST_F(VmJournalTest, ASessionLosesNothingOfALongCommand)
{
  constexpr u64 bytes = 128 * mebibyte;
  target->create_object("o", bytes, {});
  session::Recorder recorder;
  recorder.start(*target);
  target->populate("o", {0, bytes}, rights_rw, 0);
  target->unmap("o", {0, bytes});
  recorder.stop(*target);
  EXPECT_EQ(recorder.ended(), "");
  const session::Journal& journal = recorder.chronicle().journal;
  const u64 in_rings = u64{target->vm().cpus} << VmJournal::default_capacity_lg2;
  EXPECT_GT(journal.size(), in_rings);
  EXPECT_EQ(journal.lost, 0u);
  EXPECT_EQ(journal.garbage, 0u);
  EXPECT_TRUE(recorder.chronicle().history->doubts().empty());
}

TEST_F(VmJournalTest, CountsWhatDoesNotFitIntoItsRings)
{
  target->create_object("o", 64 * mebibyte, {});
  target->journal()->record(true, 6);
  target->populate("o", {0, 4 * mebibyte}, rights_rw, 0);
  const auto first = target->journal()->read();
  EXPECT_GT(first.lost, 1000u);
  EXPECT_LE(first.records.size(), 2 * 64u);
  EXPECT_EQ(first.garbage, 0u);
  // Few enough to fit, after all.
  target->unmap("o", {0, page_bytes});
  const auto second = target->journal()->read();
  EXPECT_EQ(second.lost, 0u);
  ASSERT_FALSE(second.records.empty());
  EXPECT_GT(second.records[0].sequence, first.lost + first.records.size() - 1);
}

TEST_F(VmJournalTest, GoesOnWithItsNumbersWhenItIsSwitchedOnAgain)
{
  target->create_object("o", 4 * mebibyte, {});
  target->journal()->record(true);
  target->populate("o", {0, page_bytes}, rights_rw, 0);
  const u64 last = target->journal()->read().records.back().sequence;
  target->journal()->record(false);
  target->unmap("o", {0, page_bytes});
  target->journal()->record(true, 10);
  target->populate("o", {0, page_bytes}, rights_rw, 0);
  const auto read = target->journal()->read();
  ASSERT_FALSE(read.records.empty());
  EXPECT_EQ(read.records[0].sequence, last + 1);
  EXPECT_EQ(read.lost + read.garbage, 0u);
}

// What it makes of the records is told; the next recording is as good as any.
TEST_F(VmJournalTest, CountsWhatAGuestWritesIntoItsRingsAsGarbage)
{
  constexpr u32 capacity_lg2 = 8;
  target->create_object("o", 4 * mebibyte, {});
  const JournalRings rings =
      rings_from_json(target->connection().request("journal", {{"on", true}, {"capacity_lg2", capacity_lg2}}));
  JournalReader reader(target->memory(), rings);
  target->populate("o", {0, 2 * page_bytes}, rights_rw, 0);
  EXPECT_EQ(reader.read().garbage, 0u);
  GuestWords guest(target->vm().ram);
  ASSERT_TRUE(guest.is_open());
  for (const PhysAddr ring : rings.rings) {  // the guest's memory is the file's, from its beginning
    const u64 cursor = ring.value + offsetof(morsel_journal_ring, written), slots = ring.value + page_bytes;
    ASSERT_EQ(guest.read(ring.value), MORSEL_JOURNAL_MAGIC);
    std::mt19937_64 random(ring.value);
    const u64 words = (sizeof(morsel_journal_record) << capacity_lg2) / sizeof(u64);
    for (u64 n = 0; n < words; ++n) guest.write(slots + n * sizeof(u64), random());
    guest.write(cursor, guest.read(cursor) + 100);
    EXPECT_GE(reader.read().garbage, 100u);
    for (const u64 jump : {~u64{0}, u64{0}, u64{1} << 40}) {
      guest.write(cursor, jump);
      EXPECT_TRUE(reader.read().records.empty()) << jump;
    }
    guest.write(ring.value, 0);
    EXPECT_GT(reader.read().garbage, 0u);
  }
  target->journal()->record(true);
  target->unmap("o", {0, page_bytes});
  const auto read = target->journal()->read();
  EXPECT_FALSE(read.records.empty());
  EXPECT_EQ(read.lost + read.garbage, 0u);
}

TEST_F(VmJournalTest, IsOneClientsAlone)
{
  target->create_object("o", 4 * mebibyte, {});
  target->journal()->record(true);
  auto other = VmTarget::attach(target->vm().name);
  EXPECT_THROW(other->journal()->record(true), session::Failure);
  EXPECT_THROW(other->journal()->record(false), session::Failure);
  other.reset();
  target->populate("o", {0, page_bytes}, rights_rw, 0);
  EXPECT_FALSE(target->journal()->read().records.empty());
  target->journal()->record(false);
  other = VmTarget::attach(target->vm().name);
  other->journal()->record(true);
  EXPECT_THROW(target->journal()->record(true), session::Failure);
  EXPECT_FALSE(target->journal()->recording());
  other.reset();  // who goes records no more
  target->journal()->record(true);
}

TEST_F(VmJournalTest, RecordsNoMoreWhenItCouldNotBeSwitchedOnAgain)
{
  target->journal()->record(true);
  EXPECT_THROW(target->journal()->record(true, 5), session::Failure);
  EXPECT_FALSE(target->journal()->recording());
}

TEST_F(VmJournalTest, RefusesRingsThatCannotBe)
{
  EXPECT_THROW(target->journal()->record(true, 5), session::Failure);
  EXPECT_THROW(target->journal()->record(true, 16), session::Failure);
  EXPECT_FALSE(target->journal()->recording());
}

}  // namespace
}  // namespace morsel::testvm
