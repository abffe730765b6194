// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the measurements share: the clock, sizes, random pages, and the worlds that they run in.
//
// Time is the thread's own (CLOCK_THREAD_CPUTIME_ID): what neighbours take does not count. Setting up and giving back
// lie outside of it. Each measurement reports items, so that scripts/bench can say how long one takes.
#pragma once
#include <benchmark/benchmark.h>
#include <time.h>

#include <cstdlib>
#include <iostream>

#include "engine/bench/hand_written.hpp"

namespace morsel::bench {

inline constexpr u64 dense_pages = u64{1} << 20;   // 4 GiB in 4-KiB leaves: 8 MiB of tables
inline constexpr u64 spread_pages = u64{1} << 24;  // 64 GiB: 128 MiB of tables
inline constexpr u64 huge_bytes = spread_pages << page_lg2;

// A measurement of something that gives the wrong answer is worth nothing.
inline void require(bool holds, const char* what)
{
  if (holds) return;
  std::cerr << "engine_bench: " << what << '\n';
  std::exit(1);
}

inline double thread_seconds()
{
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

template <class Work>
void timed(benchmark::State& state, Work&& work)
{
  const double before = thread_seconds();
  work();
  state.SetIterationTime(thread_seconds() - before);
}

inline void count_items(benchmark::State& state, u64 each)
{
  state.SetItemsProcessed(static_cast<std::int64_t>(each) * static_cast<std::int64_t>(state.iterations()));
}

// A permutation of the pages of 64 GiB that looks random: two rounds of an odd factor and a folded shift.
constexpr u64 random_page(u64 n)
{
  constexpr u64 mask = spread_pages - 1;
  n = n * 0x9e37'79b1 & mask;
  n ^= n >> 13;
  n = n * 0x85eb'ca6b & mask;
  return n ^ n >> 11;
}
constexpr u64 random_offset(u64 n) { return random_page(n) << page_lg2; }

// An object whose primary starts at a PUD table, three levels above the pages.
template <Access A>
struct World {
  // Room for every table of the primary, and `more`.
  explicit World(u64 size, u64 more = 0)
      : pool((size >> 21) + (size >> 30) + 2 + more, size >> page_lg2), bytes(size)
  {
    renew();
  }
  void renew()
  {
    pool.reset();
    BenchPlatform<A> p(pool);
    require(bool(create(p, object, bytes, 2)), "no object");
  }
  void fill_up(u64 until)
  {
    BenchPlatform<A> p(pool);
    const auto added = populate(p, object, {0, until}, rights_rw, 0);
    require(added && *added == until >> page_lg2, "the object is not fully populated");
  }
  HandWritten<A> hand() { return HandWritten<A>(pool, bytes, object.primary.root.value); }
  // What was unlinked goes back to the pool.
  void release_unlinked()
  {
    BenchPlatform<A> p(pool);
    for (const RetiredTable& t : pool.unlinked()) release(p, t);
    pool.unlinked().clear();
  }

  Pool pool;
  u64 bytes;
  Object object;
};

// 64 GiB, every page mapped. Nobody changes it.
inline World<Access::live>& spread_world()
{
  static World<Access::live>& w = [&]() -> World<Access::live>& {
    static World<Access::live> made(huge_bytes, spread_pages / 512 + 100);
    made.fill_up(huge_bytes);
    return made;
  }();
  return w;
}

}  // namespace morsel::bench
