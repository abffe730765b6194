// SPDX-License-Identifier: GPL-2.0-or-later
//
// What watching a VM costs: points recorded in a second without loss while the host reads along, and a stepped point's
// round trip against a bare request that the agent only echoes, through the same channel. Prints one JSON line each.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>

#include "testvm/host/libvirt_daemons.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr u64 mebibyte = u64{1} << 20;
constexpr session::Milliseconds limit{60'000};

double median(std::vector<double> values)
{
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

template <class Work>
double seconds(Work&& work)
{
  const auto start = Clock::now();
  work();
  return Seconds(Clock::now() - start).count();
}

// By the records' own times: what was lost would be in none of them, so a loss is a failure here.
double journal_rate(VmTarget& target)
{
  target.journal()->record(true);
  auto work = std::async(std::launch::async, [&] {
    target.populate("bench", {0, 64 * mebibyte}, rights_rw, 0);
    target.unmap("bench", {0, 64 * mebibyte});
  });
  u64 records = 0, lost = 0, first = 0, last = 0;
  const auto read = [&] {
    const auto found = target.journal()->read();
    lost += found.lost + found.garbage;
    if (found.records.empty()) return;
    if (records == 0) first = found.records.front().time_ns;
    last = found.records.back().time_ns;
    records += found.records.size();
  };
  while (work.wait_for(session::Milliseconds(1)) != std::future_status::ready) read();
  read();
  work.get();
  target.journal()->record(false);
  if (lost || records < 2)
    throw Failure(Exit::check_failed, "recording", std::to_string(lost) + " of the journal's records were lost");
  return static_cast<double>(records) / (static_cast<double>(last - first) / 1e9);
}

struct Trips {
  double step = 0, echo = 0;
};

Trips round_trips(VmTarget& target)
{
  auto& stepping = *target.stepping();
  stepping.stop(limit);
  auto work = std::async(std::launch::async, [&] { target.populate("bench", {0, mebibyte}, rights_rw, 0); });
  std::vector<session::ActorState> actors;
  while (actors.empty() || actors[0].waits != session::ActorWaits::at_point) actors = stepping.actors();
  std::vector<double> steps, echoes;
  for (int round = 0; round < 200; ++round) {
    steps.push_back(seconds([&] { stepping.step(actors[0].id, limit); }));
    echoes.push_back(seconds([&] { target.connection().request("inject-list"); }));
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
  target->create_object("bench", 64 * mebibyte, {});
  std::printf(R"({"name": "points recorded in the VM without loss", "value": %.0f, "unit": "points/s"})"
              "\n",
              journal_rate(*target));
  const Trips trips = round_trips(*target);
  std::printf(
      R"({"name": "a stepped point's round trip against a bare one", "value": %.1f, "unit": "us", "baseline": %.1f})"
      "\n",
      trips.step * 1e6, trips.echo * 1e6);
}

}  // namespace
}  // namespace morsel::testvm

int main()
{
  try {
    morsel::testvm::run();
    return 0;
  } catch (const morsel::session::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
