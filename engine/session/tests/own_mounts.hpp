// SPDX-License-Identifier: GPL-2.0-or-later
//
// For a test's child that mounts something over what others see.
#pragma once
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace morsel::session {

// Mounts from now on are this process's own, which is root at least in a namespace of its own (user_namespaces(7)).
// False where no such namespace can be had.
inline bool has_own_mounts()
{
  const std::string user = std::to_string(geteuid()), group = std::to_string(getegid());
  const bool is_root = geteuid() == 0;
  if (unshare(CLONE_NEWNS | (is_root ? 0 : CLONE_NEWUSER)) != 0) return false;
  if (!is_root) {
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << "0 " + user + " 1";
    std::ofstream("/proc/self/gid_map") << "0 " + group + " 1";
  }
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

}  // namespace morsel::session
