// SPDX-License-Identifier: GPL-2.0-or-later
//
// Mapping an object.
#include "testvm/guest/mapping.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "engine/abi/morsel_ioctl.h"

namespace morsel::guest {
namespace {

constexpr std::uint64_t slot_2m = std::uint64_t{1} << 21, slot_1g = std::uint64_t{1} << 30;

[[noreturn]] void fail(int fd, const std::string& what)
{
  const int number = errno;
  if (fd >= 0) close(fd);
  throw std::system_error(number, std::generic_category(), what);
}

}  // namespace

Mapping::Mapping(const std::string& path, std::uint32_t view, Right right)
{
  const bool writable = right == Right::read_write;
  fd_ = open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  struct stat status {};
  if (fd_ < 0 || fstat(fd_, &status) != 0) fail(fd_, "opening " + path);
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  if (view != 0) {
    morsel_map_view request{.size = sizeof request, .view = view};
    if (ioctl(fd_, MORSEL_IOC_MAP_VIEW, &request) != 0) fail(fd_, "choosing view " + std::to_string(view));
  }
  mapped_bytes_ = (bytes_ + slot_2m - 1) / slot_2m * slot_2m;
  unsigned char* const address = place(bytes_ >= slot_1g ? slot_1g : slot_2m);
  const int protection = PROT_READ | (writable ? PROT_WRITE : 0);
  if (!address || mmap(address, mapped_bytes_, protection, MAP_SHARED | MAP_FIXED, fd_, 0) == MAP_FAILED) {
    const int number = errno;
    if (address) munmap(address, mapped_bytes_);
    errno = number;
    fail(fd_, "mapping " + path);
  }
  base_ = address;
}

Mapping::~Mapping()
{
  munmap(base_, mapped_bytes_);
  close(fd_);
}

// Reserves room for any alignment, and gives back what lies around the aligned part.
unsigned char* Mapping::place(std::uint64_t alignment)
{
  const std::uint64_t room = mapped_bytes_ + alignment;
  void* const reserved = mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return nullptr;
  auto* const begin = static_cast<unsigned char*>(reserved);
  const std::uint64_t skip = (alignment - reinterpret_cast<std::uintptr_t>(begin) % alignment) % alignment;
  if (skip) munmap(begin, skip);
  munmap(begin + skip + mapped_bytes_, room - skip - mapped_bytes_);
  if (mapped_bytes_ == 0) {
    errno = EINVAL;
    return nullptr;
  }
  return begin + skip;
}

volatile std::uint64_t& Mapping::word(std::uint64_t offset) const
{
  return *reinterpret_cast<volatile std::uint64_t*>(base_ + offset);
}

}  // namespace morsel::guest
