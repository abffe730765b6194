// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the gate, the journal and fault injection cost while nobody observes: a page fault with the module, whose static
// key is off, against a module that was built without observation, loaded in turn into one VM. Prints one JSON line
// for the key that was never on, and one for the key that was on and is off again. How far two series of the module
// without observation are apart is told beside.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "testvm/bench/bench.hpp"
#include "testvm/host/libvirt_daemons.hpp"
#include "testvm/host/vm_target.hpp"
#include "testvm/image/image.hpp"

namespace morsel::bench {
namespace {

using namespace testvm;
using Series = std::vector<double>;

constexpr int rounds = 12;
constexpr const char* other_module = "/lib/morsel/unobserved.ko";

// What disturbs a measurement only ever makes it longer.
double least(const Series& values) { return *std::min_element(values.begin(), values.end()); }

VmConfig config_with_both_modules()
{
  VmConfig config = config_of_build("observe-bench-" + std::to_string(getpid()));
  ImageInputs inputs = inputs_of_build(find_build_folder());
  inputs.extra.push_back({find_build_folder() / "kmod/unobserved/morsel.ko", other_module, 0644});
  inputs.output = inputs.output.parent_path() / "both-modules.cpio";
  config.initramfs = build_image(inputs);
  return config;
}

std::string run(VmTarget& target, const std::vector<std::string>& argv)
{
  const session::ProgramResult result = target.run_program(argv);
  if (result.exit_status != 0) throw Failure(Exit::check_failed, argv[0], result.output + result.errors);
  return result.output;
}

double nanoseconds_of_a_fault(VmTarget& target) { return std::strtod(run(target, {"morsel-fault-bench"}).c_str(), {}); }

void load_observed(VmTarget& target)
{
  target.connection().request("module-unload");
  target.connection().request("module-load");
}

void load_unobserved(VmTarget& target)
{
  target.connection().request("module-unload");
  run(target, {"sh", "-c", std::string("insmod ") + other_module + " && mount -t morselfs morselfs /morsel"});
}

void switch_on_and_off(VmTarget& target)
{
  constexpr session::Milliseconds limit{60'000};
  target.journal()->record(true);
  target.stepping()->stop(limit);
  target.stepping()->run();
  target.journal()->record(false);
}

void show(const char* name, const Series& series, const Series& without)
{
  print_row(name, least(series), "ns", least(without));
}

void run()
{
  const Libvirt libvirt = open_libvirt(default_uri(), holder_program());
  const auto target = VmTarget::start(config_with_both_modules());
  Series never_on, off_again, without, without_again;
  for (int round = 0; round < rounds; ++round) {
    load_observed(*target);
    never_on.push_back(nanoseconds_of_a_fault(*target));
    load_unobserved(*target);
    without.push_back(nanoseconds_of_a_fault(*target));
    load_observed(*target);
    switch_on_and_off(*target);
    off_again.push_back(nanoseconds_of_a_fault(*target));
    load_unobserved(*target);
    without_again.push_back(nanoseconds_of_a_fault(*target));
  }
  std::fprintf(stderr, "without observation, twice: %.0f and %.0f ns\n", least(without), least(without_again));
  without.insert(without.end(), without_again.begin(), without_again.end());
  show("a fault, the static key never on, against none", never_on, without);
  show("a fault, the static key off again, against none", off_again, without);
}

}  // namespace
}  // namespace morsel::bench

int main() { return morsel::bench::run_bench(morsel::bench::run); }
