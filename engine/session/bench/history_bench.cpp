// SPDX-License-Identifier: GPL-2.0-or-later
//
// Going anywhere in a journal of a million records: each changes an entry somewhere in an object of 1 GiB.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <random>

#include "engine/morsel/object.hpp"
#include "engine/session/history.hpp"

namespace morsel::bench {
namespace {

using session::History;

constexpr u64 records = 1'000'000, memory_start = u64{1} << 30, object_bytes = u64{1} << 30;

// The tables of an object whose every page has a leaf table: a root, then 512 of them.
struct Tables {
  Tables() : words(513 * 512)
  {
    for (u64 i = 0; i < 512; ++i)
      words[i] = PrimaryFormat::make_table({memory_start + (i + 1) * page_bytes}, 1);
    memory = inspect::PhysicalMemory(
        {{memory_start, words.size() * sizeof(u64), reinterpret_cast<const std::byte*>(words.data())}});
    object.name = "bench";
    object.id = 1;
    object.bytes = object_bytes;
    object.root = {memory_start};
    object.root_level = 1;
  }
  std::vector<u64> words;
  inspect::PhysicalMemory memory;
  session::ObjectState object;
};

History& history()
{
  static History* const made = [] {
    const Tables tables;
    auto* const h = new History(tables.memory, {tables.object});
    std::vector<u64> now(object_bytes / page_bytes);
    std::mt19937_64 random(20261120);
    std::vector<session::JournalRecord> all(records);
    for (u64 n = 0; n < records; ++n) {
      const u64 page = random() % now.size();
      const u64 after = now[page] != 0 ? 0 : PrimaryFormat::make_leaf({(n + 1) << page_lg2}, 0, {rights_rw});
      all[n].sequence = n + 1;
      all[n].object_offset = page * page_bytes;
      all[n].before = std::exchange(now[page], after);
      all[n].after = after;
      all[n].object_id = 1;
      all[n].point = MORSEL_POINT_change;
    }
    h->append(all, {tables.object}, {}, tables.memory);
    return h;
  }();
  return *made;
}

void jump(benchmark::State& state)
{
  History& h = history();
  std::mt19937_64 random(7);
  for (auto _ : state) h.go_to(random() % (records + 1));
  if (!h.is_exact(h.position())) std::abort();
}
BENCHMARK(jump)->Name("jump anywhere in 1,000,000 records")->Unit(benchmark::kMillisecond);

void from_end_to_end(benchmark::State& state)
{
  History& h = history();
  h.go_to(0);
  for (auto _ : state) h.go_to(h.position() == 0 ? records : 0);
}
BENCHMARK(from_end_to_end)->Name("undo or do 1,000,000 records")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace morsel::bench

BENCHMARK_MAIN();
