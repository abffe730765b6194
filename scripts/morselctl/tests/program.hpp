// SPDX-License-Identifier: GPL-2.0-or-later
//
// Runs morselctl as a person or a script would, and keeps what it said.
#pragma once
#include <sys/types.h>

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
  std::string preparation = {};          // a shell's command, in a mount namespace that this run then has for itself
};

// The program is that of the environment variable MORSELCTL.
Ended run_morselctl(const Invocation& invocation);
Ended morselctl(std::vector<std::string> words);

// A preparation: the program cannot be executed, as if it were not installed.
std::string without(const std::string& program);

// One that goes on: killed at the end, unless it was waited for.
class Running {
 public:
  explicit Running(const Invocation& invocation);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  // The next line of its output; what is left of one if it ends.
  std::string line();
  // What it says until it ends by itself.
  Ended wait();

 private:
  pid_t pid_ = -1;
  int output_ = -1, errors_ = -1;
};

}  // namespace morsel::ctl
