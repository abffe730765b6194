// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/holder.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "testvm/host/holder_vm.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

constexpr Milliseconds config_limit{30'000};

// The end of the holder, by whatever cause; asks it to end if the guardian is asked to.
int wait_for_holder(pid_t holder)
{
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, number);
  for (;;) {
    int status = 0;
    if (waitpid(holder, &status, WNOHANG) == holder)
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    int number = 0;
    sigwait(&watched, &number);
    if (number != SIGCHLD) kill(holder, SIGTERM);
  }
}

void block_signals()
{
  sigset_t watched;
  sigemptyset(&watched);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&watched, number);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
}

int hold(const VmConfig& config, UniqueFd owner)
{
  const VmPaths paths(config.name);
  const auto lock = take_lock(paths.lock, Wait::no);
  if (!lock)
    throw Failure(Exit::usage, "starting the VM '" + config.name + "'", "a VM of that name runs already",
                  "use it, end it with `morselctl vm down " + config.name + "`, or start one of another --name");
  remove_vm_files(paths);  // a holder and guardian killed together leave theirs behind
  if (mkdir(paths.folder.c_str(), 0700) != 0)
    throw Failure(Exit::target_lost, "making " + paths.folder.string(), errno_text());

  block_signals();
  const pid_t guardian = getpid();
  const pid_t holder = fork();
  if (holder < 0) throw Failure(Exit::target_lost, "starting the VM's holder", errno_text());
  if (holder == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != guardian) _exit(1);
    _exit(HolderVm(config, paths, std::move(owner)).run());
  }
  owner.reset();
  const int status = wait_for_holder(holder);
  remove_vm_files(paths);
  unlink(paths.lock.c_str());
  return status;
}

}  // namespace

int run_holder(UniqueFd owner)
{
  signal(SIGPIPE, SIG_IGN);
  const UniqueFd last_words(fcntl(owner.get(), F_DUPFD_CLOEXEC, 3));
  try {
    const auto line = read_line(owner.get(), config_limit);
    if (!line) return static_cast<int>(Exit::usage);
    const VmConfig config = config_from_json(parse_message(*line));
    return hold(config, std::move(owner));
  } catch (const BadMessage& error) {
    return static_cast<int>(Exit::usage);
  } catch (const Failure& failure) {
    write_all(last_words.get(), encode(to_json(failure)));
    return static_cast<int>(failure.code());
  }
}

}  // namespace morsel::testvm
