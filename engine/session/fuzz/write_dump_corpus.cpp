// SPDX-License-Identifier: GPL-2.0-or-later
//
// dump_corpus FOLDER: writes the dumps from which dump_fuzz starts into a folder that is there.
#include <cstdio>
#include <fstream>

#include "engine/session/fuzz/dump_corpus.hpp"

int main(int argc, char** argv)
{
  if (argc != 2) {
    std::fputs("usage: dump_corpus FOLDER\n", stderr);
    return 2;
  }
  for (const auto& seed : morsel::session::make_dump_corpus()) {
    std::ofstream file(std::string(argv[1]) + "/" + seed.name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.bytes.data()), std::ssize(seed.bytes));
    if (!file.flush()) {
      std::fprintf(stderr, "cannot write %s/%s\n", argv[1], seed.name.c_str());
      return 1;
    }
  }
}
