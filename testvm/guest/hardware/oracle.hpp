// SPDX-License-Identifier: GPL-2.0-or-later
//
// Hardware as oracle for the walker: the same random tables, valid and broken, walked by this machine and by the
// engine's inspector.
#pragma once
#include "engine/base/types.hpp"

namespace morsel::guest {

// Prints the seed, the outcomes and every table on which the two differ. 0: they agree, and every outcome came up often
// enough to mean something; else 1.
int compare_walks(u64 tables, u64 seed);

}  // namespace morsel::guest
