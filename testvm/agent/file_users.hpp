// SPDX-License-Identifier: GPL-2.0-or-later
//
// Who keeps a file system busy: proc(5), /proc/PID/fd and /proc/PID/maps.
#pragma once
#include <string>
#include <vector>

namespace morsel::agent {

// "morsel-touch (pid 71) has 'buffer' mapped", for each process and each file below the folder that it has open or
// mapped, in the order of their ids; the first `most` of them. Processes that end meanwhile are left out.
std::vector<std::string> users_of_files_in(const std::string& folder, std::size_t most);

}  // namespace morsel::agent
