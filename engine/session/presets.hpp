// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults that have a name: what goes wrong in hardware, firmware or kernels, made of rules of injection. Which bits a
// format has for it is asked of the format itself.
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "engine/session/target.hpp"

namespace morsel::session {

struct Preset {
  enum class Where : u8 { view, primary };
  // The bits to flip in a leaf of this format; 0 if it has none for that.
  using Bits = u64 (*)(FormatId format);

  std::string_view name;
  Where where;
  SyncPoint point;
  morsel_fault_action action;
  Bits bits;                  // null: none are flipped
  std::string_view does;      // what is injected
  std::string_view hardware;  // what hardware would do with that
  std::string_view breaks;    // the invariants expected to break (docs/concurrency.md)
};

std::span<const Preset> presets();
const Preset* find_preset(std::string_view name);

}  // namespace morsel::session
