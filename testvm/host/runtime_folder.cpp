// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/runtime_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr std::size_t max_name_bytes = 40;
constexpr const char* stage_prefix = "morselscope-stage-";

bool is_own_folder(const fs::path& path)
{
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

fs::path choose_folder()
{
  if (const char* named = std::getenv("XDG_RUNTIME_DIR"); named && *named == '/')
    return fs::path(named) / "morselscope";
  const fs::path by_user = "/run/user/" + std::to_string(geteuid());
  if (is_own_folder(by_user)) return by_user / "morselscope";
  return "/tmp/morselscope-" + std::to_string(geteuid());
}

}  // namespace

fs::path runtime_folder()
{
  fs::path folder = choose_folder();
  const std::string tried = "using the runtime folder " + folder.string();
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw Failure(Exit::target_lost, tried, errno_text(), "set XDG_RUNTIME_DIR to a folder that you can write to");
  struct stat status {};
  if (!is_own_folder(folder) || stat(folder.c_str(), &status) != 0 || (status.st_mode & 0077) != 0)
    throw Failure(Exit::target_lost, tried, "it belongs to somebody else, is a link, or others may enter it",
                  "remove it, or set XDG_RUNTIME_DIR to a folder of yours");
  return folder;
}

VmPaths::VmPaths(const std::string& name)
{
  check_vm_name(name);
  const fs::path base = runtime_folder();
  socket = base / (name + ".sock");
  lock = base / (name + ".lock");
  folder = base / name;
  console = folder / "console.log";
  channel = folder / "agent.sock";
  errors = folder / "holder.log";
  stage_note = folder / "staged";
}

void check_vm_name(const std::string& name)
{
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  };
  if (name.empty() || name.size() > max_name_bytes || !std::all_of(name.begin(), name.end(), allowed) ||
      name[0] == '.' || name[0] == '-' || name == "daemons")
    throw Failure(Exit::usage, "naming a VM '" + name + "'", "that is no name for a VM",
                  "use up to 40 letters, digits, '_', '.' and '-', beginning with a letter or digit");
}

std::optional<UniqueFd> take_lock(const fs::path& file, Wait wait)
{
  for (;;) {
    UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) throw Failure(Exit::target_lost, "opening " + file.string(), errno_text());
    if (flock(fd.get(), LOCK_EX | (wait == Wait::no ? LOCK_NB : 0)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return {};
      throw Failure(Exit::target_lost, "locking " + file.string(), errno_text());
    }
    // The last owner removes the file: if that happened between open and flock, this is the lock of nothing.
    struct stat ours {
    }, named{};
    if (fstat(fd.get(), &ours) == 0 && stat(file.c_str(), &named) == 0 && ours.st_ino == named.st_ino) return fd;
  }
}

fs::path make_stage(const VmPaths& paths)
{
  std::string name = std::string("/tmp/") + stage_prefix + "XXXXXX";
  if (!mkdtemp(name.data()) || chmod(name.c_str(), 0711) != 0)
    throw Failure(Exit::target_lost, "making a folder in /tmp", errno_text());
  write_file(paths.stage_note, name, 0600);
  return name;
}

void remove_vm_files(const VmPaths& paths)
{
  std::error_code ignored;
  const fs::path staged = read_file(paths.stage_note);
  if (staged.parent_path() == "/tmp" && staged.filename().string().starts_with(stage_prefix))
    fs::remove_all(staged, ignored);
  fs::remove(paths.socket, ignored);
  fs::remove_all(paths.folder, ignored);
}

std::vector<std::string> known_vm_names()
{
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(runtime_folder())) {
    const fs::path& path = entry.path();
    if ((path.extension() == ".sock" || path.extension() == ".lock") && path.stem() != "daemons")
      names.insert(path.stem().string());
  }
  return {names.begin(), names.end()};
}

}  // namespace morsel::testvm
