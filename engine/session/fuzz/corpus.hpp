// SPDX-License-Identifier: GPL-2.0-or-later
//
// Inputs of journal_fuzz to start from: journals saved by the embedded machine.
#pragma once
#include <string>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::session {

struct Seed {
  std::string name;  // of a file
  std::vector<u8> bytes;
};

// Writes and reads files in `folder`.
std::vector<Seed> make_corpus(const std::string& folder);

}  // namespace morsel::session
