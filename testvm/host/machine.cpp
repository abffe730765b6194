// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/machine.hpp"

#include "testvm/host/bochs_machine.hpp"
#include "testvm/host/domain_machine.hpp"

namespace morsel::testvm {

std::unique_ptr<Machine> make_machine(const VmConfig& config, const VmPaths& paths, Machine::Stopped stopped)
{
  if (config.machine == MachineKind::bochs) return std::make_unique<BochsMachine>(config, paths, std::move(stopped));
  return std::make_unique<DomainMachine>(config, paths, std::move(stopped));
}

}  // namespace morsel::testvm
