// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/bochs_machine.hpp"

#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "testvm/agent/port.hpp"
#include "testvm/bochs/boot.hpp"
#include "testvm/bochs/configuration.hpp"
#include "testvm/host/domain_xml.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

// The program itself: /usr/bin/bochs is a script that starts it.
constexpr const char* program_name = "bochs-bin";
constexpr const char* bios[] = {"/usr/share/bochs/BIOS-bochs-latest", "/usr/share/bochs/VGABIOS-lgpl-latest"};
constexpr u32 most_cpus = 8;

fs::path bridge()
{
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path() / "morsel-bochs-bridge.so";
}

void check_bochs_config(const VmConfig& config)
{
  const std::string tried = "starting the VM '" + config.name + "' in Bochs";
  if (const std::string missing = missing_for_bochs(); !missing.empty())
    throw Failure(Exit::skipped, tried, missing, bochs_advice);
  if (config.iommu != Iommu::none) throw Failure(Exit::usage, tried, "Bochs has no IOMMU", "use QEMU for it");
  if (config.paging == Paging::five_levels)
    throw Failure(Exit::usage, tried, "Bochs' CPUs have no 5-level paging", "use QEMU for it");
  if (config.accelerator != Accelerator::automatic)
    throw Failure(Exit::usage, tried, "Bochs interprets every instruction: there is no accelerator to choose",
                  "leave it out");
  constexpr u64 least = 128 * mebibyte, most = 2048 * mebibyte, granule = 2 * mebibyte;
  if (config.memory_bytes < least || config.memory_bytes > most || config.memory_bytes % granule != 0)
    throw Failure(Exit::usage, tried, std::to_string(config.memory_bytes) + " bytes of memory",
                  "use 128 MiB to 2 GiB, in steps of 2 MiB");
  if (config.cpus == 0 || config.cpus > most_cpus)
    throw Failure(Exit::usage, tried, std::to_string(config.cpus) + " CPUs", "use 1 to " + std::to_string(most_cpus));
}

// The kernel's tests of its own cryptography take as long as the rest of the start.
std::string command_line(const VmConfig& config)
{
  return kernel_command_line(config) + " cryptomgr.notests " + agent::port_variable + "=/dev/ttyS1";
}

// "2.7" of "Bochs x86 Emulator 2.7".
std::string version_of(const fs::path& program)
{
  constexpr Milliseconds limit{10'000};
  const std::string text = output_of({program.string(), "--help"}, limit).value_or("");
  const std::string words = "Bochs x86 Emulator ";
  const auto at = text.find(words);
  if (at == std::string::npos) return "of an unknown version";
  return text.substr(at + words.size(), text.find_first_of(" \n", at + words.size()) - at - words.size());
}

}  // namespace

std::string missing_for_bochs()
{
  if (!find_program(program_name)) return "Bochs is not installed";
  for (const char* file : bios)
    if (access(file, R_OK) != 0) return std::string(file) + " is missing";
  if (access(bridge().c_str(), R_OK) != 0) return bridge().string() + " is missing (target `morsel-bochs-bridge`)";
  return {};
}

BochsMachine::BochsMachine(const VmConfig& config, const VmPaths& paths, Stopped stopped)
    : config_(config),
      paths_(paths),
      rom_(paths.folder / "boot.rom"),
      configuration_(paths.folder / "bochsrc"),
      commands_(paths.folder / "bochs.commands"),
      log_(paths.folder / "bochs.log"),
      stopped_(std::move(stopped))
{
  check_bochs_config(config);
}

BochsMachine::~BochsMachine() { end(); }

UniqueFd BochsMachine::start(VmInfo& info)
{
  make_memory();
  write_files();
  UniqueFd channel = start_bochs();
  info.name = config_.name;
  info.machine = "Bochs";
  info.machine_version = version_of(*find_program(program_name));
  info.accelerator = "interpreter";
  info.console = paths_.console;
  info.kernel_image = config_.kernel;
  info.memory_bytes = config_.memory_bytes;
  info.cpus = config_.cpus;
  info.holder = getpid();
  info.process = pid_;
  info.ram = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(memory_.get());
  return channel;
}

