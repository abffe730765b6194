// SPDX-License-Identifier: GPL-2.0-or-later
//
// Hashes and random numbers: 64 bits, the same on every machine and in the kernel.
#pragma once
#include <bit>

#include "engine/base/types.hpp"

namespace morsel {

// Spreads one word over 64 bits (the finaliser of SplitMix64).
constexpr u64 spread(u64 x)
{
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// A sequence: h after `value`.
constexpr u64 mix(u64 h, u64 value) { return spread(h * 0x9e3779b97f4a7c15 + value + 0x632be59bd9b4e019); }

// Random numbers: SplitMix64.
class Random {
 public:
  explicit Random(u64 seed) : state_(seed) {}
  u64 next() { return spread(state_ += 0x9e3779b97f4a7c15); }
  // The number of a bit of `set`, which is not empty.
  u32 one_of(u32 set)
  {
    for (u32 skip = below(static_cast<u32>(std::popcount(set))); skip > 0; --skip) set &= set - 1;
    return static_cast<u32>(std::countr_zero(set));
  }
  u32 below(u32 limit) { return static_cast<u32>((next() >> 32) * limit >> 32); }

 private:
  u64 state_;
};

}  // namespace morsel
