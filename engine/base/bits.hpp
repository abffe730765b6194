// SPDX-License-Identifier: GPL-2.0-or-later
//
// Bit fields as the manuals write them: bit(n), bits(high, low), both inclusive.
#pragma once
#include "engine/base/types.hpp"

namespace morsel {

constexpr u64 bit(unsigned n) { return u64{1} << n; }

constexpr u64 bits(unsigned high, unsigned low) { return (~u64{0} >> (63 - high)) & (~u64{0} << low); }

constexpr u64 lg2_bytes(unsigned lg2) { return u64{1} << lg2; }

constexpr u64 align_down(u64 value, u64 alignment) { return value & ~(alignment - 1); }

constexpr u64 align_up(u64 value, u64 alignment) { return align_down(value + alignment - 1, alignment); }

constexpr bool is_aligned(u64 value, u64 alignment) { return (value & (alignment - 1)) == 0; }

// The value of the field `mask` in `word`, shifted down to bit 0. An empty mask has the value 0.
constexpr u64 field_value(u64 word, u64 mask) { return mask == 0 ? 0 : (word & mask) >> __builtin_ctzll(mask); }

}  // namespace morsel
