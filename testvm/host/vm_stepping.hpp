// SPDX-License-Identifier: GPL-2.0-or-later
//
// Stepping in a VM: the agent controls the module's gate.
#pragma once
#include "engine/session/stepping.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {

class VmStepping final : public session::Stepping {
 public:
  explicit VmStepping(VmConnection& connection) : connection_(connection) {}

  bool stopped() const override;
  void stop(session::Milliseconds limit) override;
  void run() override;
  std::vector<session::ActorState> actors() override;
  session::ActorState step(u32 actor, session::Milliseconds limit) override;
  session::UntilReply until(const session::StopCondition& condition, session::Milliseconds limit) override;

 private:
  VmConnection& connection_;
};

}  // namespace morsel::testvm
