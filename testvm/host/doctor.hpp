// SPDX-License-Identifier: GPL-2.0-or-later
//
// What this machine offers, found out by trying where that is possible, and what to do about what it lacks.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::testvm {

enum class Works : u8 { yes, partly, no };
constexpr std::string_view works_name(Works works)
{
  constexpr std::string_view names[] = {"yes", "partly", "no"};
  return names[static_cast<u8>(works)];
}

struct DoctorFinding {
  std::string what;   // "KVM"
  std::string found;  // in words
  Works works = Works::no;
  std::string advice;  // empty: nothing to do
};

// Starts nothing that stays. About 0.2 s.
std::vector<DoctorFinding> run_doctor();

}  // namespace morsel::testvm
