// SPDX-License-Identifier: GPL-2.0-or-later
//
// How a walk ends, in words that a format header and a machine can agree on.
#pragma once
#include <string_view>

#include "engine/abi/morsel_vcpu.h"
#include "engine/inspect/walk.hpp"

namespace morsel::guest {

enum class WalkOutcome : u8 { allowed, absent, denied, malformed, unknown };
inline constexpr u32 walk_outcomes = 4;  // those that are known

constexpr std::string_view outcome_word(WalkOutcome outcome)
{
  constexpr std::string_view words[] = {"allowed", "absent", "denied", "malformed", "?"};
  return words[static_cast<u8>(outcome)];
}

// As hardware told it.
constexpr WalkOutcome outcome_of(const morsel_vcpu_run& run)
{
  if (run.result == MORSEL_VCPU_DONE) return WalkOutcome::allowed;
  constexpr u64 page_fault = 14;  // of the guest's own tables
  if (run.result != MORSEL_VCPU_VIOLATION && (run.result != MORSEL_VCPU_EXCEPTION || run.exit_code != page_fault))
    return WalkOutcome::unknown;
  if (run.access & MORSEL_VCPU_RESERVED) return WalkOutcome::malformed;
  return run.access & MORSEL_VCPU_PRESENT ? WalkOutcome::denied : WalkOutcome::absent;
}

template <class F>
inline constexpr bool has_present_bit = requires
{
  F::present;
};

// Formats without a bit for it are present with any right.
template <class F>
constexpr bool is_present(u64 word)
{
  if constexpr (has_present_bit<F>)
    return (word & F::present) != 0;
  else
    return (word & (F::read | F::write | F::execute)) != 0;
}

// As the engine's inspector finds it in memory, and hardware would tell it.
template <class F>
WalkOutcome outcome_of(const inspect::WalkTrace& trace)
{
  switch (trace.end) {
    case inspect::WalkEnd::translated: return WalkOutcome::allowed;
    case inspect::WalkEnd::not_present: return WalkOutcome::absent;
    case inspect::WalkEnd::denied:
      // Without a bit for it, present means that some right is left on the whole way.
      return has_present_bit<F> || !trace.rights.none() ? WalkOutcome::denied : WalkOutcome::absent;
    case inspect::WalkEnd::malformed:
      // Words that no hardware takes for present: it does not look at them any further.
      return is_present<F>(trace.steps.back().entry.word) ? WalkOutcome::malformed : WalkOutcome::absent;
    case inspect::WalkEnd::outside_memory: return WalkOutcome::unknown;
  }
  return WalkOutcome::unknown;
}

}  // namespace morsel::guest
