// SPDX-License-Identifier: GPL-2.0-or-later
//
// Going from one difference to the next, over all views: ordered by offset, then by view.
#pragma once
#include <optional>

#include "engine/session/aligned.hpp"

namespace morsel::gui {

// A place in one view; column is the aligned tree's (1 and up).
struct DifferencePlace {
  u64 offset = 0;
  std::size_t column = 0;
  bool wrapped = false;  // the search began again at the other end
  bool operator==(const DifferencePlace&) const = default;
};

// Nothing: every view is clean. Without `from` the first (last) one.
std::optional<DifferencePlace> nextDifference(const session::AlignedTree& tree, std::optional<DifferencePlace> from);
std::optional<DifferencePlace> previousDifference(const session::AlignedTree& tree,
                                                  std::optional<DifferencePlace> from);

// Pages of one view in runs that are not clean.
u64 uncleanPages(const inspect::Diff& diff);

}  // namespace morsel::gui
