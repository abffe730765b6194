// SPDX-License-Identifier: GPL-2.0-or-later
//
// The commands `vm up`, `vm down`, `vm list` and `vm console`, without their words.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "testvm/host/vm_config.hpp"

namespace morsel::testvm {

// Starts a VM that stays until vm_down(), or until its holder dies. Throws Failure if one of that name runs.
VmInfo vm_up(VmConfig config);

// Ends it; returns when its domain, its processes and its files are gone. Throws Failure if there is none.
void vm_down(const std::string& name);

// Those that are ready. What killed holders left behind is removed on the way.
std::vector<VmInfo> vm_list();

// What the guest has written to its console.
std::string vm_console(const std::string& name);

// Passes on what there is and what comes, until the VM ends.
void follow_vm_console(const std::string& name, const std::function<void(std::string_view text)>& sink);

}  // namespace morsel::testvm
