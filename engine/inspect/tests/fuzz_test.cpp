// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fuzzer's function on its corpus and on damaged copies of it: what libFuzzer does at length, a little of it in
// every run of the tests, sanitized ones included.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <set>

#include "engine/inspect/diff.hpp"
#include "engine/inspect/fuzz/corpus.hpp"
#include "engine/inspect/fuzz/input.hpp"
#include "engine/inspect/snapshot.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace morsel::inspect {
namespace {

// The states that the primary and the view of a seed show, page by page; and that their tables can be read.
std::set<DiffState> states_of(const Seed& seed)
{
  FuzzHeader header{};
  std::memcpy(&header, seed.bytes.data(), sizeof header);
  const std::size_t bytes = align_up(seed.bytes.size() - sizeof header, page_bytes);
  std::vector<u64> words(bytes / sizeof(u64));
  std::memcpy(words.data(), seed.bytes.data() + sizeof header, seed.bytes.size() - sizeof header);
  const PhysicalMemory memory({{memory_start.value, bytes, reinterpret_cast<const std::byte*>(words.data())}});
  const Range range{0, u64{header.range_pages[1]} << page_lg2};
  const auto take = [&](FormatId format, int tree) {
    const PhysAddr root{memory_start.value + (u64{header.root_pages[tree]} << page_lg2)};
    auto snapshot = Snapshot::take(memory, {format, root, header.root_levels[tree]}, range);
    EXPECT_EQ(snapshot.anomaly_count(), 0u) << seed.name;
    EXPECT_GE(snapshot.table_count(), tree == 0 ? 1u : header.root_levels[tree]) << seed.name;
    return snapshot;
  };
  std::set<DiffState> states;
  const Snapshot primary = take(FormatId::amd64, 0), view = take(format_table[header.formats[1]].id, 1);
  const Diff diff = Diff::compare(primary, view, range);
  for (const DiffRun& run : diff.runs()) states.insert(run.state);
  return states;
}

TEST(FuzzCorpus, HasEveryFormatInEveryStateOfAPage)
{
  const auto seeds = make_corpus();
  EXPECT_EQ(seeds.size(), 2 * format_table.size());
  std::set<DiffState> seen;
  for (const Seed& seed : seeds) {
    const std::set<DiffState> states = states_of(seed);
    EXPECT_TRUE(states.contains(DiffState::same)) << seed.name;
    seen.insert(states.begin(), states.end());
  }
  for (const DiffState state : {DiffState::same, DiffState::unfilled, DiffState::stale})
    EXPECT_TRUE(seen.contains(state));
}

TEST(InspectFuzz, HoldsOnItsCorpus)
{
  for (const Seed& seed : make_corpus()) EXPECT_EQ(LLVMFuzzerTestOneInput(seed.bytes.data(), seed.bytes.size()), 0);
}

// Words that point back into memory, lose or gain a bit, or are anything; and inputs that are cut.
TEST(InspectFuzz, HoldsOnDamagedCorpus)
{
  const char* given = std::getenv("MORSEL_SEED");
  const u64 first = given ? std::strtoull(given, nullptr, 0) : 20261120;
  std::printf("MORSEL_SEED=%llu\n", static_cast<unsigned long long>(first));
  std::mt19937_64 random(first);
  for (const Seed& seed : make_corpus())
    for (int run = 0; run < 4000; ++run) {
      std::vector<u8> bytes = seed.bytes;
      for (u64 n = random() % 8; n-- > 0;) {
        const std::size_t at = random() % (bytes.size() / sizeof(u64)) * sizeof(u64);
        u64 word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        switch (random() % 3) {
          case 0: word = memory_start.value + (random() % 20 << page_lg2) + (word | random() % 8) % page_bytes; break;
          case 1: word ^= u64{1} << random() % 64; break;
          default: word = random(); break;
        }
        std::memcpy(bytes.data() + at, &word, sizeof word);
      }
      if (random() % 8 == 0) bytes.resize(random() % bytes.size());
      ASSERT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
    }
}

}  // namespace
}  // namespace morsel::inspect
