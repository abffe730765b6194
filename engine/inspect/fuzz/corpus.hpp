// SPDX-License-Identifier: GPL-2.0-or-later
//
// Inputs of inspect_fuzz to start from: machines as they are, with a primary and a view of every format. Made by the
// embedded machine, so that they follow the formats, and nothing binary lies in the repository.
#pragma once
#include <string>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::inspect {

struct Seed {
  std::string name;  // of a file
  std::vector<u8> bytes;
};

std::vector<Seed> make_corpus();

}  // namespace morsel::inspect
