// SPDX-License-Identifier: GPL-2.0-or-later
//
// The diff of two snapshots: in the same format against memcmp of the same words, across formats against a loop by
// hand that compares frames and rights page by page.
#include <cstring>

#include "engine/bench/measuring.hpp"
#include "engine/bench/table_image.hpp"
#include "engine/inspect/diff.hpp"
#include "engine/inspect/snapshot.hpp"

namespace morsel::bench {
namespace {

constexpr u64 diff_pages = u64{1} << 18;  // 1 GiB

template <PageFormat F>
struct Pair {
  TableImage image{2 * (diff_pages / 512 + 1) + 16};
  inspect::TreeSource primary_tree = image.map<Amd64L4>(diff_pages, 2);
  inspect::TreeSource view_tree = image.map<F>(diff_pages, 2);
  inspect::PhysicalMemory memory = image.memory();
  Range range{0, diff_pages << page_lg2};
  inspect::Snapshot primary = inspect::Snapshot::take(memory, primary_tree, range);
  inspect::Snapshot view = inspect::Snapshot::take(memory, view_tree, range);
};
template <PageFormat F>
Pair<F>& snapshots()
{
  static Pair<F> made;
  return made;
}

template <PageFormat F>
void diff_engine(benchmark::State& state)
{
  auto& s = snapshots<F>();
  u64 same = 0;
  for (auto _ : state) timed(state, [&] {
    same = inspect::Diff::compare(s.primary, s.view, s.range).pages(inspect::DiffState::same);
  });
  require(same == diff_pages, "the diff does not find the view equal");
  count_items(state, diff_pages);
}

// Calls compare(words of the primary, words of the view) for each pair of tables of leaves, while it returns true.
template <PageFormat F, class Compare>
u64 each_pair(const Pair<F>& s, Compare&& compare)
{
  u64 equal = 0;
  for (u64 offset = 0; offset < s.range.end; offset += u64{512} << page_lg2) {
    const auto p = s.primary.words(s.primary.table_at(offset, 0));
    const auto v = s.view.words(s.view.table_at(offset, 0));
    equal += compare(p.data(), v.data());
  }
  return equal;
}

void diff_memcmp(benchmark::State& state)
{
  auto& s = snapshots<Amd64L4>();
  u64 equal = 0;
  for (auto _ : state) timed(state, [&] {
    equal = each_pair(s, [](const u64* p, const u64* v) { return std::memcmp(p, v, page_bytes) == 0; });
  });
  require(equal == diff_pages / 512, "the tables differ");
  count_items(state, diff_pages);
}

// AMD64 and EPT: both map the page or neither; the same frame; writable and executable alike.
u64 same_leaves(const u64* p, const u64* v)
{
  constexpr u64 frame = 0x000f'ffff'ffff'f000;
  u64 same = 0;
  for (u64 i = 0; i < 512; ++i) {
    const bool in_primary = p[i] & 1, in_view = v[i] & 7;
    const bool writable = p[i] & 2, view_writable = v[i] & 2;
    const bool executable = !(p[i] >> 63), view_executable = v[i] & 4;
    same += in_primary && in_view && ((p[i] ^ v[i]) & frame) == 0 && writable == view_writable &&
            executable == view_executable;
  }
  return same;
}
void diff_hand(benchmark::State& state)
{
  auto& s = snapshots<EptL4>();
  u64 same = 0;
  for (auto _ : state) timed(state, [&] { same = each_pair(s, same_leaves); });
  require(same == diff_pages, "the leaves differ");
  count_items(state, diff_pages);
}
BENCHMARK(diff_engine<Amd64L4>)->Name("diff, same format")->UseManualTime();
BENCHMARK(diff_memcmp)->Name("diff, same format/baseline")->UseManualTime();
BENCHMARK(diff_engine<EptL4>)->Name("diff, across formats")->UseManualTime();
BENCHMARK(diff_hand)->Name("diff, across formats/baseline")->UseManualTime();

}  // namespace
}  // namespace morsel::bench
