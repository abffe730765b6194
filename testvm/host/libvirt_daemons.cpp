// SPDX-License-Identifier: GPL-2.0-or-later
//
// The user's side: a lease from the keeper, or a libvirt that runs anyway. The keeper's side is daemon_keeper.cpp.
#include "testvm/host/libvirt_daemons.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "testvm/host/runtime_folder.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

// The first start on a machine asks QEMU for all that it can do, which takes seconds.
constexpr Milliseconds daemons_limit{120'000};

fs::path keeper_socket() { return runtime_folder() / "daemons.sock"; }

// Its file goes with it, or with the keeper if there is one. Whoever waits for a file that goes makes a new one.
struct DaemonsLock {
  DaemonsLock() : file(runtime_folder() / "daemons.lock"), held(take_lock(file, Wait::yes)) {}
  ~DaemonsLock()
  {
    if (!keeper_runs) unlink(file.c_str());
  }
  DaemonsLock(const DaemonsLock&) = delete;
  DaemonsLock& operator=(const DaemonsLock&) = delete;

  fs::path file;
  std::optional<UniqueFd> held;
  bool keeper_runs = false;
};

DaemonLease wait_for_daemons(UniqueFd connection)
{
  const auto answer = read_line(connection.get(), daemons_limit);
  if (answer == "ready") return DaemonLease(std::move(connection));
  throw Failure(Exit::target_lost, "starting libvirt's daemons",
                answer ? *answer : std::string("the keeper of the daemons ended or did not answer"),
                "see " + (runtime_folder() / "daemons.log").string());
}

// The keeper listens before it lets go of the pipe.
void start_keeper(const fs::path& helper)
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Failure(Exit::target_lost, "starting libvirt's daemons", errno_text());
  const UniqueFd ready(ends[0]);
  UniqueFd theirs(ends[1]);
  const UniqueFd log(
      open((runtime_folder() / "daemons.log").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600));
  ChildSetup setup;
  setup.argv = {helper.string(), "keep-daemons", std::to_string(theirs.get())};
  setup.kept = {theirs.get()};
  setup.errors = log.get();
  wait_child(start_child(setup));  // the keeper itself detaches
  theirs.reset();
  char byte = 0;
  if (!wait_readable(ready.get(), daemons_limit) || read(ready.get(), &byte, 1) != 1)
    throw Failure(Exit::target_lost, "starting libvirt's daemons", "the keeper of the daemons did not start",
                  tail_of(runtime_folder() / "daemons.log", 5));
}

}  // namespace

Libvirt open_libvirt(const std::string& uri, const fs::path& helper)
{
  quiet_libvirt();
  // One at a time: nobody may take the daemons for foreign while their keeper is still starting or stopping them.
  DaemonsLock lock;
  Libvirt result;
  if (auto connection = connect_unix(keeper_socket())) {
    lock.keeper_runs = true;
    result.lease = wait_for_daemons(std::move(*connection));
  } else if ((result.connection = try_connect(uri))) {
    return result;
  } else if (!find_program("libvirtd")) {
    throw Failure(Exit::skipped, "connecting to " + uri, libvirt_error() + "; and there is no libvirtd to start",
                  "apt-get install libvirt-daemon-system libvirt-clients");
  } else {
    start_keeper(helper);
    lock.keeper_runs = true;
    if (auto started = connect_unix(keeper_socket())) result.lease = wait_for_daemons(std::move(*started));
  }
  result.connection = try_connect(uri);
  if (!result.connection) throw_libvirt("connecting to " + uri, "`morselctl doctor` says what is missing");
  return result;
}

}  // namespace morsel::testvm
