// SPDX-License-Identifier: GPL-2.0-or-later
//
// What tests with real VMs need: configurations, and the questions whether anything is left of a VM.
#pragma once
#include <string>
#include <vector>

#include "testvm/host/tests/kernel_log.hpp"
#include "testvm/host/vm_config.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {

// The build folder's kernel and image, more `modules` of that kernel in it, and a name that no other test uses.
VmConfig test_config(const std::vector<std::string>& modules = {}, With with = With::nothing);

// The same kernel with an image that has no morsel.ko.
VmConfig config_without_module();

// An image that has kvm-intel besides, with what it needs, in /lib/kvm, in the order of loading.
VmConfig config_with_kvm_intel();

// Whether libvirt knows the domain.
bool domain_exists(const VmInfo& vm);
// Wait until libvirt knows it, or knows it no more; false if that has not happened after a minute.
bool domain_comes(const VmInfo& vm);
bool domain_goes(const VmInfo& vm);
// Waits until the process has ended; false if it has not after a minute.
bool process_ends(pid_t pid);
// Waits until the holder and its guardian have let go of the VM's lock, then says what is left of it, in words.
std::string remains_of(const VmInfo& vm);

// The libvirtd that a keeper of ours, of this user's, started; 0 if another one runs.
pid_t daemon_of_keeper();

// The process's parent, 0 if there is no such process.
pid_t parent_of(pid_t pid);

}  // namespace morsel::testvm
