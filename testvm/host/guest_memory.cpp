// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/guest_memory.hpp"

#include <cstring>

#include "engine/session/failure.hpp"

namespace morsel::testvm {

using session::Exit;
using session::Failure;

namespace {

std::string mapping(const std::filesystem::path& ram) { return "mapping the guest's memory from " + ram.string(); }

}  // namespace

GuestMemory::GuestMemory(const std::filesystem::path& ram, u64 bytes, session::MemoryLayout layout)
    : file_(ram, mapping(ram), Exit::target_lost)
{
  if (file_.bytes().size() != bytes)
    throw Failure(Exit::target_lost, mapping(ram),
                  "it has " + std::to_string(file_.bytes().size()) + " bytes instead of " + std::to_string(bytes));
  std::vector<inspect::MemorySegment> segments;
  for (const session::MemoryPart& part : session::memory_parts(layout, bytes))
    segments.push_back({part.guest_start, part.bytes, file_.bytes().data() + part.file_offset});
  physical_ = inspect::PhysicalMemory(std::move(segments));
}

bool GuestMemory::holds(PhysAddr at, const std::vector<u8>& bytes) const
{
  const auto* const words = physical_.words(at, (bytes.size() + sizeof(u64) - 1) / sizeof(u64));
  return words && std::memcmp(words, bytes.data(), bytes.size()) == 0;
}

}  // namespace morsel::testvm
