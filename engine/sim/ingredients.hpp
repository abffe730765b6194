// SPDX-License-Identifier: GPL-2.0-or-later
//
// The ingredients of the protocol, each taken away by a fault plan, and the invariant that misses it. The names are
// those of the protocol's model (`check --list`) where it has the ingredient.
#pragma once
#include <span>
#include <string>
#include <vector>

namespace morsel::sim {

struct Ingredient {
  enum class Source : unsigned char { model, engine, persistence };
  Source source;
  const char* name;
  const char* without;    // what happens instead
  const char* scenario;   // in which every state is searched; of persistence, every crash is tried
  const char* invariant;  // what the violation begins with
};

std::span<const Ingredient> ingredients();

// Those that no plan takes away.
struct Untouched {
  const char* name;
  const char* why;
};
std::span<const Untouched> untouched_ingredients();

// How an ingredient is missed: a run that violates the invariant, made small. Repeats: nothing is drawn by chance.
struct Counterexample {
  std::string violation;  // empty: nothing misses it
  std::string token;
  std::size_t steps = 0;  // of persistence: accesses until the crash
};
Counterexample counterexample(const Ingredient& ingredient);

// docs/ingredients.md; `found` in the order of ingredients().
std::string ingredients_page(std::span<const Counterexample> found);

}  // namespace morsel::sim
