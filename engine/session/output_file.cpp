// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/output_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "engine/session/failure.hpp"

namespace morsel::session {

namespace fs = std::filesystem;

namespace {

constexpr int most_links = 40;    // as many as the kernel follows
constexpr int most_tries = 1000;  // of names for the partial file
constexpr mode_t mode_mask = 07777;

// What the path names when its last part is a symbolic link, also one to a file that is not there yet. Empty: a circle.
std::string without_links(const std::string& path)
{
  fs::path target = path;
  std::error_code error;
  for (int links = 0; fs::is_symlink(target, error); ++links) {
    if (links == most_links) return {};
    const fs::path next = fs::read_symlink(target, error);
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  return target.string();
}

}  // namespace

OutputFile::OutputFile(const std::string& path, std::string tried)
    : tried_(std::move(tried)), target_(without_links(path))
{
  if (target_.empty()) fail(ELOOP);
  struct stat there {};
  const bool exists = ::stat(target_.c_str(), &there) == 0;
  if (exists && !S_ISREG(there.st_mode))
    throw Failure(Exit::usage, tried_, target_ + " is no ordinary file", "Give the path of a file, or of none yet.");
  open_beside(exists ? there.st_mode & mode_mask : 0);
}

OutputFile::~OutputFile()
{
  if (file_) std::remove(partial_.c_str());
}

// `mode`: of the file that it replaces; 0: there is none.
void OutputFile::open_beside(unsigned mode)
{
  int fd = -1;
  for (int i = 0; i < most_tries && fd < 0; ++i) {
    partial_ = target_ + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(i);
    fd = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno != EEXIST) break;
  }
  if (fd < 0) fail(errno);
  if (mode == 0 || ::fchmod(fd, mode) == 0) file_.reset(::fdopen(fd, "wb"));
  if (!file_) {
    const int error = errno;
    ::close(fd);
    std::remove(partial_.c_str());
    fail(error);
  }
}

void OutputFile::write(const void* bytes, std::size_t count)
{
  if (count != 0 && std::fwrite(bytes, 1, count, file_.get()) != count) fail(errno);
}

void OutputFile::close()
{
  if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) fail(errno);
  if (std::rename(partial_.c_str(), target_.c_str()) != 0) fail(errno);
  file_.reset();
}

void OutputFile::fail(int error) const
{
  throw Failure(Exit::usage, tried_, std::strerror(error), "Give the path of a file in a folder that can be written.");
}

}  // namespace morsel::session
