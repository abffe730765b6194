// SPDX-License-Identifier: GPL-2.0-or-later
//
// How long the guest's image takes, as the start of a VM would make it now: prints one JSON line. With an unchanged
// build folder that is the time to find out that there is nothing to do.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "engine/session/failure.hpp"
#include "testvm/image/image.hpp"

int main()
{
  using namespace morsel;
  try {
    const auto inputs = testvm::inputs_of_build(testvm::find_build_folder());
    const bool current = testvm::image_is_current(inputs);
    const auto start = std::chrono::steady_clock::now();
    testvm::build_image(inputs);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    fmt::print(R"({{"name": "{}", "value": {:.4f}, "unit": "s"}})" "\n", current ? "unchanged image" : "new image",
               took.count());
    return 0;
  } catch (const session::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
}
