// SPDX-License-Identifier: GPL-2.0-or-later
//
// Saved memory of a machine: an ELF core as QEMU's dump-guest-memory, `virsh dump --memory-only` and kdump write it, or
// a raw image of its RAM. docs/dumps.md tells what is read. A file is hostile input: what does not hold together is
// refused with a Failure that says what is wrong and where. Nothing of the memory is copied.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/session/memory_layout.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

struct Dump {
  std::vector<inspect::MemorySegment> segments;  // ascending, apart from each other; they point into the file's bytes
  std::vector<CpuState> cpus;                    // x86-64 with QEMU's note; else empty
  std::optional<inspect::TreeSource> kernel;     // the kernel's own tables, by its VMCOREINFO
  std::string release;                           // of that kernel
  std::string machine;                           // "x86-64"; empty: the file does not say
  u64 left_out = 0;                              // bytes of memory that the file names and does not hold
};

// `name` is for messages. Without a layout the file must say itself where its memory belongs.
Dump read_dump(std::span<const std::byte> bytes, const std::string& name, std::optional<MemoryLayout> layout = {});

// The tables that the CPU walks; empty if it does not page, or not in long mode.
std::optional<inspect::TreeSource> tables_of(const CpuState& cpu);

// A root as somebody types it: its address, or the register that holds it. `what` is for messages.
inspect::TreeSource parse_root(const std::string& what, const std::string& word, FormatId format);

}  // namespace morsel::session
