// SPDX-License-Identifier: GPL-2.0-or-later
//
// How long the guest's image takes, as the start of a VM would make it now: prints one JSON line. With an unchanged
// build folder that is the time to find out that there is nothing to do.
#include "testvm/bench/bench.hpp"
#include "testvm/image/image.hpp"

namespace morsel::bench {
namespace {

void run()
{
  const auto inputs = testvm::inputs_of_build(testvm::find_build_folder());
  const bool current = testvm::image_is_current(inputs);
  const double took = seconds([&] { testvm::build_image(inputs); });
  print_row(current ? "unchanged image" : "new image", took, "s");
}

}  // namespace
}  // namespace morsel::bench

int main() { return morsel::bench::run_bench(morsel::bench::run); }
