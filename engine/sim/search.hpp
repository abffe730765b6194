// SPDX-License-Identifier: GPL-2.0-or-later
//
// Exhaustive search: every state that a scenario can come to, depth first. States that were met before are recognised
// by their hash; orders of steps that lead to the same are tried once.
//
// Three means, each of which keeps every violation of an invariant (they are checked as part of a step, footprint.hpp)
// and every final state:
//
//   hashing     A state's hash covers the world and, for each actor, all that it has observed: an actor is
//               deterministic, so that decides its stack and what it does next. It also makes the graph of states
//               acyclic: an actor that goes on has observed more. One that never ends is met as a path without end.
//   sleep sets  After a step was tried in a state, it need not be tried behind another that is independent of it, until
//               something dependent came between. A state that is met again with fewer asleep is entered again for the
//               difference (Godefroid, "Partial-Order Methods", LNCS 1032).
//   persistent  If no actor outside a set will ever do anything that depends on the next steps of those inside, only
//   sets        these need be tried. What an actor will do is learned: the last of its steps, counted from its begin,
//               that read or wrote a place in any execution so far. What the search learns too late is made up for by
//               another search, until one learns nothing. That suffices: take the first step by which an execution of
//               the full graph contradicts what was learned; up to there the search has met an execution that differs
//               in the order of independent steps only, so the same actor stands before the same step there, and does
//               it unless the search ends in a violation.
//
// With `preemptions`, only schedules with at most so many are tried, without reduction: an actor that could go on gives
// way to another. Most bugs need few. With `delays`, only those that leave a fixed schedule at most so often: whoever
// goes on does so until it cannot, then the next in order does; each one that is skipped costs one (Emmi, Qadeer,
// Rakamaric, "Delay-bounded scheduling", POPL 2011). They are fewer: with many actors that is what can be searched.
#pragma once
#include <optional>

#include "engine/sim/exploration.hpp"

namespace morsel::sim {

struct SearchOptions {
  bool reduce = true;     // sleep sets and persistent sets
  bool recognise = true;  // states met before; without, every schedule is tried
  bool progress = false;  // I5: from every state, each actor alone comes to its end
  std::optional<u32> preemptions{};
  std::optional<u32> delays{};  // not together with preemptions
  u64 max_states = 20'000'000;
};

struct SearchResult {
  bool complete = false;  // everything was tried, or a violation was found
  std::string violation;
  Schedule schedule;  // to the violation
  u64 states = 0;     // different ones
  u64 steps = 0;
  u64 passes = 0;        // searches until nothing was learned
  u64 final_states = 0;  // different ones
  u64 final_hash = 0;    // of the set of them
};

SearchResult search(const Scenario& scenario, const SearchOptions& options = {});

}  // namespace morsel::sim
