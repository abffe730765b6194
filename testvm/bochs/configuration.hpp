// SPDX-License-Identifier: GPL-2.0-or-later
//
// The configuration file of Bochs 2.7 (man bochsrc) for a test VM.
#pragma once
#include <filesystem>
#include <string>

#include "engine/base/types.hpp"

namespace morsel::testvm {

struct BochsFiles {
  std::filesystem::path memory, rom, console, log;
};

// `channel_port` is never connected to: the bridge puts the agent's channel there (bridge.cpp).
std::string bochs_configuration(const BochsFiles& files, u64 memory_bytes, u32 cpus);

}  // namespace morsel::testvm
