// SPDX-License-Identifier: GPL-2.0-or-later
//
// Crashes: an operation on a persistent object is cut off at every access, and every memory that the crash can leave
// is recovered and compared, page by page, with what the operations under way may have done (I6). A second operation
// may run from begin to end at any point of the first: all runs with one preemption.
//
// A page after recovery is what it was before or after each operation under way, and what it was after those that had
// returned: mapped or not, its rights, and the contents of its frame. No frame has two owners, and recovery cut off at
// any of its stores and begun again ends the same.
// Then it is used to its end: its pages are populated and go to a view, everything is unmapped, the object destroyed,
// and no page may stay in use.
//
// One crash is one word, which replays: the scenario, where the second act runs, where the crash is, and what became of
// the lines that were not certain, in the order in which recovery reads them:
//
//   populate:p0-1+--+unmap:p0@b7c12i0.2.1
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/sim/scenario.hpp"

namespace morsel::sim {

inline constexpr u64 max_images = 20'000;  // of one crash; more are an error of the scenario

struct CrashPoint {
  u32 second_at = 0;        // the access of the first act before which the second runs; 0: not at all
  u32 crash_at = 0;         // the access before which the machine stops, counted over both
  std::vector<u32> script;  // what became of lines (persistent_memory.hpp)
};

struct CrashVerdict {
  std::string violation;  // empty: none
  std::string token;      // of the first violation
  u64 crashes = 0;        // (second_at, crash_at) tried
  u64 images = 0;         // memories recovered
  std::vector<std::string> story;  // of a replay: what was cut off, and each watched page after recovery
};

// All of them. The scenario has one or two acts behind --, of: populate, unmap, protect, resize, split, merge,
// migrate, break_copy, and fill as the second.
CrashVerdict crash_everywhere(const Scenario& scenario);

// What stands behind a scenario's last @ tells crashes from schedules.
bool is_crash_token(std::string_view token);

// One of them again. Throws session::Failure for what is no token.
CrashVerdict replay_crash(const std::string& token);

}  // namespace morsel::sim
