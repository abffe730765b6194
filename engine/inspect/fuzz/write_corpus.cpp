// SPDX-License-Identifier: GPL-2.0-or-later
//
// inspect_corpus FOLDER: writes the inputs from which inspect_fuzz starts into a folder that is there.
#include <cstdio>

#include "engine/inspect/fuzz/corpus.hpp"

namespace {

bool write_file(const std::string& path, const std::vector<morsel::u8>& bytes)
{
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (!file) return false;
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  return std::fclose(file) == 0 && written;
}

}  // namespace

int main(int argc, char** argv)
{
  if (argc != 2) {
    std::fputs("usage: inspect_corpus FOLDER\n", stderr);
    return 2;
  }
  for (const morsel::inspect::Seed& seed : morsel::inspect::make_corpus()) {
    const std::string path = std::string(argv[1]) + "/" + seed.name;
    if (write_file(path, seed.bytes)) continue;
    std::perror(path.c_str());
    return 1;
  }
}
