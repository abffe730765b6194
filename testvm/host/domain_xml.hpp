// SPDX-License-Identifier: GPL-2.0-or-later
//
// libvirt's description of the test VM: as few devices as the job needs.
#pragma once
#include <string>

#include "testvm/host/vm_config.hpp"

namespace morsel::testvm {

inline constexpr const char* agent_port_name = "org.morselscope.agent.0";

struct DomainFiles {
  std::filesystem::path kernel, initramfs, console, channel;
  std::filesystem::path drive;  // only with an IOMMU
};

// "+64055:+107", the user that QEMU runs as, if libvirt changes users at all (qemu:///system does); else empty.
std::string qemu_user_of(const std::string& capabilities_xml);

std::string domain_name(const VmConfig& config);
std::string kernel_command_line(const VmConfig& config);
// `accelerator` is tcg or kvm. With a `qemu_user`, libvirt is told to leave the files' owners alone.
std::string domain_xml(const VmConfig& config, Accelerator accelerator, const DomainFiles& files,
                       const std::string& qemu_user);

}  // namespace morsel::testvm
