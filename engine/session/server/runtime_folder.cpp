// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/runtime_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/session/failure.hpp"

namespace morsel::session {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_name_bytes = 40;

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

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

fs::path runtime_folder()
{
  fs::path folder = choose_folder();
  const std::string tried = "using the runtime folder " + folder.string();
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw Failure(Exit::target_lost, tried, std::strerror(errno),
                  "set XDG_RUNTIME_DIR to a folder that you can write to");
  struct stat status {};
  if (!is_own_folder(folder) || stat(folder.c_str(), &status) != 0 || (status.st_mode & 0077) != 0)
    throw Failure(Exit::target_lost, tried, "it belongs to somebody else, is a link, or others may enter it",
                  "remove it, or set XDG_RUNTIME_DIR to a folder of yours");
  return folder;
}

bool is_plain_name(std::string_view name)
{
  const auto allowed = [](char c) { return is_letter_or_digit(c) || c == '_' || c == '.' || c == '-'; };
  return !name.empty() && name.size() <= max_name_bytes && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::optional<UniqueFd> take_lock(const fs::path& file, Wait wait)
{
  for (;;) {
    UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) throw Failure(Exit::target_lost, "opening " + file.string(), std::strerror(errno));
    if (flock(fd.get(), LOCK_EX | (wait == Wait::no ? LOCK_NB : 0)) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return {};
      throw Failure(Exit::target_lost, "locking " + file.string(), std::strerror(errno));
    }
    // The last owner removes the file: if that happened between open and flock, this is the lock of nothing.
    struct stat ours {
    }, named{};
    if (fstat(fd.get(), &ours) == 0 && stat(file.c_str(), &named) == 0 && ours.st_ino == named.st_ino) return fd;
  }
}

}  // namespace morsel::session
