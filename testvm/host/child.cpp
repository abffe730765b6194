// SPDX-License-Identifier: GPL-2.0-or-later
//
// Starting and awaiting children. Between fork and exec only async-signal-safe calls are made, because the caller may
// have threads (the window has).
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "engine/session/failure.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

std::vector<char*> pointers_to(std::vector<std::string>& texts)
{
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string variable_of(const std::string& assignment) { return assignment.substr(0, assignment.find('=') + 1); }

std::vector<std::string> environment_with(const std::vector<std::string>& additions)
{
  std::vector<std::string> environment = additions;
  for (char** variable = environ; *variable; ++variable) {
    const std::string text = *variable;
    const bool replaced = std::any_of(additions.begin(), additions.end(),
                                      [&](const std::string& a) { return variable_of(a) == variable_of(text); });
    if (!replaced) environment.push_back(text);
  }
  return environment;
}

// The numbers are sorted; everything between and above them is closed.
void close_all_but(const int* kept, std::size_t count)
{
  unsigned first = 3;
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = static_cast<unsigned>(kept[i]);
    if (number < first) continue;
    if (number > first) syscall(SYS_close_range, first, number - 1, 0);
    fcntl(kept[i], F_SETFD, 0);
    first = number + 1;
  }
  syscall(SYS_close_range, first, ~0u, 0);
}

}  // namespace

pid_t start_child(const ChildSetup& setup)
{
  std::vector<std::string> arguments = setup.argv, environment = environment_with(setup.environment_additions);
  const std::vector<char*> argv = pointers_to(arguments), envp = pointers_to(environment);
  std::vector<int> kept = setup.kept;
  std::sort(kept.begin(), kept.end());
  const pid_t parent = getpid();

  const pid_t pid = fork();
  if (pid < 0) throw Failure(Exit::target_lost, "starting " + setup.argv.at(0), errno_text());
  if (pid > 0) return pid;

  setsid();
  if (setup.parent_death_signal) {
    prctl(PR_SET_PDEATHSIG, setup.parent_death_signal);
    if (getppid() != parent) _exit(127);  // it had gone before the request
  }
  if (const rlimit limit{setup.data_limit_bytes, setup.data_limit_bytes}; setup.data_limit_bytes)
    setrlimit(RLIMIT_DATA, &limit);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(setup.output >= 0 ? setup.output : null, 1);
  dup2(setup.errors >= 0 ? setup.errors : null, 2);
  close_all_but(kept.data(), kept.size());
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  execve(argv[0], argv.data(), envp.data());
  _exit(127);
}

int wait_child(pid_t pid)
{
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 127;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::optional<std::string> output_of(const std::vector<std::string>& argv, Milliseconds limit)
{
  const UniqueFd output(memfd_create("output", MFD_CLOEXEC));
  ChildSetup setup;
  setup.argv = argv;
  setup.output = output.get();
  const pid_t pid = start_child(setup);
  const auto process = open_process(pid);
  if (!process || !wait_readable(process->get(), limit)) kill(pid, SIGKILL);
  if (wait_child(pid) != 0) return {};
  return read_file("/proc/self/fd/" + std::to_string(output.get()));
}

std::optional<UniqueFd> open_process(pid_t pid)
{
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return {};
  return fd;
}

}  // namespace morsel::testvm
