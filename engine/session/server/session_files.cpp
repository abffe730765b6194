// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/session_files.hpp"

#include <fmt/format.h>

#include <set>

#include "engine/session/reply.hpp"
#include "engine/session/server/runtime_folder.hpp"

namespace morsel::session {
namespace {

namespace fs = std::filesystem;

fs::path file_of(const std::string& name, std::string_view suffix)
{
  check_session_name(name);
  return runtime_folder() / (name + std::string(suffix));
}

}  // namespace

void check_session_name(const std::string& name)
{
  if (!is_plain_name(name))
    throw Failure(Exit::usage, fmt::format("name a session '{}'", name.substr(0, 64)), "that is no name for a session",
                  std::string(plain_name_advice));
}

std::string session_socket(const std::string& name) { return file_of(name, ".session").string(); }

fs::path session_lock(const std::string& name) { return file_of(name, ".session-lock"); }

UniqueFd take_session_name(const std::string& name)
{
  if (auto lock = take_lock(session_lock(name), Wait::no)) return std::move(*lock);
  throw Failure(Exit::usage, fmt::format("serve the session '{}'", name), "a session of this name runs",
                fmt::format("Use it: --session {0}. End it: session end {0}. Or choose another name.", name));
}

void remove_dead_sessions()
{
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(runtime_folder())) {
    const std::string name = entry.path().stem().string();
    if (entry.path().extension() == ".session" && is_plain_name(name)) names.insert(name);
  }
  for (const std::string& name : names) {
    const auto lock = take_lock(session_lock(name), Wait::no);
    if (!lock) continue;
    std::error_code ignored;
    fs::remove(session_socket(name), ignored);
    fs::remove(session_lock(name), ignored);  // last, as a server does
  }
}

}  // namespace morsel::session
