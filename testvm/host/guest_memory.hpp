// SPDX-License-Identifier: GPL-2.0-or-later
//
// A guest's physical memory, mapped read-only into this process: the file that QEMU or Bochs shares, at the guest's
// addresses (engine/session/memory_layout.hpp).
#pragma once
#include <filesystem>
#include <vector>

#include "engine/inspect/physical_memory.hpp"
#include "engine/session/mapped_file.hpp"
#include "engine/session/memory_layout.hpp"

namespace morsel::testvm {

class GuestMemory {
 public:
  // Throws Failure if the file cannot be opened or is not of that size. Test VMs are q35 (those of Bochs, too: they
  // have no more than its first part).
  GuestMemory(const std::filesystem::path& ram, u64 bytes, session::MemoryLayout layout = session::MemoryLayout::q35);

  const inspect::PhysicalMemory& physical() const { return physical_; }
  // Whether these bytes stand there now.
  bool holds(PhysAddr at, const std::vector<u8>& bytes) const;

 private:
  session::MappedFile file_;
  inspect::PhysicalMemory physical_;
};

}  // namespace morsel::testvm
