// SPDX-License-Identifier: GPL-2.0-or-later
//
// Hardware as oracle for the walker: the same random tables, valid and broken, walked by this machine and by the
// engine's inspector.
#pragma once
#include "engine/format/format.hpp"

namespace morsel::guest {

// `second_stage`: the format that this machine walks, NPT or EPT; the guest's own AMD64 tables come with it. Prints the
// seed, the outcomes and every table on which the two differ. 0: they agree, and every outcome came up often
// enough to mean something; else 1.
int compare_walks(FormatId second_stage, u64 tables, u64 seed);

}  // namespace morsel::guest
