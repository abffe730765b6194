// SPDX-License-Identifier: GPL-2.0-or-later
//
// Translate, map, unmap, protect and iterate on an object without views, each beside L (hand_written.hpp).
#include "engine/bench/measuring.hpp"

namespace morsel::bench {
namespace {

constexpr u64 translations = u64{1} << 16;

// --- translate ---------------------------------------------------------------------------------------------------

enum class Order : u8 { independent, dependent };

template <Order O, class Translate>
void translate_random(benchmark::State& state, Translate&& translate)
{
  u64 sum = 0;
  u64 next = 0;
  for (auto _ : state) {
    timed(state, [&] {
      for (u64 i = 0; i < translations; ++i) {
        const u64 frame = translate(random_offset(next));
        sum += frame;
        // The next page depends on the frame, which is a number that the compiler does not know.
        next = (O == Order::dependent ? next + (frame >> 48) : next) + 1;
      }
    });
  }
  require(sum != 0, "nothing is mapped");
  count_items(state, translations);
}

template <Order O>
void translate_engine(benchmark::State& state)
{
  auto& w = spread_world();
  BenchPlatform<Access::live> p(w.pool);
  translate_random<O>(state, [&](u64 offset) {
    const auto leaf = lookup_in<PrimaryFormat>(p, SyncPoint::find, w.object.primary, offset);
    return leaf ? leaf->frame.value : 0;
  });
}
template <Order O>
void translate_hand(benchmark::State& state)
{
  const auto hand = spread_world().hand();
  translate_random<O>(state, [&](u64 offset) { return hand.translate(offset); });
}
BENCHMARK(translate_engine<Order::dependent>)->Name("translate, random, dependent")->UseManualTime();
BENCHMARK(translate_hand<Order::dependent>)->Name("translate, random, dependent/baseline")->UseManualTime();
BENCHMARK(translate_engine<Order::independent>)->Name("translate, random, independent")->UseManualTime();
BENCHMARK(translate_hand<Order::independent>)->Name("translate, random, independent/baseline")->UseManualTime();

// --- map ---------------------------------------------------------------------------------------------------------

template <Access A>
World<A>& dense_world()
{
  static World<A> w(dense_pages << page_lg2);
  return w;
}

template <Access A>
void map_range_engine(benchmark::State& state)
{
  auto& w = dense_world<A>();
  BenchPlatform<A> p(w.pool);
  for (auto _ : state) {
    w.renew();
    u64 added = 0;
    timed(state, [&] { added = *populate(p, w.object, {0, w.bytes}, rights_rw, 0); });
    require(added == dense_pages, "not every page was mapped");
  }
  count_items(state, dense_pages);
}
template <Access A>
void map_range_hand(benchmark::State& state)
{
  auto& w = dense_world<A>();
  for (auto _ : state) {
    w.renew();
    auto hand = w.hand();
    bool done = false;
    timed(state, [&] { done = hand.map_range(0, w.bytes); });
    require(done && hand.translate(w.bytes - page_bytes), "not every page was mapped");
  }
  count_items(state, dense_pages);
}

template <Access A, class Page>
void each_page(benchmark::State& state, World<A>& w, u64 pages, Page&& page)
{
  u64 done = 0;
  timed(state, [&] {
    for (u64 i = 0; i < pages; ++i) done += page(i);
  });
  benchmark::DoNotOptimize(w);
  require(done == pages, "not every page was done");
}

template <Access A>
u64 populate_page(BenchPlatform<A>& p, Object& object, u64 offset)
{
  return *populate(p, object, {offset, offset + page_bytes}, rights_rw, 0);
}

template <Access A>
void map_pages_engine(benchmark::State& state)
{
  auto& w = dense_world<A>();
  BenchPlatform<A> p(w.pool);
  for (auto _ : state) {
    w.renew();
    each_page(state, w, dense_pages, [&](u64 i) { return populate_page(p, w.object, i << page_lg2); });
  }
  count_items(state, dense_pages);
}
template <Access A>
u64 map_by_hand(HandWritten<A>& hand, u64 offset)
{
  return hand.map_page(offset, offset + page_bytes, HandWritten<A>::leaf_rw);
}
u64 map_by_bare_hand(HandWritten<Access::sole>& hand, u64 offset)
{
  return hand.map_page_bare(offset, HandWritten<Access::sole>::leaf_rw);
}
template <Access A, auto MapByHand>
void map_pages_hand(benchmark::State& state)
{
  auto& w = dense_world<A>();
  for (auto _ : state) {
    w.renew();
    auto hand = w.hand();
    each_page(state, w, dense_pages, [&](u64 i) { return MapByHand(hand, i << page_lg2); });
  }
  count_items(state, dense_pages);
}

template <Access A>
World<A>& huge_world()
{
  static World<A> w(huge_bytes);
  return w;
}
constexpr u64 random_pages = u64{1} << 19;

template <Access A>
void map_random_engine(benchmark::State& state)
{
  auto& w = huge_world<A>();
  BenchPlatform<A> p(w.pool);
  for (auto _ : state) {
    w.renew();
    each_page(state, w, random_pages, [&](u64 i) { return populate_page(p, w.object, random_offset(i)); });
  }
  count_items(state, random_pages);
}
template <Access A, auto MapByHand>
void map_random_hand(benchmark::State& state)
{
  auto& w = huge_world<A>();
  for (auto _ : state) {
    w.renew();
    auto hand = w.hand();
    each_page(state, w, random_pages, [&](u64 i) { return MapByHand(hand, random_offset(i)); });
  }
  count_items(state, random_pages);
}

// --- unmap -------------------------------------------------------------------------------------------------------

enum class Tables : u8 { kept, dropped };

// Tables are kept, and emptied leaf by leaf, where a process may have them attached.
template <Access A>
void fill_for_unmap(World<A>& w, Tables tables)
{
  w.renew();
  w.fill_up(w.bytes);
  w.object.primary.attached.value = tables == Tables::kept ? 1 : 0;
}

template <Access A, Tables T>
void unmap_range_engine(benchmark::State& state)
{
  auto& w = dense_world<A>();
  BenchPlatform<A> p(w.pool);
  for (auto _ : state) {
    fill_for_unmap(w, T);
    u64 pages = 0;
    timed(state, [&] { pages = *unmap(p, w.object, {0, w.bytes}); });
    require(pages == dense_pages, "not every page was unmapped");
  }
  count_items(state, dense_pages);
}
template <Access A, Tables T>
void unmap_range_hand(benchmark::State& state)
{
  auto& w = dense_world<A>();
  for (auto _ : state) {
    fill_for_unmap(w, T);
    auto hand = w.hand();
    u64 pages = 0;
    timed(state, [&] { pages = T == Tables::kept ? hand.unmap_range(0, w.bytes) : hand.unmap_subtrees(0, w.bytes); });
    require(pages == dense_pages, "not every page was unmapped");
  }
  count_items(state, dense_pages);
}

template <Access A>
void unmap_pages_engine(benchmark::State& state)
{
  auto& w = dense_world<A>();
  BenchPlatform<A> p(w.pool);
  for (auto _ : state) {
    fill_for_unmap(w, Tables::dropped);
    each_page(state, w, dense_pages, [&](u64 i) {
      return *unmap(p, w.object, {i << page_lg2, (i + 1) << page_lg2});
    });
  }
  count_items(state, dense_pages);
}
template <Access A>
u64 unmap_by_hand(HandWritten<A>& hand, u64 offset)
{
  return hand.unmap_page(offset, offset + page_bytes);
}
u64 unmap_by_bare_hand(HandWritten<Access::sole>& hand, u64 offset) { return hand.unmap_page_bare(offset); }
template <Access A, auto UnmapByHand>
void unmap_pages_hand(benchmark::State& state)
{
  auto& w = dense_world<A>();
  for (auto _ : state) {
    fill_for_unmap(w, Tables::dropped);
    auto hand = w.hand();
    each_page(state, w, dense_pages, [&](u64 i) { return UnmapByHand(hand, i << page_lg2); });
  }
  count_items(state, dense_pages);
}

// --- protect -----------------------------------------------------------------------------------------------------

template <Access A>
World<A>& populated_world()
{
  static World<A>& w = []() -> World<A>& {
    static World<A> made(dense_pages << page_lg2);
    made.fill_up(made.bytes);
    return made;
  }();
  return w;
}

template <Access A>
void protect_engine(benchmark::State& state)
{
  auto& w = populated_world<A>();
  BenchPlatform<A> p(w.pool);
  for (auto _ : state) {
    u64 there = 0, back = 0;
    timed(state, [&] {
      there = *protect(p, w.object, {0, w.bytes}, right_read);
      back = *protect(p, w.object, {0, w.bytes}, rights_rw);
    });
    require(there == dense_pages && back == dense_pages, "not every page was protected");
  }
  count_items(state, 2 * dense_pages);
}
template <Access A>
void protect_hand(benchmark::State& state)
{
  auto& w = populated_world<A>();
  auto hand = w.hand();
  for (auto _ : state) {
    u64 there = 0, back = 0;
    timed(state, [&] {
      there = hand.protect_range(0, w.bytes, false);
      back = hand.protect_range(0, w.bytes, true);
    });
    require(there == dense_pages && back == dense_pages, "not every page was protected");
  }
  count_items(state, 2 * dense_pages);
}

// --- iterate -----------------------------------------------------------------------------------------------------

constexpr u64 sparse_distance = 32;

World<Access::sole>& sparse_world()
{
  static World<Access::sole>& w = []() -> World<Access::sole>& {
    static World<Access::sole> made(dense_pages << page_lg2);
    BenchPlatform<Access::sole> p(made.pool);
    for (u64 i = 0; i < dense_pages; i += sparse_distance)
      require(populate_page(p, made.object, i << page_lg2) == 1, "a page is mapped already");
    return made;
  }();
  return w;
}
World<Access::sole>& world_to_iterate(bool sparse)
{
  return sparse ? sparse_world() : populated_world<Access::sole>();
}

template <bool Sparse>
void iterate_engine(benchmark::State& state)
{
  auto& w = world_to_iterate(Sparse);
  BenchPlatform<Access::sole> p(w.pool);
  const u64 leaves = Sparse ? dense_pages / sparse_distance : dense_pages;
  for (auto _ : state) {
    u64 found = 0, sum = 0;
    timed(state, [&] {
      visit_range<PrimaryFormat>(p, SyncPoint::find, w.object.primary, {0, w.bytes},
                                 [&](const EntryRef& e, u64 word, EntryKind kind) {
                                   if (kind != EntryKind::leaf) return;
                                   ++found;
                                   sum += word ^ e.offset;
                                 });
    });
    benchmark::DoNotOptimize(sum);
    require(found == leaves, "not every leaf was visited");
  }
  count_items(state, leaves);
}
template <bool Sparse>
void iterate_hand(benchmark::State& state)
{
  auto& w = world_to_iterate(Sparse);
  const auto hand = w.hand();
  const u64 leaves = Sparse ? dense_pages / sparse_distance : dense_pages;
  for (auto _ : state) {
    u64 found = 0, sum = 0;
    timed(state, [&] {
      hand.iterate(0, w.bytes, [&](u64 offset, u64 word) {
        ++found;
        sum += word ^ offset;
      });
    });
    benchmark::DoNotOptimize(sum);
    require(found == leaves, "not every leaf was visited");
  }
  count_items(state, leaves);
}

void pair(const std::string& name, void (*engine)(benchmark::State&), void (*hand)(benchmark::State&))
{
  benchmark::RegisterBenchmark(name.c_str(), engine)->UseManualTime();
  benchmark::RegisterBenchmark((name + "/baseline").c_str(), hand)->UseManualTime();
}

template <Access A>
void register_changes(const std::string& who)
{
  pair("map a range, " + who, map_range_engine<A>, map_range_hand<A>);
  pair("map page by page, " + who, map_pages_engine<A>, map_pages_hand<A, map_by_hand<A>>);
  pair("map random pages, " + who, map_random_engine<A>, map_random_hand<A, map_by_hand<A>>);
  pair("unmap a range leaf by leaf, " + who, unmap_range_engine<A, Tables::kept>, unmap_range_hand<A, Tables::kept>);
  pair("unmap a range as subtrees, " + who, unmap_range_engine<A, Tables::dropped>,
       unmap_range_hand<A, Tables::dropped>);
  pair("unmap page by page, " + who, unmap_pages_engine<A>, unmap_pages_hand<A, unmap_by_hand<A>>);
  pair("protect a range, " + who, protect_engine<A>, protect_hand<A>);
}

[[maybe_unused]] const bool registered = [] {
  register_changes<Access::sole>("sole");
  register_changes<Access::live>("live");
  constexpr Access sole = Access::sole;
  pair("map page by page, sole, by a bare L", map_pages_engine<sole>, map_pages_hand<sole, map_by_bare_hand>);
  pair("map random pages, sole, by a bare L", map_random_engine<sole>, map_random_hand<sole, map_by_bare_hand>);
  pair("unmap page by page, sole, by a bare L", unmap_pages_engine<sole>, unmap_pages_hand<sole, unmap_by_bare_hand>);
  pair("iterate, dense", iterate_engine<false>, iterate_hand<false>);
  pair("iterate, sparse", iterate_engine<true>, iterate_hand<true>);
  return true;
}();

}  // namespace
}  // namespace morsel::bench
