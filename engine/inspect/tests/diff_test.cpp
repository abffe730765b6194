// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/diff.hpp"
#include "engine/inspect/tests/inspect_fixture.hpp"

namespace morsel::inspect {
namespace {

// Primary: PMD root in page 0, PTE table in page 1. View (EPT): pages 2 (root, level 3), 3, 4, PTE table 5.
struct Pair {
  TestMemory m;
  Pair()
  {
    m.word(0, 0) = Amd64L4::make_table(m.page(1));
    m.word(2, 0) = EptL4::make_table(m.page(3));
    m.word(3, 0) = EptL4::make_table(m.page(4));
    m.word(4, 0) = EptL4::make_table(m.page(5));
  }
  void primary(u64 page, u64 frame, Rights r)
  {
    m.word(1, page) = Amd64L4::make_leaf(PhysAddr{frame}, 0, {r, true, false});
  }
  void view(u64 page, u64 frame, Rights r) { m.word(5, page) = EptL4::make_leaf(PhysAddr{frame}, 0, {r, true, false}); }
  Snapshot primary_snapshot(Range r = {0, 4 * MiB}) const
  {
    return Snapshot::take(m.memory(), {FormatId::amd64, m.page(0), 1}, r);
  }
  Snapshot view_snapshot(Range r = {0, 4 * MiB}) const
  {
    return Snapshot::take(m.memory(), {FormatId::ept, m.page(2), 3}, r);
  }
  Diff diff(Range r = {0, 4 * MiB}) const { return Diff::compare(primary_snapshot(r), view_snapshot(r), r); }
};

TEST(Diff, NamesEveryStateOnce)
{
  Pair t;
  t.primary(1, 0x1000, rights_rw), t.view(1, 0x1000, rights_rw);
  t.primary(2, 0x2000, rights_rw);
  t.primary(3, 0x3000, rights_rw), t.m.word(5, 3) = software::make_reserved(9, software::Stale::no);
  t.primary(4, 0x4000, rights_rw), t.view(4, 0x4000, right_read);
  t.primary(5, 0x5000, rights_rw), t.m.word(5, 5) = EptL4::write;
  t.primary(6, 0x6000, rights_rw), t.view(6, 0x9000, rights_rw);
  t.view(7, 0x7000, right_read);
  const DiffState expected[] = {DiffState::hole,   DiffState::same,   DiffState::unfilled, DiffState::reserved,
                                DiffState::rights, DiffState::format, DiffState::frame,    DiffState::stale};
  const Diff d = t.diff();
  for (u64 page = 0; page < 8; ++page) EXPECT_EQ(d.at(page * 4096), expected[page]) << page;
  for (const DiffState s : expected) EXPECT_EQ(d.pages(s), s == DiffState::hole ? 1024u - 7u : 1u);
  EXPECT_FALSE(d.clean());
  EXPECT_EQ(d.next_difference(0)->range, (Range{5 * 4096, 6 * 4096})) << "fewer rights are no difference to mend";
  EXPECT_EQ(d.previous_difference(4 * MiB)->state, DiffState::stale);
  EXPECT_EQ(d.worst({0, 4 * 4096}), DiffState::reserved);
  EXPECT_EQ(d.worst({0, 4 * MiB}), DiffState::stale);
}

TEST(Diff, MoreRightsThanThePrimaryAreNotClean)
{
  Pair t;
  t.primary(0, 0x1000, right_read), t.view(0, 0x1000, rights_rw);
  const Diff d = t.diff();
  EXPECT_EQ(d.at(0), DiffState::rights);
  EXPECT_EQ(d.widened_pages(), 1u);
  EXPECT_FALSE(d.clean());
  t.view(0, 0x1000, right_read);
  EXPECT_TRUE(t.diff().clean());
}

TEST(Diff, ALargeLeafOnEitherSideIsComparedPageByPage)
{
  Pair t;
  t.m.word(0, 1) = Amd64L4::make_leaf(PhysAddr{64 * MiB}, 1, {rights_rw, true, false});
  t.m.word(4, 1) = EptL4::make_table(t.m.page(6));
  t.m.word(6, 3) = EptL4::make_leaf(PhysAddr{64 * MiB + 3 * 4096}, 0, {rights_rw, true, false});
  t.m.word(6, 4) = EptL4::make_leaf(PhysAddr{64 * MiB}, 0, {rights_rw, true, false});
  Diff d = t.diff();
  EXPECT_EQ(d.at(2 * MiB + 3 * 4096), DiffState::same);
  EXPECT_EQ(d.at(2 * MiB + 4 * 4096), DiffState::frame);
  EXPECT_EQ(d.at(2 * MiB + 5 * 4096), DiffState::unfilled);

  for (u64 i = 0; i < 512; ++i) t.primary(i, 128 * MiB + i * 4096, rights_rw);
  t.primary(9, 0x9000, rights_rw);
  t.m.word(4, 0) = EptL4::make_leaf(PhysAddr{128 * MiB}, 1, {rights_rw, true, false});
  d = t.diff();
  EXPECT_EQ(d.at(0), DiffState::same);
  EXPECT_EQ(d.at(9 * 4096), DiffState::frame) << "the view keeps a larger leaf than the primary's";
  EXPECT_EQ(d.at(511 * 4096), DiffState::same);
}

TEST(Diff, AViewTableThatCannotBeReadIsAFormatDifference)
{
  Pair t;
  t.primary(0, 0x1000, rights_rw);
  t.m.word(4, 0) = EptL4::make_table(PhysAddr{u64{1} << 40});
  EXPECT_EQ(t.diff().at(0), DiffState::format);
  t.m.word(2, 0) = 0;
  EXPECT_EQ(t.diff().at(0), DiffState::unfilled);
}

TEST(Diff, RunsCoverTheRangeWithoutGaps)
{
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    Pair t;
    for (u64 page = 0; page < 512; ++page) {
      const u64 frame = 0x1000 * (1 + random() % 3);
      if (random() % 3) t.primary(page, frame, random() % 2 ? rights_rw : right_read);
      if (random() % 3) t.view(page, 0x1000 * (1 + random() % 3), random() % 2 ? rights_rw : right_read);
      if (random() % 20 == 0) t.m.word(5, page) = random();
    }
    const u64 first = random() % 100;
    const Range range{first * 4096, (first + 1 + random() % 900) * 4096};
    const Snapshot p = t.primary_snapshot(range), v = t.view_snapshot(range);
    const Diff d = Diff::compare(p, v, range);
    u64 at = range.start;
    for (const DiffRun& run : d.runs()) {
      ASSERT_EQ(run.range.start, at);
      at = run.range.end;
      for (u64 o = run.range.start; o < run.range.end; o += 4096) {
        const DiffRun one = compare_entries(p.format_info(), p.entry(o, 0), v.format_info(), v.entry(o, 0), o);
        ASSERT_EQ(one.state, run.state) << o;
        ASSERT_EQ(one.widened, run.widened) << o;
      }
    }
    ASSERT_EQ(at, range.end);
  }
}

}  // namespace
}  // namespace morsel::inspect
