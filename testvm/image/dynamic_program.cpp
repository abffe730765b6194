// SPDX-License-Identifier: GPL-2.0-or-later
//
// The dynamic linker itself says what it would load (ld.so(8), --list): it knows caches, run paths and hardware
// capabilities, and runs nothing of the program.
#include "testvm/image/dynamic_program.hpp"

#include <elf.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "engine/session/failure.hpp"

extern "C" char** environ;

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr const char* c_library = "libc.so.6";

[[noreturn]] void fail(const fs::path& file, const std::string& found, const std::string& advice = {})
{
  throw Failure(Exit::skipped, "collecting the libraries of " + file.string(), found, advice);
}

// What `linker --list file` prints; when a library is missing, it says so on the other stream and fails.
std::string list_by(const std::string& linker, const fs::path& file)
{
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(file, std::strerror(errno));
  const std::string text = file.string();
  const char* const words[] = {linker.c_str(), "--list", text.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, words[0], &actions, nullptr, const_cast<char**>(words), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(got));
  close(ends[0]);
  if (error != 0) fail(file, linker + ": " + std::strerror(error));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) fail(file, said, "install the package that has what is missing (apt-file search NAME)");
  return said;
}

// Lines "NAME => PATH (address)"; those without an arrow are the linker and the vDSO.
void add_listed(const std::string& listing, std::map<std::string, fs::path>& libraries)
{
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find_first_not_of(" \t"), arrow = line.find(" => "), address = line.rfind(" (0x");
    if (arrow == std::string::npos || address == std::string::npos) continue;
    libraries.emplace(line.substr(first, arrow - first), line.substr(arrow + 4, address - arrow - 4));
  }
}

}  // namespace

std::optional<std::string> interpreter_of(const fs::path& program)
{
  std::ifstream stream(program, std::ios::binary);
  Elf64_Ehdr header{};
  if (!stream.read(reinterpret_cast<char*>(&header), sizeof header)) return std::nullopt;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(Elf64_Phdr))
    return std::nullopt;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    stream.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof part));
    if (!stream.read(reinterpret_cast<char*>(&part), sizeof part)) return std::nullopt;
    if (part.p_type != PT_INTERP) continue;
    std::string name;
    stream.seekg(static_cast<std::streamoff>(part.p_offset));
    std::getline(stream, name, '\0');
    return name;
  }
  return std::nullopt;
}

std::vector<ImageFile> libraries_of(const fs::path& program, const std::vector<fs::path>& plugins)
{
  const auto linker = interpreter_of(program);
  if (!linker) return {};
  std::map<std::string, fs::path> libraries;
  add_listed(list_by(*linker, program), libraries);
  for (const fs::path& plugin : plugins) add_listed(list_by(*linker, plugin), libraries);
  const auto libc = libraries.find(c_library);
  if (libc == libraries.end()) fail(program, std::string("it does not use ") + c_library);
  const fs::path folder = libc->second.parent_path();
  std::vector<ImageFile> files{{*linker, *linker, 0755}};
  for (const auto& [name, file] : libraries)
    if (fs::path(*linker).filename() != name) files.push_back({file, (folder / name).string(), 0644});
  return files;
}

}  // namespace morsel::testvm
