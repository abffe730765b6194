// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace morsel::session {

MappedFile::MappedFile(const std::string& path, const std::string& tried, Exit code)
{
  // Not blocking: the path may name a pipe that nobody writes to.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw Failure(code, tried, std::strerror(errno));
  struct stat status {};
  const bool known = fstat(fd, &status) == 0;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* at = nullptr;
  if (known && S_ISREG(status.st_mode) && size != 0) at = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  const int error = errno;
  close(fd);
  if (!known || at == MAP_FAILED) throw Failure(code, tried, std::strerror(error));
  if (!S_ISREG(status.st_mode)) throw Failure(code, tried, "it is no regular file", "Copy what it holds into a file.");
  bytes_ = {static_cast<const std::byte*>(at), size};
}

MappedFile::~MappedFile()
{
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace morsel::session
