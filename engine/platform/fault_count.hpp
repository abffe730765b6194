// SPDX-License-Identifier: GPL-2.0-or-later
//
// At which of the accesses that match it a rule of fault injection fires: the same in the embedded machine and in the
// kernel. Names and meaning follow Linux's fault injection (Documentation/fault-injection): `nth` counts down to the
// first time, `times` limits how often, `interval` and `probability` thin out what follows. Chance is drawn from the
// seed and the count alone, so that it repeats.
#pragma once
#include "engine/base/mix.hpp"

namespace morsel {

struct FaultCount {
  u64 nth = 1;
  u64 times = 1;
  u64 interval = 1;
  u32 probability = 100;  // percent
  u64 seed = 0;
  u64 seen = 0;  // matching accesses, with the one that is asked about
  u64 fired = 0;

  bool due() const
  {
    if (seen < nth || fired >= times || (seen - nth) % interval != 0) return false;
    return probability >= 100 || Random(mix(seed, seen)).below(100) < probability;
  }
};

}  // namespace morsel
