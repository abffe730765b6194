// SPDX-License-Identifier: GPL-2.0-or-later
//
// Runs morselctl as a person or a script would, and keeps what it said.
#pragma once
#include <string>
#include <vector>

namespace morsel::ctl {

struct Ended {
  int status = -1;  // exit status; 128 + n after signal n
  std::string output, errors;
};

enum class Terminal : bool { no, yes };

struct Invocation {
  std::vector<std::string> words;        // without the program
  std::string input;                     // standard input
  std::vector<std::string> environment;  // NAME=value, added
  Terminal terminal = Terminal::no;      // standard streams are a terminal; errors then stand in the output
};

// The program is that of the environment variable MORSELCTL.
Ended run_morselctl(const Invocation& invocation);
Ended morselctl(std::vector<std::string> words);

}  // namespace morsel::ctl
