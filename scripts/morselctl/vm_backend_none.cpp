// SPDX-License-Identifier: GPL-2.0-or-later
//
// A build without testvm/: only the machine inside the process.
#include "scripts/morselctl/vm_backend.hpp"

namespace morsel::ctl {

using session::Exit;
using session::Failure;

namespace {

[[noreturn]] void missing(const std::string& tried)
{
  throw Failure(Exit::skipped, tried, "this build has no part for test VMs",
                "Configure it with all components, or use the machine inside this process: morselctl --embedded …");
}

}  // namespace

std::string default_vm_name() { return "test"; }

std::unique_ptr<session::Target> attach_vm(const std::string& name) { missing("attach to the VM '" + name + "'"); }

std::unique_ptr<session::Target> open_guest(const std::string& guest, std::optional<session::MemoryLayout>)
{
  missing("look at the guest '" + guest + "'");
}

session::Json vm_up(const VmWishes& wishes) { missing("start the VM '" + wishes.name + "'"); }

void vm_down(const std::string& name) { missing("end the VM '" + name + "'"); }

session::Json vm_list() { missing("list the VMs"); }

std::string vm_console(const std::string& name) { missing("read the console of the VM '" + name + "'"); }

void follow_vm_console(const std::string& name, const std::function<void(std::string_view)>&)
{
  missing("follow the console of the VM '" + name + "'");
}

session::Json doctor() { missing("examine this machine"); }

}  // namespace morsel::ctl
