// SPDX-License-Identifier: GPL-2.0-or-later
//
// Views: fills, and changes of the primary that have to tell them. Everything here is live: locked accesses, sections.
#include <barrier>
#include <thread>

#include "engine/bench/measuring.hpp"

namespace morsel::bench {
namespace {

using Live = BenchPlatform<Access::live>;
using LiveWorld = World<Access::live>;

void add(LiveWorld& w, View& view, TreeId number)
{
  Live p(w.pool);
  require(bool(add_view(p, w.object, view, FormatId::ept, number)), "no view");
}

// Fills each `distance`th page of a range, and returns how many were not there.
u64 fill_range(Pool& pool, Object& object, View& view, Range range, u64 distance = 1)
{
  Live p(pool);
  u64 filled = 0;
  for (u64 offset = range.start; offset < range.end; offset += distance << page_lg2) {
    const auto outcome = fill(p, object, view, offset, right_read);
    filled += outcome && *outcome == FillOutcome::filled;
  }
  return filled;
}

// --- fill --------------------------------------------------------------------------------------------------------

constexpr u64 fills = u64{1} << 14;

// A view of the 64-GiB object that has all its tables, and one leaf in each. Every random page comes once.
struct SpreadView {
  SpreadView() { renew(); }
  void renew()
  {
    if (view.tree.root.value) {
      Live p(world.pool);
      drop_view(p, world.object, view);
      for (const RetiredTable& t : world.pool.unlinked()) release_table<EptL4>(p, t.tree, t.level, t.table);
      world.pool.unlinked().clear();
    }
    add(world, view, 1);
    require(fill_range(world.pool, world.object, view, {0, huge_bytes}, 512) == spread_pages / 512, "not all tables");
    next = 0;
  }
  LiveWorld& world = spread_world();
  View view;
  u64 next = 0;
};
SpreadView& spread_view()
{
  static SpreadView v;
  return v;
}

void fill_random(benchmark::State& state)
{
  SpreadView& v = spread_view();
  Live p(v.world.pool);
  u64 filled = 0;
  for (auto _ : state) {
    if (v.next + fills > spread_pages) v.renew();
    u64 n = v.next;
    timed(state, [&] {
      for (u64 i = 0; i < fills; ++i) {
        const auto outcome = *fill(p, v.world.object, v.view, random_offset(n), right_read);
        filled += outcome == FillOutcome::filled;
        n += 1 + (static_cast<u64>(outcome) >> 7);  // the next page depends on this one
      }
    });
    v.next = n;
  }
  const u64 all = fills * static_cast<u64>(state.iterations());
  require(filled <= all && filled > all - all / 100, "pages were there before");
  count_items(state, fills);
}

void fill_random_translate(benchmark::State& state)
{
  auto& w = spread_world();
  Live p(w.pool);
  u64 n = 0, found = 0;
  for (auto _ : state) {
    timed(state, [&] {
      for (u64 i = 0; i < fills; ++i) {
        const auto leaf = lookup_in<PrimaryFormat>(p, SyncPoint::find, w.object.primary, random_offset(n));
        found += bool(leaf);
        n += 1 + (leaf->frame.value >> 48);
      }
    });
  }
  require(found == fills * static_cast<u64>(state.iterations()), "a page is not mapped");
  count_items(state, fills);
}
BENCHMARK(fill_random)->Name("fill of a view, random, dependent")->UseManualTime();
BENCHMARK(fill_random_translate)->Name("fill of a view, random, dependent/baseline")->UseManualTime();

// --- changes -----------------------------------------------------------------------------------------------------

constexpr u64 change_pages = u64{1} << 16;

LiveWorld& change_world()
{
  static LiveWorld w(change_pages << page_lg2, change_pages / 512 + 16 * 4);
  return w;
}

// A view that has every page, in tables that a process may have attached: each leaf must be exchanged.
struct FullView {
  explicit FullView(LiveWorld& w) : world(w)
  {
    world.renew();
    world.fill_up(world.bytes);
    add(world, view, 1);
    view.tree.attached.value = 1;
  }
  void fill()
  {
    require(fill_range(world.pool, world.object, view, {0, world.bytes}) == change_pages, "pages were there before");
  }
  LiveWorld& world;
  View view;
};

void change_engine(benchmark::State& state)
{
  FullView full(change_world());
  Live p(full.world.pool);
  Rights rights = right_read;
  for (auto _ : state) {
    full.fill();
    u64 pages = 0;
    timed(state, [&] { pages = *protect(p, full.world.object, {0, full.world.bytes}, rights); });
    require(pages == change_pages, "not every page was protected");
    rights = rights == right_read ? rights_rw : right_read;
  }
  count_items(state, change_pages);
}
void change_hand(benchmark::State& state)
{
  FullView full(change_world());
  auto hand = full.world.hand();
  bool write = false;
  for (auto _ : state) {
    full.fill();
    u64 pages = 0, found = 0;
    timed(state, [&] {
      pages = hand.protect_range(0, full.world.bytes, write);
      found = hand.invalidate_range(full.view.tree.root.value, 0, full.world.bytes);
    });
    require(pages == change_pages && found == change_pages, "not every page was protected");
    write = !write;
  }
  count_items(state, change_pages);
}
BENCHMARK(change_engine)->Name("protect a range, one full view")->UseManualTime();
BENCHMARK(change_hand)->Name("protect a range, one full view/baseline")->UseManualTime();

// A range of one table, again and again, with views that have nothing.
template <u64 Views>
void change_untouched(benchmark::State& state)
{
  auto& w = change_world();
  w.renew();
  w.fill_up(w.bytes);
  std::array<View, 8> views{};
  for (TreeId n = 1; n <= Views; ++n) add(w, views[n - 1u], n);
  Live p(w.pool);
  constexpr u64 range_pages = 512;
  for (auto _ : state) {
    u64 pages = 0;
    timed(state, [&] {
      for (u64 start = 0; start < w.bytes; start += range_pages << page_lg2)
        for (const Rights rights : {right_read, rights_rw})
          pages += *protect(p, w.object, {start, start + (range_pages << page_lg2)}, rights);
    });
    require(pages == 2 * change_pages, "not every page was protected");
  }
  count_items(state, 2 * change_pages);
}
BENCHMARK(change_untouched<8>)->Name("protect 2 MiB, 8 views that have nothing")->UseManualTime();
BENCHMARK(change_untouched<0>)->Name("protect 2 MiB, 8 views that have nothing/baseline")->UseManualTime();

// --- two threads -------------------------------------------------------------------------------------------------

// Fills a view of `change_pages` pages by Threads threads, each its own part. The time is that of the slowest.
template <u64 Threads>
void fill_by_threads(benchmark::State& state)
{
  auto& w = change_world();
  static std::array<Pool, 2> pools{Pool(change_pages / 512 + 8, 1), Pool(change_pages / 512 + 8, 1)};
  for (auto _ : state) {
    w.renew();
    w.fill_up(w.bytes);
    View view;
    add(w, view, 1);
    std::array<double, Threads> seconds{};
    std::array<u64, Threads> filled{};
    std::barrier start(Threads);
    const auto work = [&](u64 n) {
      pools[n].reset();
      pools[n].set_first_token(n << 40);
      const u64 part = w.bytes / Threads;
      start.arrive_and_wait();
      const double before = thread_seconds();
      filled[n] = fill_range(pools[n], w.object, view, {n * part, (n + 1) * part});
      seconds[n] = thread_seconds() - before;
    };
    std::vector<std::thread> threads;
    for (u64 n = 0; n < Threads; ++n) threads.emplace_back(work, n);
    for (std::thread& t : threads) t.join();
    u64 all = 0;
    for (const u64 n : filled) all += n;
    require(all == change_pages, "not every page was filled");
    state.SetIterationTime(*std::max_element(seconds.begin(), seconds.end()));
  }
  count_items(state, change_pages);
}
BENCHMARK(fill_by_threads<2>)->Name("two threads fill disjoint ranges")->UseManualTime();
BENCHMARK(fill_by_threads<1>)->Name("two threads fill disjoint ranges/baseline")->UseManualTime();

}  // namespace
}  // namespace morsel::bench
