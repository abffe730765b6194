// SPDX-License-Identifier: GPL-2.0-or-later
//
// The agent's channel: a virtio-serial port, found by its name; or a serial line, where the machine has no virtio.
#pragma once
#include <string>

#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {

inline constexpr const char* port_name = "org.morselscope.agent.0";

// Waits until the port of that name exists, and opens it. The kernel's announcements are awaited, nothing is polled.
UniqueFd open_port(const std::string& name);

// In the agent's environment: the serial line to use instead. The host puts it into the kernel's command line, whose
// words of this form become init's environment.
inline constexpr const char* port_variable = "MORSEL_AGENT_PORT";

// Nothing on its way is interpreted by the terminal driver.
UniqueFd open_serial_line(const std::string& device);

}  // namespace morsel::agent
