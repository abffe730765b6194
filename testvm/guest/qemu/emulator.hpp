// SPDX-License-Identifier: GPL-2.0-or-later
//
// An unmodified QEMU with our inner guest, on memory that somebody else names.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace morsel::guest {

struct EmulatorOptions {
  std::string accelerator = "tcg";
  std::uint64_t memory_bytes = 0;
  std::string memory;  // -object's words for the guest's memory; its id is "ram"
};

class Emulator {
 public:
  // Starts QEMU and waits until the inner guest listens. Throws std::system_error, and what wait_for_bell() throws.
  explicit Emulator(const EmulatorOptions& options);
  ~Emulator();  // kills QEMU if it still runs
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  pid_t pid() const { return pid_; }
  // Until the inner guest has rung the doorbell once more. Throws std::runtime_error if QEMU ends instead, or nothing
  // happens for minutes.
  void wait_for_bell();
  // QEMU's exit status, or 128 and its signal.
  int wait_for_end();
  // Page faults of all of QEMU's threads until now.
  std::uint64_t faults() const;
  // The first line that the firmware has written to its debug port.
  std::string firmware_greeting() const;
  // The file of /proc by which another process reaches memory that QEMU has made by memfd_create(2).
  std::string memfd_path() const;

 private:
  Emulator() = default;
  void start(const EmulatorOptions& options);

  int log_ = -1, bell_ = -1;
  pid_t pid_ = 0;
};

}  // namespace morsel::guest
