// SPDX-License-Identifier: GPL-2.0-or-later
//
// The agent's virtio-serial port, found by its name.
#pragma once
#include <string>

#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {

inline constexpr const char* port_name = "org.morselscope.agent.0";

// Waits until the port of that name exists, and opens it. The kernel's announcements are awaited, nothing is polled.
UniqueFd open_port(const std::string& name);

}  // namespace morsel::agent
