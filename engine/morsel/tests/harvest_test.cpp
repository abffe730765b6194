// SPDX-License-Identifier: GPL-2.0-or-later
#include <set>

#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

struct Report {
  std::set<u64> accessed_pages, dirty_pages;
  void accessed(Range r)
  {
    for (u64 o = r.start; o < r.end; o += page_bytes) accessed_pages.insert(o);
  }
  void dirty(Range r)
  {
    for (u64 o = r.start; o < r.end; o += page_bytes) dirty_pages.insert(o);
  }
};

Report harvest_all(EngineFixture& f, Range range)
{
  Report report;
  auto p = f.platform();
  const Status s = harvest(p, f.o.object, range, report);
  EXPECT_TRUE(s) << error_name(s.error());
  return report;
}

// As a walker does.
template <class F>
void touch(EngineFixture& f, const View& v, u64 offset, bool write)
{
  auto p = f.platform();
  *lookup(p, SyncPoint::load, v.tree, offset)->entry.word |= F::accessed_bit | (write ? F::dirty_bit : 0);
}

class InEveryFormat : public testing::TestWithParam<FormatInfo> {};
INSTANTIATE_TEST_SUITE_P(Formats, InEveryFormat, testing::ValuesIn(format_table),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(InEveryFormat, AWriteIsReportedOnce)
{
  EngineFixture f(8 * MiB, 1);
  View& v = f.add(GetParam().id);
  ASSERT_TRUE(f.populate({0, 16 * KiB}));
  (void)harvest_all(f, {0, 8 * MiB});
  ASSERT_TRUE(f.fill(v, 4 * KiB, right_read));
  ASSERT_TRUE(f.fill(v, 8 * KiB, right_write));
  AllFormats::dispatch(GetParam().id, 0, [&]<class F>() { return touch<F>(f, v, 8 * KiB, true), 0; });
  const Report first = harvest_all(f, {0, 8 * MiB});
  EXPECT_TRUE(first.dirty_pages.count(8 * KiB));
  if (GetParam().dirty_bit) {
    EXPECT_EQ(first.dirty_pages, std::set<u64>{8 * KiB}) << "pages that were only read are not dirty";
    EXPECT_EQ(first.accessed_pages.count(4 * KiB), 1u);
  }
  EXPECT_TRUE(harvest_all(f, {0, 8 * MiB}).dirty_pages.empty()) << "reported once";
  if (!GetParam().dirty_bit) {
    EXPECT_FALSE(f.translation(v.tree, 8 * KiB)->write) << "the next write faults, and is seen";
    ASSERT_TRUE(f.fill(v, 8 * KiB, right_write));
    EXPECT_EQ(harvest_all(f, {0, 8 * MiB}).dirty_pages.count(8 * KiB), 1u);
  }
}

TEST(Harvest, ReportsTheRangeAskedForAndKeepsTheRest)
{
  EngineFixture f(8 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  ASSERT_TRUE(f.fill(v, 0, right_write));
  touch<EptL4>(f, v, 0, true);
  EXPECT_EQ(harvest_all(f, {4 * KiB, 12 * KiB}).dirty_pages, (std::set<u64>{4 * KiB, 8 * KiB}));
  EXPECT_EQ(harvest_all(f, {0, 2 * MiB}).dirty_pages.size(), 510u);
}

TEST(Harvest, ReportsWhatAnUnmappedLeafOfAViewHadCarried)
{
  EngineFixture f(8 * MiB, 1);
  View& v = f.add(FormatId::npt);
  ASSERT_TRUE(f.populate({0, 8 * KiB}));
  ASSERT_TRUE(f.fill(v, 0, right_write));
  touch<Npt>(f, v, 0, true);
  f.drop(1);
  EXPECT_EQ(harvest_all(f, {0, 8 * KiB}).dirty_pages, std::set<u64>{0});
}

TEST(Harvest, OfAnAttachedPrimaryClearsItsOwnBits)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 8 * KiB}));
  f.o.object.primary.attached.value = 1;
  auto p = f.platform();
  u64* const word = lookup(p, SyncPoint::load, f.o.object.primary, 4 * KiB)->entry.word;
  *word |= PrimaryFormat::dirty_bit;
  const u64 flushes = f.machine.flushes;
  EXPECT_EQ(harvest_all(f, {0, 8 * KiB}).dirty_pages, std::set<u64>{4 * KiB});
  EXPECT_EQ(*word & (PrimaryFormat::dirty_bit | PrimaryFormat::accessed_bit), 0u);
  EXPECT_EQ(f.machine.flushes, flushes + 1);
}

TEST(Query, FoldsPopulatedPagesIntoRuns)
{
  EngineFixture f(8 * MiB, 1);
  ASSERT_TRUE(f.populate({0, 2 * MiB}, rights_rw, 1));
  ASSERT_TRUE(f.populate({2 * MiB, 2 * MiB + 8 * KiB}));
  ASSERT_TRUE(f.protect({2 * MiB + 4 * KiB, 2 * MiB + 8 * KiB}, right_read));
  ASSERT_TRUE(f.populate({4 * MiB, 4 * MiB + 4 * KiB}));
  std::vector<std::pair<Range, Rights>> runs;
  auto p = f.platform();
  ASSERT_TRUE(for_each_populated(p, f.o.object, {4 * KiB, 8 * MiB},
                                 [&](Range r, Rights rights) { runs.emplace_back(r, rights); }));
  const std::vector<std::pair<Range, Rights>> expected{{{4 * KiB, 2 * MiB + 4 * KiB}, rights_rw},
                                                       {{2 * MiB + 4 * KiB, 2 * MiB + 8 * KiB}, right_read},
                                                       {{4 * MiB, 4 * MiB + 4 * KiB}, rights_rw}};
  EXPECT_EQ(runs, expected);
  EXPECT_EQ(for_each_populated(p, f.o.object, {0, 16 * MiB}, [](Range, Rights) {}).error(), Error::out_of_range);
}

TEST(Query, FindsDirtyPagesWhereverTheyShow)
{
  EngineFixture f(8 * MiB, 1);
  View& v = f.add(FormatId::ept);
  ASSERT_TRUE(f.populate({0, 64 * KiB}));
  ASSERT_TRUE(f.fill(v, 4 * KiB, right_write));
  touch<EptL4>(f, v, 4 * KiB, true);                                             // in a view
  f.machine.mark_dirty(PhysAddr{f.primary(8 * KiB)->address}, 0);                // in the frame's state
  auto p = f.platform();
  *lookup(p, SyncPoint::load, f.o.object.primary, 32 * KiB)->entry.word |= PrimaryFormat::dirty_bit;  // in the primary
  std::vector<Range> runs;
  ASSERT_TRUE(for_each_dirty(p, f.o.object, {0, 64 * KiB}, [&](Range r) { runs.push_back(r); }));
  EXPECT_EQ(runs, (std::vector<Range>{{4 * KiB, 12 * KiB}, {32 * KiB, 36 * KiB}}));
}

}  // namespace
}  // namespace morsel::testing_support
