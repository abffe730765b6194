// SPDX-License-Identifier: GPL-2.0-or-later
//
// The libvirt domain of a test VM: transient, destroyed by libvirt itself when the connection that started it ends.
#pragma once
#include <string>

#include "testvm/host/libvirt.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/vm_config.hpp"

namespace morsel::testvm {

// Throws Failure for what a start is bound to fail for: a machine without QEMU (skipped), a bad configuration (usage).
void check_domain_config(const VmConfig& config);

// Which accelerator to use on this connection; asks the machine only if the configuration leaves it open.
struct AcceleratorChoice {
  Accelerator accelerator = Accelerator::tcg;
  std::string reason;
};
AcceleratorChoice choose_accelerator(const VmConfig& config, const std::string& qemu_user);

struct StartedDomain {
  Domain domain;
  VmInfo info;  // without what only the agent knows: kernel, start_us
};
// Throws Failure with libvirt's reason; with the console's last lines if there are any.
StartedDomain start_domain(virConnect* connection, const VmConfig& config, const VmPaths& paths);

std::string uuid_of(virDomain* domain);
// The QEMU process of that domain, by its UUID; 0 if there is none.
pid_t find_qemu(virDomain* domain);
// /proc/PID/fd/N of its memory: the memfd of that size.
std::filesystem::path find_guest_ram(pid_t qemu, u64 bytes);

// Ends the guest at once. About 0.2 s: libvirt looks every 200 ms whether QEMU has gone.
void destroy_domain(virDomain* domain);

}  // namespace morsel::testvm
