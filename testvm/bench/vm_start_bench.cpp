// SPDX-License-Identifier: GPL-2.0-or-later
//
// From the request for a VM to its agent's greeting, through holder and libvirt, against the same kernel and initramfs
// started by plain QEMU; how long it takes until a VM has gone; and the start of a VM in Bochs. libvirt runs already in
// both cases. Prints one JSON line for each, medians of one run, for scripts/bench.
#include <signal.h>
#include <unistd.h>

#include "testvm/bench/bench.hpp"
#include "testvm/host/domain_xml.hpp"
#include "testvm/host/libvirt_daemons.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::bench {
namespace {

using namespace testvm;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int rounds = 5, bochs_rounds = 3;
constexpr Milliseconds greeting_limit{180'000};

// A folder for the plain QEMU's socket and console, gone with the object.
class Scratch {
 public:
  Scratch()
  {
    char name[] = "/tmp/morsel-start-bench-XXXXXX";
    if (!mkdtemp(name)) throw Failure(Exit::target_lost, "making a temporary folder", errno_text());
    path_ = name;
  }
  ~Scratch()
  {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::filesystem::path file(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

std::vector<std::string> plain_qemu(const VmConfig& config, const std::filesystem::path& console, int channel)
{
  const std::string memory = std::to_string(config.memory_bytes);
  return {find_program("qemu-system-x86_64").value().string(),
          "-nodefaults",
          "-no-user-config",
          "-display",
          "none",
          "-machine",
          "q35,memory-backend=ram",
          "-accel",
          config.accelerator == Accelerator::kvm ? "kvm" : "tcg",
          "-cpu",
          config.accelerator == Accelerator::kvm ? "host,la57=off" : "max,la57=off",
          "-smp",
          std::to_string(config.cpus),
          "-m",
          std::to_string(config.memory_bytes >> 20),
          "-object",
          "memory-backend-memfd,id=ram,share=on,size=" + memory,
          "-kernel",
          config.kernel.string(),
          "-initrd",
          config.initramfs.string(),
          "-append",
          kernel_command_line(config),
          "-no-reboot",
          "-serial",
          "file:" + console.string(),
          "-chardev",
          "socket,id=agent,fd=" + std::to_string(channel),
          "-device",
          "virtio-serial-pci",
          "-device",
          std::string("virtserialport,chardev=agent,name=") + agent_port_name};
}

double start_plain(const VmConfig& config)
{
  const Scratch scratch;
  SocketPair channel = make_socket_pair("making the agent's channel");
  const auto start = Clock::now();
  ChildSetup setup;
  setup.argv = plain_qemu(config, scratch.file("console"), channel.theirs.get());
  setup.kept = {channel.theirs.get()};
  setup.parent_death_signal = SIGKILL;
  const pid_t pid = start_child(setup);
  channel.theirs.reset();
  const auto greeting = read_line(channel.ours.get(), greeting_limit);
  const Seconds took = Clock::now() - start;
  kill(pid, SIGTERM);
  wait_child(pid);
  if (!greeting || !parse_message(*greeting).contains("morsel"))
    throw Failure(Exit::check_failed, "starting plain QEMU", "its agent did not greet");
  return took.count();
}

struct Times {
  double start = 0, stop = 0;
};

// Through holder and libvirt, or without libvirt in Bochs.
Times start_and_end(const VmConfig& config)
{
  const auto start = Clock::now();
  const auto connection = VmConnection::start(config);
  const auto ready = Clock::now();
  connection->request("vm-end");
  if (!connection->wait_for_end(greeting_limit)) throw Failure(Exit::check_failed, "ending a VM", "it does not end");
  return {Seconds(ready - start).count(), Seconds(Clock::now() - ready).count()};
}

// Has no baseline: whoever starts a kernel in Bochs otherwise reads it from a disk.
void run_bochs()
{
  VmConfig config = config_of_build("bench-bochs-" + std::to_string(getpid()));
  config.machine = MachineKind::bochs;
  config.cpus = 1;  // as `vm up --machine bochs` has it
  std::vector<double> starts;
  for (int round = 0; round < bochs_rounds; ++round) starts.push_back(start_and_end(config).start);
  print_row("start of a VM in Bochs", median(starts), "s");
}

void run()
{
  VmConfig config = config_of_build("bench-" + std::to_string(getpid()));
  // The same for both, whatever the machine offers.
  config.accelerator = Accelerator::tcg;
  const Libvirt libvirt = open_libvirt(default_uri(), holder_program());
  start_plain(config);  // both files are in the page cache from here on
  std::vector<double> plain, ours, stops;
  for (int round = 0; round < rounds; ++round) {
    plain.push_back(start_plain(config));
    const Times times = start_and_end(config);
    ours.push_back(times.start);
    stops.push_back(times.stop);
  }
  print_row("start of a VM against plain QEMU", median(ours), "s", median(plain));
  print_row("stop of a VM", median(stops), "s");
  run_bochs();
}

}  // namespace
}  // namespace morsel::bench

int main() { return morsel::bench::run_bench(morsel::bench::run); }
