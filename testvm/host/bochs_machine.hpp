// SPDX-License-Identifier: GPL-2.0-or-later
//
// Bochs as the holder's machine: a child of the holder that ends with it. Its guest's memory is a memfd of the holder's
// and its second serial line a socket pair; the library that is loaded into it (testvm/bochs/bridge.cpp) makes both
// possible. The guest is in that memory before Bochs starts (testvm/bochs/boot.hpp).
#pragma once
#include "testvm/host/event_loop.hpp"
#include "testvm/host/machine.hpp"

namespace morsel::testvm {

// What Bochs needs and this machine lacks, in words; empty if there is all.
std::string missing_for_bochs();
inline constexpr const char* bochs_advice = "apt-get install bochs bochsbios bochs-term vgabios";

class BochsMachine final : public Machine {
 public:
  BochsMachine(const VmConfig& config, const VmPaths& paths, Stopped stopped);
  ~BochsMachine() override;
  BochsMachine(const BochsMachine&) = delete;
  BochsMachine& operator=(const BochsMachine&) = delete;

  UniqueFd start(VmInfo& info) override;
  void end() override;

 private:
  void make_memory();
  void write_files() const;
  UniqueFd start_bochs();
  void ended();
  std::string why_it_ended(int status) const;

  const VmConfig& config_;
  const VmPaths& paths_;
  const std::filesystem::path rom_, configuration_, commands_, log_;
  Stopped stopped_;
  UniqueFd memory_, process_;
  pid_t pid_ = 0;
  EventLoop::Watch watch_;
};

}  // namespace morsel::testvm
