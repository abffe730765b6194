// SPDX-License-Identifier: GPL-2.0-or-later
//
// The embedded machine as a session's target: no VM, no privileges, gone with the process.
#pragma once
#include <memory>

#include "engine/session/target.hpp"

namespace morsel::sim {

inline constexpr u64 default_memory_bytes = u64{4} << 30;  // reserved; only what is used takes memory

std::unique_ptr<session::Target> make_embedded_target(u64 memory_bytes = default_memory_bytes);

}  // namespace morsel::sim
