// SPDX-License-Identifier: GPL-2.0-or-later
//
// The rows of the matrix: what was done to a table, what its format's header lets expect, what the machine did.
#pragma once
#include <string>
#include <vector>

#include "testvm/guest/hardware/lab.hpp"

namespace morsel::guest {

struct Row {
  std::string what;
  std::string expected;
  std::string seen;
  bool agrees() const { return expected == seen; }
};
struct Section {
  std::string title;
  std::string source;  // of the expectations
  std::vector<Row> rows;
};

std::vector<Section> lab_sections(Lab& lab);
std::vector<Section> object_sections();

}  // namespace morsel::guest
