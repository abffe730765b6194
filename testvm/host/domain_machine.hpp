// SPDX-License-Identifier: GPL-2.0-or-later
//
// QEMU as the holder's machine: a libvirt domain, and libvirt's word on why it ended.
#pragma once
#include "testvm/host/domain.hpp"
#include "testvm/host/libvirt_daemons.hpp"
#include "testvm/host/machine.hpp"

namespace morsel::testvm {

class DomainMachine final : public Machine {
 public:
  DomainMachine(const VmConfig& config, const VmPaths& paths, Stopped stopped);
  ~DomainMachine() override;
  DomainMachine(const DomainMachine&) = delete;
  DomainMachine& operator=(const DomainMachine&) = delete;

  UniqueFd start(VmInfo& info) override;
  void end() override;

 private:
  void watch_domain();
  bool is_ours(virDomain* domain) const;

  const VmConfig& config_;
  const VmPaths& paths_;
  Stopped stopped_;
  Libvirt libvirt_;
  Domain domain_;
  std::string uuid_;  // of `domain_`, also when it is over; empty: it has not begun
  pid_t qemu_ = 0;
  int lifecycle_ = -1;
};

}  // namespace morsel::testvm
