// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fuzzer's function on its corpus and on damaged copies of it: what libFuzzer does at length, a little of it in
// every run of the tests, sanitized ones included.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>

#include "engine/session/fuzz/corpus.hpp"
#include "engine/session/journal_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace morsel::session {
namespace {

class JournalFuzz : public testing::Test {
 protected:
  JournalFuzz() : folder_(testing::TempDir() + "/journal-fuzz-" + std::to_string(::getpid()))
  {
    std::filesystem::create_directories(folder_);
    seeds = make_corpus(folder_);
  }
  ~JournalFuzz() override { std::filesystem::remove_all(folder_); }

  std::vector<Seed> seeds;

 private:
  std::string folder_;
};

TEST_F(JournalFuzz, CorpusIsReadableAndShowsABrokenViewOfEveryFormat)
{
  ASSERT_EQ(seeds.size(), format_table.size());
  for (const Seed& seed : seeds) {
    std::vector<u64> words(seed.bytes.size() / sizeof(u64));
    std::memcpy(words.data(), seed.bytes.data(), seed.bytes.size());
    const Chronicle chronicle = read_journal(std::as_bytes(std::span(words)), seed.name);
    EXPECT_GT(chronicle.journal.size(), 50u) << seed.name;
    EXPECT_EQ(LLVMFuzzerTestOneInput(seed.bytes.data(), seed.bytes.size()), 0);
  }
}

// Bits flipped, words replaced, digits of the description changed, the end cut off.
TEST_F(JournalFuzz, HoldsOnDamagedCorpus)
{
  const char* given = std::getenv("MORSEL_SEED");
  const u64 first = given ? std::strtoull(given, nullptr, 0) : 20261120;
  std::printf("MORSEL_SEED=%llu\n", static_cast<unsigned long long>(first));
  std::mt19937_64 random(first);
  for (const Seed& seed : seeds)
    for (int run = 0; run < 60; ++run) {
      std::vector<u8> bytes = seed.bytes;
      for (u64 n = 1 + random() % 4; n-- > 0;) {
        const std::size_t at = random() % bytes.size();
        switch (random() % 4) {
          case 0: bytes[at] ^= static_cast<u8>(1u << random() % 8); break;
          case 1: bytes[at] = static_cast<u8>('0' + random() % 10); break;
          case 2: bytes[random() % 64] = static_cast<u8>(random()); break;
          default: bytes[64 + random() % 4096 % (bytes.size() - 64)] = static_cast<u8>('0' + random() % 10); break;
        }
      }
      if (random() % 8 == 0) bytes.resize(random() % bytes.size());
      ASSERT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
    }
}

}  // namespace
}  // namespace morsel::session
