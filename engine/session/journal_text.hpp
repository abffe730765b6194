// SPDX-License-Identifier: GPL-2.0-or-later
//
// The description in a saved journal: what is no array of fixed-size things, as JSON.
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

#include "engine/session/recorder.hpp"

namespace morsel::session {

// What is wrong with a description.
class BadText : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::string chronicle_text(const Chronicle& chronicle);
// Without records, changes and pages. `records`: how many are said to follow. Throws BadText.
Chronicle chronicle_of_text(std::string_view text, u64 records);

}  // namespace morsel::session