void BochsMachine::make_memory()
{
  const std::string tried = "making the guest's memory";
  memory_ = UniqueFd(memfd_create("morsel-bochs-ram", MFD_CLOEXEC));
  if (!memory_ || ftruncate(memory_.get(), static_cast<off_t>(config_.memory_bytes)) != 0)
    throw Failure(Exit::target_lost, tried, errno_text());
  void* base = mmap(nullptr, config_.memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
  if (base == MAP_FAILED) throw Failure(Exit::target_lost, tried, errno_text());
  try {
    load_guest({static_cast<std::byte*>(base), config_.memory_bytes},
               {config_.kernel, config_.initramfs, command_line(config_)});
  } catch (...) {
    munmap(base, config_.memory_bytes);
    throw;
  }
  munmap(base, config_.memory_bytes);
}

void BochsMachine::write_files() const
{
  const fs::path memory = "/proc/self/fd/" + std::to_string(memory_.get());  // in Bochs, which inherits it
  write_file(rom_, boot_rom(), 0600);
  write_file(configuration_,
             bochs_configuration({memory, rom_, paths_.console, log_}, config_.memory_bytes, config_.cpus), 0600);
  write_file(commands_, "c\n", 0600);    // Debian's Bochs begins in its debugger
  write_file(paths_.console, "", 0600);  // Bochs makes it at the first byte
}

UniqueFd BochsMachine::start_bochs()
{
  SocketPair channel = make_socket_pair("starting Bochs");
  const UniqueFd errors(open(paths_.errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  ChildSetup setup;
  setup.argv = {find_program(program_name)->string(), "-q", "-f", configuration_.string(), "-rc", commands_.string()};
  setup.environment_additions = {"LD_PRELOAD=" + bridge().string(), "TERM=vt100",
                                 "MORSEL_BRIDGE_RAM=" + std::to_string(memory_.get()),
                                 "MORSEL_BRIDGE_CHANNEL=" + std::to_string(channel.theirs.get())};
  setup.kept = {memory_.get(), channel.theirs.get()};
  setup.errors = errors.get();
  setup.parent_death_signal = SIGKILL;
  pid_ = start_child(setup);
  auto process = open_process(pid_);
  if (!process) throw Failure(Exit::target_lost, "starting Bochs", errno_text());
  process_ = std::move(*process);
  watch_ = EventLoop::Watch(process_.get(), VIR_EVENT_HANDLE_READABLE, [this](int) { ended(); });
  return std::move(channel.ours);
}

void BochsMachine::ended()
{
  watch_ = {};
  const int status = wait_child(std::exchange(pid_, 0));
  stopped_(why_it_ended(status));
}

// Bochs ends with the same status whatever the cause; its log, or what it says last, has the words.
std::string BochsMachine::why_it_ended(int status) const
{
  const std::string errors = tail_of(paths_.errors, 200, 32768), lines = tail_of(log_, 200, 32768) + "\n" + errors;
  // The third: Linux restarts a machine by a triple fault when it finds no other way.
  for (const char* asked : {"soft power off", "shutdown requested", "exception with no resolution"})
    if (lines.find(asked) != std::string::npos) return "the guest powered itself off or restarted";
  const std::string mark = ">>PANIC<< ";
  const auto at = lines.rfind(mark);
  if (at != std::string::npos)
    return "Bochs gave up: " + lines.substr(at + mark.size(), lines.find('\n', at) - at - mark.size());
  const std::string ours = "morsel-bochs-bridge: ";
  const auto ours_at = errors.find(ours);
  if (ours_at != std::string::npos) return errors.substr(ours_at, errors.find('\n', ours_at) - ours_at);
  return "Bochs ended with status " + std::to_string(status);
}

void BochsMachine::end()
{
  watch_ = {};
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  wait_child(std::exchange(pid_, 0));
}

}  // namespace morsel::testvm
