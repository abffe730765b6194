// SPDX-License-Identifier: GPL-2.0-or-later
//
// Replacing a file as a whole.
#include "testvm/image/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

std::filesystem::path folder_of(const std::filesystem::path& file)
{
  return file.parent_path().empty() ? "." : file.parent_path();
}

// A temporary file beside its target; gone at the end of the scope unless it was renamed. Where the file system can, it
// has no name until it is complete, so that not even SIGKILL leaves it behind.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target)
      : name_(target.string() + ".XXXXXX"), fd_(open(folder_of(target).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644))
  {
    named_ = fd_ < 0;
    if (named_) fd_ = mkostemp(name_.data(), O_CLOEXEC);
  }
  ~TemporaryFile()
  {
    if (fd_ < 0) return;
    close(fd_);
    if (named_) unlink(name_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  bool is_open() const { return fd_ >= 0; }
  bool write_all(std::string_view bytes, Durability durability)
  {
    while (!bytes.empty()) {
      const ssize_t written = write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return fchmod(fd_, 0644) == 0 && (durability == Durability::lazy || fsync(fd_) == 0);
  }
  bool rename_to(const std::filesystem::path& target)
  {
    if (!named_ && !give_name()) return false;
    named_ = rename(name_.c_str(), target.c_str()) != 0;
    return !named_;
  }

 private:
  // linkat(2) replaces nothing, so the file gets a name of its own before it is renamed.
  bool give_name()
  {
    name_ = name_.substr(0, name_.size() - 6) + std::to_string(getpid()) + "-" + std::to_string(gettid());
    const std::string link = "/proc/self/fd/" + std::to_string(fd_);
    unlink(name_.c_str());
    named_ = linkat(AT_FDCWD, link.c_str(), AT_FDCWD, name_.c_str(), AT_SYMLINK_FOLLOW) == 0;
    return named_;
  }

  std::string name_;
  int fd_;
  bool named_;
};

[[noreturn]] void fail(const std::filesystem::path& target, std::size_t bytes, int error)
{
  std::string found = std::strerror(error);
  struct statvfs space;
  const auto folder = folder_of(target);
  found += "; " + std::to_string(bytes) + " bytes are needed in " + folder.string();
  if (statvfs(folder.c_str(), &space) == 0)
    found += ", " + std::to_string(static_cast<unsigned long long>(space.f_bavail) * space.f_frsize) + " are free";
  const bool no_room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Failure(Exit::skipped, "writing " + target.string(), found,
                no_room ? "make room there, or build elsewhere; nothing was changed" : "");
}

}  // namespace

void replace_file(const std::filesystem::path& target, std::string_view bytes, Durability durability)
{
  int error = 0;
  {
    TemporaryFile file(target);
    if (file.is_open() && file.write_all(bytes, durability) && file.rename_to(target)) return;
    error = errno;
  }
  fail(target, bytes.size(), error);  // the temporary file is gone: what is free now was free before
}

}  // namespace morsel::testvm
