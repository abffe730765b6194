// SPDX-License-Identifier: GPL-2.0-or-later
//
// dump_fuzz on its corpus and on damaged copies of it: what libFuzzer does at length, a little of it in every run of
// the tests, sanitized ones included.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>

#include "engine/session/dump_file.hpp"
#include "engine/session/fuzz/dump_corpus.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace morsel::session {
namespace {

TEST(DumpFuzz, CorpusIsReadable)
{
  for (const DumpSeed& seed : make_dump_corpus()) {
    const bool raw = seed.name == "raw";
    const Dump dump = read_dump(std::as_bytes(std::span(seed.bytes)), seed.name,
                                raw ? std::optional(MemoryLayout::flat) : std::nullopt);
    EXPECT_EQ(dump.cpus.empty(), raw) << seed.name;
    EXPECT_EQ(LLVMFuzzerTestOneInput(seed.bytes.data(), seed.bytes.size()), 0);
  }
}

// Bits flipped and words replaced in headers, notes and tables, the end cut off.
TEST(DumpFuzz, HoldsOnDamagedCorpus)
{
  const char* given = std::getenv("MORSEL_SEED");
  const u64 first = given ? std::strtoull(given, nullptr, 0) : 20261120;
  std::printf("MORSEL_SEED=%llu\n", static_cast<unsigned long long>(first));
  std::mt19937_64 random(first);
  constexpr u64 limits[] = {0, 1, 0xfff, 0x1000, 0xffff, 0x100000, ~u64{0}, ~u64{0} - 0xfff, u64{1} << 63};
  for (const DumpSeed& seed : make_dump_corpus())
    for (int run = 0; run < 300; ++run) {
      std::vector<u8> bytes = seed.bytes;
      for (u64 n = 1 + random() % 4; n-- > 0;) {
        const std::size_t part = random() % 2 ? 512 : bytes.size();
        const std::size_t at = random() % (part / 8 - 1) * 8;
        if (random() % 2)
          bytes[at + random() % 8] ^= static_cast<u8>(1u << random() % 8);
        else
          std::memcpy(bytes.data() + at, &limits[random() % std::size(limits)], sizeof(u64));
      }
      if (random() % 8 == 0) bytes.resize(random() % bytes.size());
      ASSERT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
    }
}

}  // namespace
}  // namespace morsel::session
