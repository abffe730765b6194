// SPDX-License-Identifier: GPL-2.0-or-later
//
// What watching a VM costs: points that a session records in a second without loss, and a stepped point's
// round trip against a bare request that the agent only echoes, through the same channel. Prints one JSON line each.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <future>
#include <thread>

#include "engine/session/recorder.hpp"
#include "testvm/bench/bench.hpp"
#include "testvm/host/libvirt_daemons.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::bench {
namespace {

using namespace testvm;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr session::Milliseconds limit{60'000};

struct Recorded {
  double seconds = 0;
  u64 records = 0, lost = 0;
  double rate() const { return static_cast<double>(records + lost) / seconds; }
};

// What a session's recorder has of `work`.
template <class Work>
Recorded record(VmTarget& target, Work&& work)
{
  session::Recorder recorder;
  recorder.start(target);
  Recorded result;
  result.seconds = seconds(std::forward<Work>(work));
  recorder.stop(target);
  if (!recorder.ended().empty()) throw Failure(Exit::target_lost, "record a journal", recorder.ended());
  const session::Journal& journal = recorder.chronicle().journal;
  result.lost = journal.lost + journal.garbage;
  result.records = journal.size() + journal.forgotten;
  return result;
}

// An object for each of the guest's CPUs: all its rings fill at once.
constexpr std::array<const char*, 2> names{"bench", "beside"};

void fill_and_empty(VmTarget& target, u64 bytes)
{
  const auto one = [&](const char* name) {
    target.populate(name, {0, bytes}, rights_rw, 0);
    target.unmap(name, {0, bytes});
  };
  auto beside = std::async(std::launch::async, [&] { one(names[1]); });
  one(names[0]);
  beside.get();
}

Recorded as_fast_as_it_can(VmTarget& target)
{
  return record(target, [&] {  // many times what the rings hold
    const auto start = Clock::now();
    while (Clock::now() - start < std::chrono::seconds(2)) fill_and_empty(target, 64 * mebibyte);
  });
}

// Bursts of some thousand records, each as soon as the goal's rate is due for it: so the mean rate is that of the goal,
// or a little above, on a machine that can do more.
Recorded at_the_goal(VmTarget& target)
{
  constexpr double goal = 200'000;
  const auto burst = [&] { fill_and_empty(target, mebibyte); };
  const u64 records_of_burst = record(target, burst).records;
  return record(target, [&] {
    const auto start = Clock::now();
    for (u64 done = 0; Clock::now() - start < std::chrono::seconds(2); done += records_of_burst) {
      const auto due = start + std::chrono::duration_cast<Clock::duration>(Seconds(static_cast<double>(done) / goal));
      std::this_thread::sleep_until(due);  // tidy: may sleep: the pace is what is asked for
      burst();
    }
  });
}

void show_journal(VmTarget& target)
{
  const Recorded fast = as_fast_as_it_can(target);
  std::fprintf(stderr, "as fast as it can: %.0f points/s, %s of %s records lost\n", fast.rate(),
               std::to_string(fast.lost).c_str(), std::to_string(fast.records + fast.lost).c_str());
  const Recorded paced = fast.lost ? at_the_goal(target) : fast;
  if (paced.lost)
    throw Failure(
        Exit::check_failed, "recording " + std::to_string(static_cast<u64>(paced.rate())) + " points/s",
        std::to_string(paced.lost) + " of " + std::to_string(paced.records + paced.lost) + " records were lost",
        "the reader has to run every few milliseconds: is this machine busy with something else?");
  print_row("points recorded in the VM without loss", paced.rate(), "points/s");
}

struct Trips {
  double step = 0, echo = 0;
};

Trips round_trips(VmTarget& target)
{
  auto& stepping = *target.stepping();
  stepping.stop(limit);
  auto work = std::async(std::launch::async, [&] { target.populate(names[0], {0, mebibyte}, rights_rw, 0); });
  std::vector<session::ActorState> actors;
  while (actors.empty() || actors[0].waits != session::ActorWaits::at_point) actors = stepping.actors();
  std::vector<double> steps, echoes;
  for (int round = 0; round < 200; ++round) {
    steps.push_back(seconds([&] { stepping.step(actors[0].id, limit); }));
    echoes.push_back(seconds([&] { target.connection().request("echo"); }));
  }
  stepping.run();
  work.get();
  return {median(steps), median(echoes)};
}

void run()
{
  const Libvirt libvirt = open_libvirt(default_uri(), holder_program());
  VmConfig config = config_of_build("session-bench-" + std::to_string(getpid()));
  config.accelerator = Accelerator::tcg;
  const auto target = VmTarget::start(config);
  for (const char* name : names) target->create_object(name, 64 * mebibyte, {});
  show_journal(*target);
  const Trips trips = round_trips(*target);
  print_row("a stepped point's round trip against a bare one", trips.step * 1e6, "us", trips.echo * 1e6);
}

}  // namespace
}  // namespace morsel::bench

int main() { return morsel::bench::run_bench(morsel::bench::run); }
