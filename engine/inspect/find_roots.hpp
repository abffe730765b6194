// SPDX-License-Identifier: GPL-2.0-or-later
//
// Finds the address spaces of a system without knowing its data structures: every process' root table has the kernel's
// half in common with every other's, entry by entry. A table that was given back and not used again still looks so.
#pragma once
#include <vector>

#include "engine/inspect/snapshot.hpp"

namespace morsel::inspect {

struct FoundRoot {
  PhysAddr root;
  u64 user_entries = 0;  // that are present in the half below the sign boundary
};

// Pages whose half above the sign boundary points where that of `like` does. Formats without such a half have none.
std::vector<FoundRoot> find_roots(const PhysicalMemory& memory, const TreeSource& like);

}  // namespace morsel::inspect
