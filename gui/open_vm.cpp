// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/open_vm.hpp"

#ifdef MORSEL_HAS_TESTVM
#include "testvm/host/vm_target.hpp"
#endif

namespace morsel::gui {

#ifdef MORSEL_HAS_TESTVM
TargetFactory openVm(const QString& name)
{
  const std::string vm = name.isEmpty() ? testvm::VmConfig().name : name.toStdString();
  return [vm]() -> std::unique_ptr<session::Target> { return testvm::VmTarget::attach(vm); };
}
#else
// A build of the components without testvm/ (sanitizer presets, other systems).
TargetFactory openVm(const QString& name)
{
  return [vm = name.toStdString()]() -> std::unique_ptr<session::Target> {
    throw session::Failure(session::Exit::skipped, "open the test VM " + vm, "this build has no part for test VMs",
                           "morselscope --embedded needs none.");
  };
}
#endif

}  // namespace morsel::gui
