// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the agent says about its machine.
#pragma once
#include "testvm/agent/module.hpp"
#include "testvm/agent/wire.hpp"

namespace morsel::agent {

// {"agent":1,"abi":…,"points":…,"journal":…,"kernel":…,"cpus":…,"memory_bytes":…,"la57":…}; the versions are the
// module's, and 0 while it is not loaded.
Json greeting(Module& module);

// The kernel's log, from its oldest message that is still there; cut at the front to fit a line.
std::string kernel_log();

// A page of the agent's that stays where it is in physical memory: {"pa":…,"bytes":N,"pattern":"hex"}. The host finds
// the pattern at that address if, and only if, it has mapped the guest's memory rightly.
Json landmark();

}  // namespace morsel::agent
