// SPDX-License-Identifier: GPL-2.0-or-later
//
// What test VMs keep in the runtime folder (engine/session/server/runtime_folder.hpp): sockets, locks, consoles.
//
//   NAME.sock    the VM's door (holder.hpp)
//   NAME.lock    locked as long as the VM's holder or its guardian lives
//   NAME/        its console, the agent's channel, copies of kernel and initramfs where those are needed
//   daemons.*    the keeper of libvirt's daemons (libvirt_daemons.hpp)
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "engine/session/server/runtime_folder.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {

using session::runtime_folder;
using session::take_lock;
using session::Wait;

struct VmPaths {
  explicit VmPaths(const std::string& name);
  std::filesystem::path socket, lock, folder, console, channel, errors, stage_note;
};

// Throws Failure(usage) unless `name` is [A-Za-z0-9][A-Za-z0-9_.-]{0,39}.
void check_vm_name(const std::string& name);

// A new folder in /tmp that everybody may enter, and nobody else write to; noted, so that remove_vm_files() finds it.
std::filesystem::path make_stage(const VmPaths& paths);

// What a holder left: socket, folder, staged files. Only with the lock held; its file is removed by whoever holds it,
// last.
void remove_vm_files(const VmPaths& paths);

// Names for which there is a socket or a lock.
std::vector<std::string> known_vm_names();

}  // namespace morsel::testvm
