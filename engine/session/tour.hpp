// SPDX-License-Identifier: GPL-2.0-or-later
//
// The tour: the life of one object in six stations, on any target. Every number that it tells is read out of the
// target's tables and compared with what must be; the facts say for each expectation whether it held.
#pragma once
#include <string>

#include "engine/session/reply.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

inline constexpr const char* tour_object = "tour";

struct TourOptions {
  std::string object = tour_object;  // only an object of this very name is replaced if it exists
  bool keep = false;                 // leave the object, with its stale entry
};

// facts: {"object", "target", "stations":[{"title","told","tree","checks":[{"what","expected","found","holds"}]}],
// "holds"}
Outcome run_tour(Target& target, const TourOptions& options);

}  // namespace morsel::session
