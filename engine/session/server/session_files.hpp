// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session's two files in the runtime folder (runtime_folder.hpp): its door and its lock.
#pragma once
#include <filesystem>
#include <string>

#include "engine/session/unique_fd.hpp"

namespace morsel::session {

// Throws Failure unless it is a name for a session.
void check_session_name(const std::string& name);
std::string session_socket(const std::string& name);
std::filesystem::path session_lock(const std::string& name);
// The name is the caller's as long as it has the descriptor open. Throws Failure if a session has it.
UniqueFd take_session_name(const std::string& name);
// What killed servers have left: the files of names that nobody has.
void remove_dead_sessions();

}  // namespace morsel::session
