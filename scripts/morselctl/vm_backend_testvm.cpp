// SPDX-License-Identifier: GPL-2.0-or-later
//
// The commands about VMs, done by testvm/host.
#include "scripts/morselctl/vm_backend.hpp"
#include "testvm/host/doctor.hpp"
#include "testvm/host/foreign_guest.hpp"
#include "testvm/host/vm_control.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::ctl {

namespace {

session::Json info_facts(const testvm::VmInfo& vm)
{
  return {{"name", vm.name},
          {"domain", vm.domain},
          {"uri", vm.uri},
          {"machine", vm.machine},
          {"accelerator", vm.accelerator},
          {"accelerator_reason", vm.accelerator_reason},
          {"machine_version", vm.machine_version},
          {"kernel", vm.kernel},
          {"memory_bytes", vm.memory_bytes},
          {"cpus", vm.cpus},
          {"console", vm.console.string()},
          {"holder_pid", vm.holder},
          {"machine_pid", vm.process},
          {"start_us", vm.start_us}};
}

testvm::Accelerator accelerator_of(const std::string& word)
{
  if (word == "tcg") return testvm::Accelerator::tcg;
  return word == "kvm" ? testvm::Accelerator::kvm : testvm::Accelerator::automatic;
}

}  // namespace

std::string default_vm_name() { return testvm::VmConfig().name; }

std::unique_ptr<session::Target> attach_vm(const std::string& name) { return testvm::VmTarget::attach(name); }

std::unique_ptr<session::Target> open_guest(const std::string& guest, std::optional<session::MemoryLayout> layout)
{
  return testvm::open_guest(guest, layout);
}

session::Json vm_up(const VmWishes& wishes)
{
  testvm::VmConfig config = testvm::config_of_build(wishes.name, wishes.modules,
                                                    wishes.with_qemu ? testvm::With::qemu : testvm::With::nothing);
  if (wishes.bochs) {
    config.machine = testvm::MachineKind::bochs;
    config.cpus = 1;  // it interprets them in turn: a second one makes the first slower
  }
  if (wishes.memory_bytes) config.memory_bytes = *wishes.memory_bytes;
  if (wishes.cpus) config.cpus = static_cast<u32>(*wishes.cpus);
  if (wishes.accelerator) config.accelerator = accelerator_of(*wishes.accelerator);
  if (wishes.five_levels) config.paging = testvm::Paging::five_levels;
  if (wishes.intel_iommu) config.iommu = testvm::Iommu::intel;
  config.kernel_arguments = wishes.kernel_arguments;
  config.while_process = static_cast<pid_t>(wishes.while_process);
  return info_facts(testvm::vm_up(std::move(config)));
}

void vm_down(const std::string& name) { testvm::vm_down(name); }

session::Json vm_list()
{
  session::Json list = session::Json::array();
  for (const testvm::VmInfo& vm : testvm::vm_list()) list.push_back(info_facts(vm));
  return list;
}

std::string vm_console(const std::string& name) { return testvm::vm_console(name); }

void follow_vm_console(const std::string& name, const std::function<void(std::string_view)>& sink)
{
  testvm::follow_vm_console(name, sink);
}

session::Json doctor()
{
  session::Json list = session::Json::array();
  for (const testvm::DoctorFinding& f : testvm::run_doctor())
    list.push_back(
        {{"what", f.what}, {"works", testvm::works_name(f.works)}, {"found", f.found}, {"advice", f.advice}});
  return list;
}

}  // namespace morsel::ctl
