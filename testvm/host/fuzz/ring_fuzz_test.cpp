// SPDX-License-Identifier: GPL-2.0-or-later
//
// The fuzzer's function on guests by chance: what libFuzzer does at length, a little of it in every run of the tests.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <vector>

#include "engine/abi/morsel_points.h"
#include "testvm/host/fuzz/ring_input.hpp"

namespace morsel::testvm {
namespace {

using Bytes = std::vector<std::uint8_t>;

void append(Bytes& bytes, RingStep step, std::initializer_list<unsigned> arguments)
{
  bytes.push_back(static_cast<std::uint8_t>(step));
  for (const unsigned a : arguments) bytes.push_back(static_cast<std::uint8_t>(a));
}

// A leaf of the primary's table, at a page; a word is its low 12 bits, a page of tables, and 12 high bits.
void append_change(Bytes& bytes, unsigned point, unsigned page)
{
  append(bytes, RingStep::record, {0, point, 0, 0, 0, 1, 0, 1, page, 0, 0, 0, 0, 0, 0x67, 0x50, 0x00, 0x00});
}

TEST(RingFuzz, AWellBehavedGuestIsRecorded)
{
  Bytes bytes{0};
  append(bytes, RingStep::word, {0, 0, 0x67, 0x10, 0, 0});  // the primary's root: a table in its first entry
  for (unsigned page = 0; page < 8; ++page) append_change(bytes, MORSEL_POINT_change, page);
  append(bytes, RingStep::look, {});
  append_change(bytes, MORSEL_POINT_change, 9);
  const RingRun run = run_ring_input(bytes);
  EXPECT_EQ(run.records, 9u);
  EXPECT_EQ(run.lost + run.garbage, 0u);
}

TEST(RingFuzz, WhatIsNoRecordAndWhatIsGoneIsCounted)
{
  Bytes bytes{0};
  for (unsigned n = 0; n < 100; ++n) append_change(bytes, MORSEL_POINT_find, n);  // a ring has room for 32
  append(bytes, RingStep::look, {});
  append(bytes, RingStep::cursor, {1, 3});  // three records that nobody has written
  append(bytes, RingStep::look, {});
  const RingRun run = run_ring_input(bytes);
  EXPECT_GE(run.lost, 68u);
  EXPECT_GE(run.garbage, 3u);
}

// Two stale reservations of an operation, and a flush from behind the second to before the first.
TEST(RingFuzz, AFlushThatEndsBeforeItBeginsIsNone)
{
  Bytes bytes{0};
  const auto record = [&](unsigned point, unsigned page, std::initializer_list<unsigned> words) {
    append(bytes, RingStep::record, {0, point, 0, 0, 0, 1, 0, 1, page % 256, page / 256});
    for (const unsigned b : words) bytes.push_back(static_cast<std::uint8_t>(b));
  };
  record(MORSEL_POINT_enter, 0, {0, 0, 0, 0, 0, 0, 0, 0});
  for (const unsigned page : {0x201u, 0x202u}) record(MORSEL_POINT_reserve, page, {0x67, 0x50, 0, 0, 0, 0, 0, 0});
  record(MORSEL_POINT_flush, 0, {0, 0x30, 0, 0, 0, 0x10, 0, 0});  // 0x203000 to 0x201000
  const RingRun run = run_ring_input(bytes);
  EXPECT_EQ(run.records, 4u);
  EXPECT_EQ(run.lost + run.garbage, 0u);
}

TEST(RingFuzz, HoldsOnGuestsByChance)
{
  const char* given = std::getenv("MORSEL_SEED");
  const u64 first = given ? std::strtoull(given, nullptr, 0) : 20261130;
  std::printf("MORSEL_SEED=%llu\n", static_cast<unsigned long long>(first));
  std::mt19937_64 random(first);
  u64 records = 0, changes = 0, garbage = 0;
  for (int run = 0; run < 400; ++run) {
    Bytes bytes(1 + random() % 4000);
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random() % 4 ? random() : random() % 8);
    const RingRun found = run_ring_input(bytes);
    records += found.records;
    changes += found.changes;
    garbage += found.garbage;
  }
  EXPECT_GT(records, 1000u);
  EXPECT_GT(changes, 100u);
  EXPECT_GT(garbage, 100u);
}

}  // namespace
}  // namespace morsel::testvm
