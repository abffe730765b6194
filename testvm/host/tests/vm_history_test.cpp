// SPDX-License-Identifier: GPL-2.0-or-later
//
// History against a real kernel: several actors operate by chance at once, and a process of the guest, in whose tables
// the CPU sets bits; between two rounds the trees are looked at in the guest's memory, and compared with what going
// back in the journal shows.
#include <gtest/gtest.h>

#include <future>
#include <set>

#include "engine/session/tests/random_history.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

using session::RandomOperations;
using session::Recorder;
using session::Seen;

// So few that what three of them record at once fits into the rings.
constexpr u64 most_pages = 256;
constexpr std::size_t actors = 3, rounds = 30;

// Maps an object, writes into some of its pages and reads others.
void touch(VmTarget& target, u64 round)
{
  const auto objects = target.objects();
  if (objects.empty()) return;
  const std::string file = "/morsel/" + objects[round % objects.size()].name;
  const u64 first = round * 37 % 1024 * page_bytes;
  target.run_program({"morsel-touch", file, "write:" + std::to_string(first) + "=7",
                      "read:" + std::to_string(first + 64 * page_bytes)});
}

TEST(VmHistory, ShowsWhatStoodInTheGuestsMemory)
{
  const u64 seed = session::first_seed();
  SCOPED_TRACE("MORSEL_SEED=" + std::to_string(seed));
  const auto target = VmTarget::start(test_config());
  RandomOperations shapes(*target, seed, most_pages);
  std::vector<RandomOperations> pages;
  for (std::size_t n = 1; n <= actors; ++n) pages.emplace_back(*target, seed + n, most_pages);
  for (int n = 0; n < 6; ++n) shapes.shape();  // so that there is something to begin with
  Recorder recorder;
  recorder.start(*target);
  std::vector<Seen> seen;
  for (std::size_t round = 0; round < rounds; ++round) {
    shapes.shape();
    recorder.sync(*target);
    std::vector<std::future<void>> at_once;
    for (RandomOperations& each : pages) at_once.push_back(std::async(std::launch::async, [&each] { each.pages(); }));
    touch(*target, round);
    for (auto& each : at_once) each.get();
    seen.emplace_back(*target, recorder);
  }
  ASSERT_TRUE(recorder.on()) << recorder.ended();
  EXPECT_EQ(recorder.chronicle().journal.lost + recorder.chronicle().journal.garbage, 0u);
  ASSERT_GT(recorder.chronicle().journal.size(), 10'000u);
  std::set<u32> who;
  for (const auto& record : recorder.chronicle().journal.records()) who.insert(record.actor_id);
  EXPECT_GT(who.size(), actors);
  session::expect_all_shown(seen, recorder, seed);
  recorder.stop(*target);
}

}  // namespace
}  // namespace morsel::testvm
