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
  std::string expected;  // "A or B" where the manual leaves it open
  std::string seen;
  std::string known = {};  // what an emulator is known to do instead; ept_rows.cpp says which
  bool agrees() const { return (" or " + expected + " or ").find(" or " + seen + " or ") != std::string::npos; }
  bool is_known() const { return !agrees() && seen == known; }
};
struct Section {
  std::string title;
  std::string source;  // of the expectations
  std::vector<Row> rows;
};

// A second stage that this machine's hardware may have, and how it is asked.
struct Walker {
  const LabFormat& format;
  const char* name;   // the format's
  const char* title;  // as people write it
  const char* machine;
  std::vector<Section> (*lab_sections)();
};
std::vector<Section> npt_lab_sections();
std::vector<Section> ept_lab_sections();
// Through a view of that walker's format.
std::vector<Section> object_sections(const Walker& walker);
Section fault_section(const Walker& walker);
// AMD64: the guest's own tables over such a second stage, and those that the CPU walks for this process.
std::vector<Section> own_stage_sections(const LabFormat& second_stage);
std::vector<Section> process_sections();

inline std::string count(u64 number, const char* what) { return std::to_string(number) + " " + what; }

}  // namespace morsel::guest
