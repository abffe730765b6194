// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where what runs is found: sockets and locks. $XDG_RUNTIME_DIR/morselscope, else /run/user/UID/morselscope, else
// /tmp/morselscope-UID; always a folder of this user's with mode 0700.
//
//   NAME.session        a session's door (server.hpp)
//   NAME.session-lock   locked as long as the session's server lives
//
// What test VMs keep there is told in testvm/host/runtime_folder.hpp.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "engine/session/unique_fd.hpp"

namespace morsel::session {

// Made if it does not exist. Throws Failure if it is not ours alone: whoever can write there could pose as a session.
std::filesystem::path runtime_folder();

// [A-Za-z0-9_][A-Za-z0-9_.-]{0,39}: fit for a file's name.
bool is_plain_name(std::string_view name);
inline constexpr std::string_view plain_name_advice =
    "use up to 40 letters, digits, '_', '.' and '-', beginning with a letter or digit";

// A lock that belongs to whoever has the descriptor open, children included.
enum class Wait : bool { no, yes };
std::optional<UniqueFd> take_lock(const std::filesystem::path& file, Wait wait);

}  // namespace morsel::session
