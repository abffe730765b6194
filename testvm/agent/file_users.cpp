// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/file_users.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

namespace morsel::agent {
namespace {

namespace fs = std::filesystem;

using Uses = std::map<std::string, const char*>;  // file below the folder: how

void add_mapped(const fs::path& process, const std::string& prefix, Uses& uses)
{
  std::ifstream maps(process / "maps");
  for (std::string line; std::getline(maps, line);)
    if (const auto at = line.find(" " + prefix); at != std::string::npos)
      uses[line.substr(at + 1 + prefix.size())] = "mapped";
}

void add_open(const fs::path& process, const std::string& prefix, Uses& uses)
{
  std::error_code gone;
  for (fs::directory_iterator file(process / "fd", gone), end; !gone && file != end; file.increment(gone)) {
    std::error_code closed;
    const std::string path = fs::read_symlink(file->path(), closed).string();
    if (!closed && path.starts_with(prefix)) uses.emplace(path.substr(prefix.size()), "open");
  }
}

std::vector<int> processes()
{
  std::vector<int> found;
  std::error_code gone;
  for (fs::directory_iterator entry("/proc", gone), end; !gone && entry != end; entry.increment(gone)) {
    const std::string name = entry->path().filename();
    if (name.find_first_not_of("0123456789") == std::string::npos) found.push_back(std::stoi(name));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::vector<std::string> users_of_files_in(const std::string& folder, std::size_t most)
{
  std::vector<std::string> users;
  for (const int pid : processes()) {
    const fs::path process = "/proc/" + std::to_string(pid);
    Uses uses;
    add_mapped(process, folder + "/", uses);
    add_open(process, folder + "/", uses);
    std::string name;
    std::getline(std::ifstream(process / "comm"), name);
    for (const auto& [file, how] : uses) {
      if (users.size() == most) return users;
      users.push_back(name + " (pid " + std::to_string(pid) + ") has '" + file + "' " + how);
    }
  }
  return users;
}

}  // namespace morsel::agent
