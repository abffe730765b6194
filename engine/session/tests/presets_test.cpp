// SPDX-License-Identifier: GPL-2.0-or-later
//
// What presets claim about hardware, against what hardware was seen to do: the rows of docs/hardware.md.
#include "engine/session/presets.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>

namespace morsel::session {
namespace {

// For each format the rows "PRESET: ..." that are as expected, by preset.
std::map<std::string, std::set<std::string>> rows_by_format()
{
  const char* const path = std::getenv("MORSEL_HARDWARE_PAGE");
  std::map<std::string, std::set<std::string>> rows;
  std::ifstream page(path ? path : "");
  std::string format;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) format = line.substr(3, line.find(',') - 3);
    if (line.starts_with("| ") && line.find("(differs") == std::string::npos)
      rows[format].insert(line.substr(2, line.find(':') - 2));
  }
  return rows;
}

bool is_offered(const Preset& preset, FormatId format) { return !preset.bits || preset.bits(format) != 0; }

TEST(Presets, EachThatClaimsSomethingOfHardwareIsSeenOnEachThatWalksAFormatWhichHasIt)
{
  const auto rows = rows_by_format();
  for (const FormatId format : {FormatId::amd64, FormatId::npt, FormatId::ept, FormatId::vtd_second_stage}) {
    const std::string name(find_format(format)->name);
    ASSERT_TRUE(rows.contains(name)) << "docs/hardware.md has no part about " << name;
    for (const Preset& preset : presets()) {
      if (preset.hardware.starts_with("None") || !is_offered(preset, format)) continue;
      EXPECT_TRUE(rows.at(name).contains(std::string(preset.name)))
          << "docs/hardware.md: " << name << " has no row for " << preset.name;
    }
  }
}

}  // namespace
}  // namespace morsel::session
