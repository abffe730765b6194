// SPDX-License-Identifier: GPL-2.0-or-later
//
// How an IOMMU's walk ends. VT-d does not tell an absent entry from a missing right: both are "refused".
#pragma once
#include <string_view>

#include "engine/abi/morsel_device.h"
#include "engine/format/vtd.hpp"
#include "engine/inspect/walk.hpp"

namespace morsel::guest {

enum class DeviceOutcome : u8 { allowed, read_refused, write_refused, malformed, unknown };
inline constexpr u32 device_outcomes = 4;  // those that are known

constexpr std::string_view outcome_word(DeviceOutcome outcome)
{
  constexpr std::string_view words[] = {"allowed", "read refused", "write refused", "malformed", "?"};
  return words[static_cast<u8>(outcome)];
}

constexpr DeviceOutcome refused(Rights want)
{
  return want.write() ? DeviceOutcome::write_refused : DeviceOutcome::read_refused;
}

// As the IOMMU told it: reasons 5, 6 and 0xc (VT-d, 7.1.3).
constexpr DeviceOutcome outcome_of(const morsel_dma& dma)
{
  if (dma.result == MORSEL_DMA_DONE) return DeviceOutcome::allowed;
  if (dma.result != MORSEL_DMA_FAULT) return DeviceOutcome::unknown;
  switch (dma.reason) {
    case 5: return DeviceOutcome::write_refused;
    case 6: return DeviceOutcome::read_refused;
    case 0xc: return DeviceOutcome::malformed;
    default: return DeviceOutcome::unknown;
  }
}

// What the format's header says of one word on the way: whether the walk ends there, and how. A missing right comes
// before a reserved bit.
constexpr DeviceOutcome outcome_of(u64 word, Level level, Rights want)
{
  using F = VtdSecondStageL4;
  if ((word & want.bits() & (F::read | F::write)) == 0) return refused(want);
  switch (F::kind(word, level)) {
    case EntryKind::table:
    case EntryKind::leaf: return DeviceOutcome::allowed;
    case EntryKind::malformed: return DeviceOutcome::malformed;
    default: return refused(want);
  }
}

// As the engine's inspector finds it in memory.
inline DeviceOutcome outcome_of(const inspect::WalkTrace& trace, Rights want)
{
  if (trace.end == inspect::WalkEnd::outside_memory) return DeviceOutcome::unknown;
  for (const inspect::WalkStep& step : trace.steps)
    if (const auto outcome = outcome_of(step.entry.word, step.entry.level, want); outcome != DeviceOutcome::allowed)
      return outcome;
  return trace.end == inspect::WalkEnd::translated ? DeviceOutcome::allowed : DeviceOutcome::unknown;
}

}  // namespace morsel::guest
