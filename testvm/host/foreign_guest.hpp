// SPDX-License-Identifier: GPL-2.0-or-later
//
// Any guest of QEMU that runs here and shares its RAM (a memfd or a file, share=on), as a target that is only looked
// at. Nothing of ours is in the guest. Its RAM is found in what its QEMU has mapped; CPUs' registers come from QEMU's
// monitor, where libvirt runs it ("info registers", which libvirt marks the domain for as tainted).
#pragma once
#include <optional>

#include "engine/session/memory_target.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {

// A file that a process has mapped shared, to be opened by this path.
struct SharedFile {
  std::filesystem::path path;  // /proc/PID/fd/N
  std::string name;            // "/memfd:memory-backend-memfd (deleted)"
  u64 bytes = 0;
};
// Those of at least 1 MiB, the largest first. Throws Failure if the process cannot be looked into.
std::vector<SharedFile> find_shared_files(pid_t process);

// Of a QEMU's arguments (separated by zeros); empty for a machine whose memory lies otherwise.
std::optional<session::MemoryLayout> layout_of_arguments(const std::string& arguments);

// What QEMU's monitor answers to "info registers -a".
std::vector<session::CpuState> parse_registers(const std::string& text);

// `guest`: a libvirt domain's name, or the process id of a QEMU.
std::unique_ptr<session::MemoryTarget> open_guest(const std::string& guest,
                                                  std::optional<session::MemoryLayout> layout);

}  // namespace morsel::testvm
