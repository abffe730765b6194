// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where what runs is found: sockets, locks, consoles. $XDG_RUNTIME_DIR/morselscope, else /run/user/UID/morselscope,
// else /tmp/morselscope-UID; always a folder of this user's with mode 0700.
//
//   NAME.sock    the VM's door (holder.hpp)
//   NAME.lock    locked as long as the VM's holder or its guardian lives
//   NAME/        its console, the agent's channel, copies of kernel and initramfs where those are needed
//   daemons.*    the keeper of libvirt's daemons (libvirt_daemons.hpp)
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "testvm/host/os.hpp"

namespace morsel::testvm {

// Made if it does not exist. Throws Failure if it is not ours alone: whoever can write there could pose as a VM.
std::filesystem::path runtime_folder();

struct VmPaths {
  explicit VmPaths(const std::string& name);
  std::filesystem::path socket, lock, folder, console, channel, errors, stage_note;
};

// Throws Failure(usage) unless `name` is [A-Za-z0-9][A-Za-z0-9_.-]{0,39}.
void check_vm_name(const std::string& name);

// A lock that belongs to whoever has the descriptor open, children included.
enum class Wait { no, yes };
std::optional<UniqueFd> take_lock(const std::filesystem::path& file, Wait wait);

// A new folder in /tmp that everybody may enter, and nobody else write to; noted, so that remove_vm_files() finds it.
std::filesystem::path make_stage(const VmPaths& paths);

// What a holder left: socket, folder, staged files. Only with the lock held; its file is removed by whoever holds it,
// last.
void remove_vm_files(const VmPaths& paths);

// Names for which there is a socket or a lock.
std::vector<std::string> known_vm_names();

}  // namespace morsel::testvm
