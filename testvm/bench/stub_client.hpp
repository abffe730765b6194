// SPDX-License-Identifier: GPL-2.0-or-later
//
// A minimal client of QEMU's gdb stub, to measure against: connects, asks for physical memory, reads. It is quicker
// than gdb itself, so what beats it beats gdb. Protocol: "Debugging with GDB", appendix E; Qqemu.PhyMemMode: QEMU's
// manual, section "GDB usage".
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::bench {

class StubClient {
 public:
  // Connecting stops the machine; end() or the destructor lets it run again. Throws session::Failure.
  explicit StubClient(const std::string& socket_path);
  ~StubClient();
  StubClient(const StubClient&) = delete;
  StubClient& operator=(const StubClient&) = delete;

  // One table or the like: `count` words at a physical address.
  void read(u64 address, u64* words, u64 count);

 private:
  std::string command(std::string_view text);
  void send_packet(std::string_view text);
  std::string receive_packet();
  char next_byte();
  void write(std::string_view bytes);

  int fd_ = -1;
  bool acknowledge_ = true;
  std::string buffer_;
  std::size_t at_ = 0;
};

}  // namespace morsel::bench
