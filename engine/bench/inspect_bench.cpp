// SPDX-License-Identifier: GPL-2.0-or-later
//
// How fast looking is. Each measurement stands beside the plain loop that bounds it; scripts/bench runs them
// interleaved and makes rows of the medians.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <iostream>

#include "engine/bench/plain_walker.hpp"
#include "engine/bench/table_image.hpp"
#include "engine/inspect/diff.hpp"
#include "engine/inspect/snapshot.hpp"

namespace morsel::bench {
namespace {

constexpr u64 guest_pages = 131'072;        // touched by a process of the guest
constexpr u64 object_pages = u64{1} << 18;  // 1 GiB in 4-KiB leaves

// A measurement of something that gives the wrong answer is worth nothing.
void require(bool holds, const char* what)
{
  if (holds) return;
  std::cerr << "inspect_bench: " << what << '\n';
  std::exit(1);
}

struct Guest {
  TableImage image{guest_pages / 512 + 16};
  inspect::TreeSource tree = image.map<Amd64L4>(guest_pages, 3);
  inspect::PhysicalMemory memory = image.memory();
  Range range{0, u64{1} << 47};             // the user half
};
Guest& guest()
{
  static Guest g;
  return g;
}

struct MirroredObject {
  TableImage image{2 * (object_pages / 512 + 1) + 16};
  inspect::TreeSource primary = image.map<Amd64L4>(object_pages, 2);
  inspect::TreeSource view = image.map<EptL4>(object_pages, 2);
  inspect::PhysicalMemory memory = image.memory();
  Range range{0, object_pages << page_lg2};
};
MirroredObject& object()
{
  static MirroredObject o;
  return o;
}

void snapshot(benchmark::State& state)
{
  Guest& g = guest();
  inspect::Snapshot s;
  for (auto _ : state) {
    s.retake(g.memory, g.tree, g.range);
    benchmark::DoNotOptimize(s.table_count());
  }
  require(s.anomaly_count() == 0 && s.table_count() == guest_pages / 512 + 3, "the snapshot is not complete");
}
BENCHMARK(snapshot)->Name("snapshot of 131072 pages")->Unit(benchmark::kMicrosecond);

void snapshot_baseline(benchmark::State& state)
{
  Guest& g = guest();
  PlainWalker walker(g.memory);
  std::size_t found = 0;
  for (auto _ : state) {
    found = walker.walk(g.tree.root.value, g.tree.root_level).size();
    benchmark::DoNotOptimize(walker);
  }
  require(found == guest_pages, "the plain walker did not find every page");
}
BENCHMARK(snapshot_baseline)->Name("snapshot of 131072 pages/baseline")->Unit(benchmark::kMicrosecond);

void diff(benchmark::State& state)
{
  MirroredObject& o = object();
  const auto primary = inspect::Snapshot::take(o.memory, o.primary, o.range);
  const auto view = inspect::Snapshot::take(o.memory, o.view, o.range);
  u64 same = 0;
  for (auto _ : state) {
    const auto d = inspect::Diff::compare(primary, view, o.range);
    same = d.pages(inspect::DiffState::same);
    benchmark::DoNotOptimize(d.pages(inspect::DiffState::same));
  }
  require(same == object_pages, "the diff does not find the view equal");
}
BENCHMARK(diff)->Name("diff of 1 GiB in 4-KiB leaves")->Unit(benchmark::kMicrosecond);

void look(benchmark::State& state)
{
  MirroredObject& o = object();
  inspect::Snapshot primary, view;
  for (auto _ : state) {
    primary.retake(o.memory, o.primary, o.range);
    view.retake(o.memory, o.view, o.range);
    benchmark::DoNotOptimize(inspect::Diff::compare(primary, view, o.range).clean());
  }
}
BENCHMARK(look)->Name("snapshots and diff of 1 GiB in 4-KiB leaves")->Unit(benchmark::kMicrosecond);

void reading_baseline(benchmark::State& state)
{
  MirroredObject& o = object();
  for (auto _ : state) {
    benchmark::DoNotOptimize(read_once(o.memory, o.primary.root.value, o.primary.root_level, 1));
    benchmark::DoNotOptimize(read_once(o.memory, o.view.root.value, o.view.root_level, 7));
  }
}
BENCHMARK(reading_baseline)->Name("diff of 1 GiB in 4-KiB leaves/baseline")->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace morsel::bench

BENCHMARK_MAIN();
