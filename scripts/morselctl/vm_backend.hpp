// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the commands about VMs need of the test VM, as facts. Two files implement it: vm_backend_testvm.cpp, and
// vm_backend_none.cpp for builds without testvm/.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/session/memory_layout.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/target.hpp"

namespace morsel::ctl {

struct VmWishes {
  std::string name;
  bool bochs = false;      // else QEMU
  bool with_qemu = false;  // in the guest
  std::optional<u64> memory_bytes;
  std::optional<u64> cpus;
  std::optional<std::string> accelerator;  // "automatic", "tcg", "kvm"
  bool five_levels = false;
  bool intel_iommu = false;
  std::string kernel_arguments;
  std::vector<std::string> modules;  // of the guest's kernel, loaded at start besides the usual ones
  u32 while_process = 0;             // not 0: the VM ends with this process
};

std::string default_vm_name();
std::unique_ptr<session::Target> attach_vm(const std::string& name);
// A running guest of anybody: a domain's name or a QEMU's process id.
std::unique_ptr<session::Target> open_guest(const std::string& guest, std::optional<session::MemoryLayout> layout);
session::Json vm_up(const VmWishes& wishes);
void vm_down(const std::string& name);
session::Json vm_list();  // an array
std::string vm_console(const std::string& name);
void follow_vm_console(const std::string& name, const std::function<void(std::string_view)>& sink);
session::Json doctor();  // an array of {"what", "works": "yes"|"partly"|"no", "found", "advice"}

}  // namespace morsel::ctl
