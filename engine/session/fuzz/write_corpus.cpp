// SPDX-License-Identifier: GPL-2.0-or-later
//
// journal_corpus FOLDER: writes the journals from which journal_fuzz starts into a folder that is there.
#include <cstdio>

#include "engine/session/failure.hpp"
#include "engine/session/fuzz/corpus.hpp"

int main(int argc, char** argv)
{
  if (argc != 2) {
    std::fputs("usage: journal_corpus FOLDER\n", stderr);
    return 2;
  }
  try {
    (void)morsel::session::make_corpus(argv[1]);
  } catch (const morsel::session::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}
