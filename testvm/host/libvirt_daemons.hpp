// SPDX-License-Identifier: GPL-2.0-or-later
//
// libvirt's daemons where nothing else starts them (containers, machines without systemd). If libvirt does not answer,
// a keeper process starts libvirtd, and stops it when the last VM that needs it has gone.
//
// Every user holds a lease: a connection to the keeper's socket. It ends with the user, however that dies. The daemons
// are the keeper's children and get SIGTERM from the kernel if the keeper itself is killed.
#pragma once
#include <string>

#include "testvm/host/libvirt.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {

class DaemonLease {
 public:
  DaemonLease() = default;
  explicit DaemonLease(UniqueFd connection) : connection_(std::move(connection)) {}
  bool started_by_us() const { return static_cast<bool>(connection_); }

 private:
  UniqueFd connection_;
};

struct Libvirt {
  DaemonLease lease;  // outlives the connection
  Connection connection;
};

// Connects, starting the daemons if need be. `helper` is the program whose role keep-daemons is run_daemon_keeper().
// Throws Failure(skipped) if libvirt is not installed.
Libvirt open_libvirt(const std::string& uri, const std::filesystem::path& helper);

// The keeper's process: listens, starts the daemons, writes one byte to `ready`, and serves until the last lease ends.
int run_daemon_keeper(UniqueFd ready);

}  // namespace morsel::testvm
