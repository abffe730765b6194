// SPDX-License-Identifier: GPL-2.0-or-later
//
// Hashes of states.
#pragma once
#include "engine/base/mix.hpp"

namespace morsel::sim {

// One member of a set, whose hash is the sum of its members'.
constexpr u64 member(u64 key, u64 value) { return value == 0 ? 0 : mix(spread(key), value); }

}  // namespace morsel::sim
