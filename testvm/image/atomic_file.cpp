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

// A temporary file beside its target; gone at the end of the scope unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& target)
      : name_(target.string() + ".XXXXXX"), fd_(mkostemp(name_.data(), O_CLOEXEC))
  {
  }
  ~TemporaryFile()
  {
    if (fd_ < 0) return;
    close(fd_);
    if (!renamed_) unlink(name_.c_str());
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
    renamed_ = rename(name_.c_str(), target.c_str()) == 0;
    return renamed_;
  }

 private:
  std::string name_;
  int fd_;
  bool renamed_ = false;
};

[[noreturn]] void fail(const std::filesystem::path& target, std::size_t bytes, int error)
{
  std::string found = std::strerror(error);
  struct statvfs space;
  const auto folder = target.parent_path().empty() ? std::filesystem::path(".") : target.parent_path();
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
