// SPDX-License-Identifier: GPL-2.0-or-later
//
// The ingredients of the protocol, each taken away by a fault plan, and the invariant that misses it. The names are
// those of the protocol's model (`check --list`) where it has the ingredient.
#pragma once
#include <span>
#include <string>

namespace morsel::sim {

struct Ingredient {
  const char* name;
  const char* without;    // what happens instead
  const char* scenario;   // in which every state is searched
  const char* invariant;  // what the violation begins with
};

std::span<const Ingredient> ingredients();

// The table in docs/concurrency.md.
std::string ingredients_markdown();

}  // namespace morsel::sim
