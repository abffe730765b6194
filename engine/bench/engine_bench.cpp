// SPDX-License-Identifier: GPL-2.0-or-later
//
// The engine's speed: table_bench.cpp, view_bench.cpp and diff_bench.cpp in one program, so that one run interleaves
// all of them. `engine_bench --memory` prints what a view takes besides its tables instead. scripts/bench makes rows of
// both.
#include <benchmark/benchmark.h>

#include <iostream>
#include <string_view>

#include "engine/morsel/object.hpp"

int main(int count, char** words)
{
  if (count == 2 && std::string_view(words[1]) == "--memory") {
    std::cout << R"({"name": "memory of a view besides its tables", "unit": "bytes", "value": )"
              << sizeof(morsel::View) + sizeof(morsel::Object{}.views[0]) << "}\n";
    return 0;
  }
  benchmark::Initialize(&count, words);
  if (benchmark::ReportUnrecognizedArguments(count, words)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
