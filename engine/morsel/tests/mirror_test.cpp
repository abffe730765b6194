// SPDX-License-Identifier: GPL-2.0-or-later
//
// A view in every format mirrors a primary with every root: filled, split, unmapped, protected, populated again, and
// after each step held against the primary page by page, by the slow walker and by the diff.
#include "engine/inspect/diff.hpp"
#include "engine/morsel/tests/engine_fixture.hpp"

namespace morsel::testing_support {
namespace {

using inspect::Diff;
using inspect::DiffState;
using inspect::Snapshot;

struct Case {
  FormatInfo format;
  Level root_level;
};

std::vector<Case> cases_from(Level lowest_root)
{
  std::vector<Case> cases;
  for (const FormatInfo& format : format_table)
    for (Level root_level = lowest_root; root_level <= 2; ++root_level) cases.push_back({format, root_level});
  return cases;
}

std::string case_name(const testing::TestParamInfo<Case>& info)
{
  return std::string(info.param.format.name) + "_root_" + std::to_string(info.param.root_level);
}

class Mirror : public testing::TestWithParam<Case> {
 protected:
  // Where the object's pages lie that are looked at: at its start, and with larger roots across the edges of tables.
  std::vector<u64> places() const
  {
    switch (GetParam().root_level) {
      case 0: return {0, 1 * MiB};
      case 1: return {0, 2 * MiB, 510 * MiB};
      default: return {0, 1 * GiB - 2 * MiB, 1 * GiB, 400 * GiB};
    }
  }
  u64 bytes() const { return std::array{2 * MiB, 1 * GiB, 512 * GiB}[GetParam().root_level]; }
  static constexpr u64 stretch = 64 * KiB;

