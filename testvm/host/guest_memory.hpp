// SPDX-License-Identifier: GPL-2.0-or-later
//
// The guest's physical memory, mapped read-only into this process.
//
// q35 puts the first part of its memory at 0 and the rest at 4 GiB (QEMU hw/i386/pc_q35.c, pc_q35_init): with at least
// 0xb0000000 bytes the first part has 2 GiB, with less it is all. In the memfd both parts follow each other.
//
//   memfd   |0 ............ low|low ............ end|
//   guest   |0 ............ low|  hole  |4 GiB ............|
#pragma once
#include <filesystem>
#include <vector>

#include "engine/inspect/physical_memory.hpp"

namespace morsel::testvm {

struct MemoryPart {
  u64 guest_start = 0, file_offset = 0, bytes = 0;
};
std::vector<MemoryPart> q35_memory_parts(u64 bytes);

class GuestMemory {
 public:
  // Throws Failure if the file cannot be opened or is not of that size.
  GuestMemory(const std::filesystem::path& ram, u64 bytes);
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  const inspect::PhysicalMemory& physical() const { return physical_; }
  // Whether these bytes stand there now.
  bool holds(PhysAddr at, const std::vector<u8>& bytes) const;

 private:
  void* base_ = nullptr;
  u64 bytes_ = 0;
  inspect::PhysicalMemory physical_;
};

}  // namespace morsel::testvm
