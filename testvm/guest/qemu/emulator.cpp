// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/qemu/emulator.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "testvm/guest/qemu/mailbox.h"

namespace morsel::guest {
namespace {

constexpr const char* program = "/usr/bin/qemu-system-x86_64";
constexpr const char* inner_guest = "/lib/morsel/inner-guest";
constexpr int bell_limit_ms = 300'000;  // a guard against hangs, not an expectation

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

std::string own_file(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

std::string port_words(const char* name, int port)
{
  std::ostringstream words;
  words << "isa-debugcon,iobase=0x" << std::hex << port << ",chardev=" << name;
  return words.str();
}

std::vector<std::string> command_line(const EmulatorOptions& options, int log)
{
  constexpr int firmware_port = 0x402;
  std::ostringstream end;
  end << "isa-debug-exit,iosize=1,iobase=0x" << std::hex << MORSEL_END_PORT;
  return {program, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
          // Its memory is the named object, all of it.
          "-object", options.memory, "-machine", "pc,memory-backend=ram", "-m",
          std::to_string(options.memory_bytes) + "B", "-accel", options.accelerator, "-kernel", inner_guest,
          // What the firmware says, and the inner guest's doorbell: QEMU's output.
          "-chardev", "file,id=firmware,path=" + own_file(log), "-device", port_words("firmware", firmware_port),
          "-chardev", "stdio,id=bell,signal=off", "-device", port_words("bell", MORSEL_DOORBELL_PORT), "-device",
          end.str()};
}

[[noreturn]] void become(const std::vector<std::string>& words, int output)
{
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  dup2(output, STDOUT_FILENO);
  execv(argv[0], argv.data());
  perror(argv[0]);
  _exit(127);
}

}  // namespace

Emulator::Emulator(const EmulatorOptions& options) : Emulator()
{
  start(options);
  wait_for_bell();
}

void Emulator::start(const EmulatorOptions& options)
{
  if (access(program, X_OK) != 0) fail(std::string(program) + " (start the VM with `morselctl vm up --with qemu`)");
  log_ = memfd_create("firmware", 0);  // QEMU inherits it
  if (log_ < 0) fail("making the firmware's log");
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail("making a pipe");
  bell_ = ends[0];
  const auto words = command_line(options, log_);
  pid_ = fork();
  if (pid_ == 0) become(words, ends[1]);
  close(ends[1]);
  if (pid_ < 0) fail("starting QEMU");
}

Emulator::~Emulator()
{
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    wait_for_end();
  }
  close(bell_);
  close(log_);
}

void Emulator::wait_for_bell()
{
  pollfd readable{.fd = bell_, .events = POLLIN, .revents = 0};
  int ready = 0;
  while ((ready = poll(&readable, 1, bell_limit_ms)) < 0 && errno == EINTR) {
  }
  if (ready == 0) throw std::runtime_error("the inner guest has not answered for minutes");
  char byte = 0;
  if (read(bell_, &byte, 1) == 1) return;
  throw std::runtime_error("QEMU ended with status " + std::to_string(wait_for_end()));
}

int Emulator::wait_for_end()
{
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// proc(5), stat: minflt is field 10, majflt field 12; the name, field 2, ends with the last ')'.
std::uint64_t Emulator::faults() const
{
  std::ifstream stream("/proc/" + std::to_string(pid_) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 10; ++field) fields >> skipped;
  std::uint64_t minor = 0, major = 0;
  fields >> minor >> skipped >> major;
  if (!fields) throw std::runtime_error("QEMU's page faults cannot be read");
  return minor + major;
}

std::string Emulator::firmware_greeting() const
{
  std::ifstream stream(own_file(log_));
  std::string line;
  std::getline(stream, line);
  return line;
}

std::string Emulator::memfd_path() const
{
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with("/memfd:memory-backend-memfd"))
      return entry.path();
  }
  throw std::runtime_error("QEMU has no memfd of a memory backend");
}

}  // namespace morsel::guest
