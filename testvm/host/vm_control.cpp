// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/vm_control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "engine/session/failure.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

constexpr Milliseconds down_limit{15'000};  // a guard against a holder that hangs

// The guardian removes the lock last: with it, everything is gone.
void wait_until_gone(const VmPaths& paths)
{
  const auto lock = take_lock(paths.lock, Wait::yes);
  remove_vm_files(paths);
  unlink(paths.lock.c_str());
}

}  // namespace

VmInfo vm_up(VmConfig config)
{
  config.lifetime = Lifetime::until_end;
  return VmConnection::start(config)->info();
}

void vm_down(const std::string& name)
{
  const VmPaths paths(name);
  const auto connection = VmConnection::attach(name);
  const auto holder = open_process(connection->info().holder);
  connection->request("vm-end");
  if (holder && !wait_readable(holder->get(), down_limit)) kill(connection->info().holder, SIGKILL);
  wait_until_gone(paths);
}

std::vector<VmInfo> vm_list()
{
  std::vector<VmInfo> found;
  for (const std::string& name : known_vm_names()) {
    const VmPaths paths(name);
    if (const auto lock = take_lock(paths.lock, Wait::no)) {
      remove_vm_files(paths);
      unlink(paths.lock.c_str());
      continue;
    }
    auto socket = connect_unix(paths.socket);
    if (!socket) continue;  // starting or ending
    // One that starts greets later: it is not waited for.
    constexpr Milliseconds prompt{2'000};
    try {
      found.push_back(VmConnection(std::move(*socket), prompt).info());
    } catch (const Failure&) {
      continue;
    }
  }
  return found;
}

std::string vm_console(const std::string& name)
{
  const auto connection = VmConnection::attach(name);
  return printable(read_file(connection->info().console), std::string::npos);
}

void follow_vm_console(const std::string& name, const std::function<void(std::string_view text)>& sink)
{
  const auto connection = VmConnection::attach(name);
  const std::string console = connection->info().console;
  const UniqueFd file(open(console.c_str(), O_RDONLY | O_CLOEXEC)), notes(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const auto holder = open_process(connection->info().holder);
  if (!file || !notes || !holder || inotify_add_watch(notes.get(), console.c_str(), IN_MODIFY) < 0)
    throw Failure(Exit::target_lost, "following " + console, errno_text());
  for (bool ended = false;;) {
    char buffer[65536];
    for (ssize_t got; (got = read(file.get(), buffer, sizeof buffer)) > 0;)
      sink(printable(std::string(buffer, static_cast<std::size_t>(got)), std::string::npos));
    if (ended) return;
    pollfd waits[] = {{notes.get(), POLLIN, 0}, {holder->get(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    while (read(notes.get(), buffer, sizeof buffer) > 0) {
    }
    ended = waits[1].revents != 0;
  }
}

}  // namespace morsel::testvm
