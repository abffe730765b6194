// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a holder needs of the machine that it holds, whichever emulator that is.
#pragma once
#include <functional>
#include <memory>

#include "engine/session/failure.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/vm_config.hpp"

namespace morsel::testvm {

class Machine {
 public:
  // Called with the reason when the machine ends by itself, from the event loop.
  using Stopped = std::function<void(const std::string& reason)>;

  virtual ~Machine() = default;

  // Fills `info` but for what only the agent knows (kernel, start_us), and returns the agent's channel, on which nobody
  // has spoken yet. Throws Failure; end() then ends what had begun.
  virtual UniqueFd start(VmInfo& info) = 0;

  // Ends the guest at once; does nothing if it has ended, or has never started.
  virtual void end() = 0;
};

// Ready to start: what takes long and is no part of a VM's start (libvirt's daemons) has been done. Needs an EventLoop.
std::unique_ptr<Machine> make_machine(const VmConfig& config, const VmPaths& paths, Machine::Stopped stopped);

}  // namespace morsel::testvm
