// SPDX-License-Identifier: GPL-2.0-or-later
//
// Inputs of dump_fuzz to start from.
#pragma once
#include <string>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::session {

struct DumpSeed {
  std::string name;  // of a file
  std::vector<u8> bytes;
};

std::vector<DumpSeed> make_dump_corpus();

}  // namespace morsel::session
