// SPDX-License-Identifier: GPL-2.0-or-later
//
// A run of exploration as a journal with its history: one record for each step of its token, by actors 1, 2, 3 ... for
// a, b, c ..., the tables after each as they stood in the explored memory, and the invariant that broke. So whatever
// looks at a recording looks at it: tree, diff, walk, journal, back and forward, verify, journal save.
//
// Steps that are no accesses of the engine are records, too, flagged (journal.hpp): the number of a record is that of
// the step, as `morsel-explore replay` tells it. Not in the tables: what hardware has cached, which is where most
// invariants break; the finding says it.
#pragma once
#include <string>

#include "engine/session/recorder.hpp"
#include "engine/sim/token.hpp"

namespace morsel::session {

// How the explored object is called, and the base of a scenario that clones.
inline constexpr std::string_view explored_name = "replay", explored_base_name = "replay-base";

struct ExploredChronicle {
  Chronicle chronicle;
  std::vector<sim::Step> steps;  // of its records, one each; pointers in them point nowhere
  std::string violation;         // empty: none
};
// The run is done from its beginning.
ExploredChronicle explore_again(const sim::TokenRun& token);

}  // namespace morsel::session