  // What the view may give of the primary's rights, or nothing where it has not filled the page.
  void expect_mirrored(EngineFixture& f, const View& v)
  {
    const auto memory = f.machine.arena().memory();
    for (const u64 place : places()) {
      const Range range{place, place + stretch};
      const auto primary =
          Snapshot::take(memory, {FormatId::amd64, f.o.object.primary.root, GetParam().root_level}, range);
      const auto view = Snapshot::take(memory, {v.tree.format, v.tree.root, v.tree.root_level}, range);
      EXPECT_EQ(primary.anomaly_count() + view.anomaly_count(), 0u);
      const Diff diff = Diff::compare(primary, view, range);
      EXPECT_TRUE(diff.clean());
      for (u64 offset = place; offset < place + stretch; offset += 4 * KiB) expect_page(f, v, diff, offset);
    }
  }
  void expect_page(EngineFixture& f, const View& v, const Diff& diff, u64 offset)
  {
    const auto p = f.primary(offset), t = f.translation(v.tree, offset);
    const DiffState expected = t ? DiffState::same : p ? DiffState::unfilled : DiffState::hole;
    ASSERT_EQ(diff.at(offset), expected) << inspect::diff_state_name(diff.at(offset)) << " at " << offset;
    if (!t) return;
    ASSERT_TRUE(p) << "stale at " << offset;
    ASSERT_EQ(t->address, p->address) << offset;
    const bool device = GetParam().format.name.find("vtd") == 0 || GetParam().format.name.find("amd_iommu") == 0;
    ASSERT_EQ(t->read, p->read) << offset;
    ASSERT_EQ(t->write, p->write) << offset;
    ASSERT_EQ(t->exec, p->exec && !device) << "a device does not execute; at " << offset;
  }
  void fill_all(EngineFixture& f, View& v)
  {
    for (const u64 place : places())
      for (u64 offset = place; offset < place + stretch; offset += 4 * KiB)
        if (f.primary(offset)) {
          ASSERT_TRUE(f.fill(v, offset)) << offset;
        }
  }
};

// A PTE root has no large leaves.
class MirrorOfLargeLeaves : public Mirror {};

INSTANTIATE_TEST_SUITE_P(All, Mirror, testing::ValuesIn(cases_from(0)), case_name);
INSTANTIATE_TEST_SUITE_P(All, MirrorOfLargeLeaves, testing::ValuesIn(cases_from(1)), case_name);

TEST_P(Mirror, FollowsFillsUnmapsAndChangesOfRights)
{
  EngineFixture f(bytes(), GetParam().root_level);
  View& v = f.add(GetParam().format.id);
  EXPECT_EQ(v.tree.root.value % (4096 * (slow::entries(std::string(GetParam().format.name), v.tree.root_level) / 512)),
            0u)
      << "a root is naturally aligned";
  for (const u64 place : places()) ASSERT_EQ(*f.populate({place, place + stretch}, rights_all), 16u);
  expect_mirrored(f, v);
  fill_all(f, v);
  expect_mirrored(f, v);
  for (const u64 place : places()) {
    ASSERT_EQ(*f.unmap({place + 4 * KiB, place + 12 * KiB}), 2u);
    ASSERT_EQ(*f.protect({place + 16 * KiB, place + 24 * KiB}, right_read), 2u);
    ASSERT_EQ(*f.protect({place + 24 * KiB, place + 28 * KiB}, right_read | right_exec), 1u);
  }
  expect_mirrored(f, v);
  fill_all(f, v);
  expect_mirrored(f, v);
  for (const u64 place : places()) {
    ASSERT_EQ(*f.populate({place, place + stretch}, rights_rw), 2u);
    EXPECT_EQ(f.fill(v, place + 16 * KiB, right_write).error(), Error::access_denied);
    ASSERT_EQ(*f.protect({place + 16 * KiB, place + 20 * KiB}, rights_rw), 1u);
    EXPECT_TRUE(f.fill(v, place + 16 * KiB, right_write));
  }
  expect_mirrored(f, v);
}

TEST_P(MirrorOfLargeLeaves, FollowsThemAndTheirSplitting)
{
  EngineFixture f(bytes(), GetParam().root_level);
  View& v = f.add(GetParam().format.id);
  for (const u64 place : places()) ASSERT_EQ(*f.populate({place, place + 2 * MiB}, rights_rw, 1), 512u);
  fill_all(f, v);
  expect_mirrored(f, v);
  for (const u64 place : places()) {
    EXPECT_EQ(f.translation(v.tree, place)->level, 1);
    ASSERT_EQ(*f.unmap({place, place + 8 * KiB}), 2u);
  }
  expect_mirrored(f, v);
  fill_all(f, v);
  expect_mirrored(f, v);
  for (const u64 place : places()) EXPECT_EQ(f.translation(v.tree, place + 8 * KiB)->level, 0);
}

// Harmless where it has fewer rights, an error where it has more, and neither where the format has no such right.
TEST_P(Mirror, IsHeldAgainstWhatItsFormatCanExpress)
{
  EngineFixture f(bytes(), GetParam().root_level);
  View& v = f.add(GetParam().format.id);
  ASSERT_EQ(*f.populate({0, 4 * KiB}, rights_all), 1u);
  ASSERT_TRUE(f.fill(v, 0));
  u64& word = *[&] {
    auto p = f.platform();
    return lookup(p, SyncPoint::load, f.o.object.primary, 0)->entry.word;
  }();
  const u64 all = word;
  const auto compare = [&] {
    const auto memory = f.machine.arena().memory();
    const Range page{0, 4 * KiB};
    return Diff::compare(
        Snapshot::take(memory, {FormatId::amd64, f.o.object.primary.root, GetParam().root_level}, page),
        Snapshot::take(memory, {v.tree.format, v.tree.root, v.tree.root_level}, page), page);
  };
  EXPECT_EQ(compare().at(0), DiffState::same) << "as close as the format allows";
  word = all & ~Amd64L4::writable;
  EXPECT_EQ(compare().at(0), DiffState::rights);
  EXPECT_FALSE(compare().clean()) << "the view may write";
  word = all | Amd64L4::no_execute;
  const bool expresses_execute = GetParam().format.reduce(rights_all).exec();
  EXPECT_EQ(compare().at(0), expresses_execute ? DiffState::rights : DiffState::same);
  EXPECT_EQ(compare().clean(), !expresses_execute);
  word = all;
}

}  // namespace
}  // namespace morsel::testing_support
