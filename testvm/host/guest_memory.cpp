// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/guest_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

#include "engine/session/failure.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {

using session::Exit;
using session::Failure;

std::vector<MemoryPart> q35_memory_parts(u64 bytes)
{
  constexpr u64 split_from = 0xb0000000, low_bytes = u64{2} << 30, high_start = u64{4} << 30;
  if (bytes < split_from) return {{0, 0, bytes}};
  return {{0, 0, low_bytes}, {high_start, low_bytes, bytes - low_bytes}};
}

GuestMemory::GuestMemory(const std::filesystem::path& ram, u64 bytes) : bytes_(bytes)
{
  const std::string tried = "mapping the guest's memory from " + ram.string();
  const UniqueFd fd(open(ram.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || fstat(fd.get(), &status) != 0) throw Failure(Exit::target_lost, tried, errno_text());
  if (static_cast<u64>(status.st_size) != bytes)
    throw Failure(Exit::target_lost, tried,
                  "it has " + std::to_string(status.st_size) + " bytes instead of " + std::to_string(bytes));
  base_ = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (base_ == MAP_FAILED) {
    base_ = nullptr;
    throw Failure(Exit::target_lost, tried, errno_text());
  }
  std::vector<inspect::MemorySegment> segments;
  for (const MemoryPart& part : q35_memory_parts(bytes))
    segments.push_back({part.guest_start, part.bytes, static_cast<const std::byte*>(base_) + part.file_offset});
  physical_ = inspect::PhysicalMemory(std::move(segments));
}

GuestMemory::~GuestMemory()
{
  if (base_) munmap(base_, bytes_);
}

bool GuestMemory::holds(PhysAddr at, const std::vector<u8>& bytes) const
{
  const u64* words = physical_.words(at, (bytes.size() + sizeof(u64) - 1) / sizeof(u64));
  return words && std::memcmp(words, bytes.data(), bytes.size()) == 0;
}

}  // namespace morsel::testvm
