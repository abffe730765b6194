// SPDX-License-Identifier: GPL-2.0-or-later
//
// The inner guest, as whoever has its memory mapped talks with it: by words of that memory (mailbox.h).
#pragma once
#include <cstdint>

#include "testvm/guest/mapping.hpp"
#include "testvm/guest/qemu/emulator.hpp"

namespace morsel::guest {

class InnerGuest {
 public:
  InnerGuest(Emulator& emulator, const Mapping& memory) : emulator_(emulator), memory_(memory) {}

  bool listens() const;
  std::uint32_t starts() const;
  // Asks it and waits; returns its result. Throws std::runtime_error if it answers something else, or not at all.
  std::uint32_t ask(std::uint32_t command, std::uint64_t first, std::uint64_t end, std::uint32_t value) const;
  // Asks it to end its machine; returns QEMU's exit status.
  int end(std::uint32_t value) const;

 private:
  std::uint32_t post(std::uint32_t command, std::uint64_t first, std::uint64_t end, std::uint32_t value) const;
  volatile std::uint32_t& word(std::uint64_t offset) const;

  Emulator& emulator_;
  const Mapping& memory_;
};

}  // namespace morsel::guest
