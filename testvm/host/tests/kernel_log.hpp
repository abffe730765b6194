// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <string>

#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {

// What a kernel's log must not have, line by line.
std::string alarming_lines(VmConnection& connection);

}  // namespace morsel::testvm
