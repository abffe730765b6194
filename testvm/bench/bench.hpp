// SPDX-License-Identifier: GPL-2.0-or-later
//
// What these programs share: seconds, medians, the line that scripts/bench reads, and main()'s way out.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <vector>

#include "engine/session/failure.hpp"

namespace morsel::bench {

using session::Exit;
using session::Failure;

template <class Work>
double seconds(Work&& work)
{
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values)
{
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

inline void print_row(const char* name, double value, const char* unit, std::optional<double> baseline = std::nullopt)
{
  fmt::print(R"({{"name": "{}", "value": {:.9g}, "unit": "{}")", name, value, unit);
  if (baseline) fmt::print(R"(, "baseline": {:.9g})", *baseline);
  fmt::print("}}\n");
}

// main() of such a program: 0, or a failure told and its exit status.
inline int run_bench(void (*run)())
{
  try {
    run();
    return 0;
  } catch (const Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
}

}  // namespace morsel::bench
