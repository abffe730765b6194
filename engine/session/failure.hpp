// SPDX-License-Identifier: GPL-2.0-or-later
//
// How hosted code reports a failure: in the user's words, what was tried, what was found, what to do.
#pragma once
#include <stdexcept>
#include <string>

namespace morsel::session {

// Exit codes of every command (shared with scripts): see docs/commands.md.
enum class Exit : int {
  done = 0,
  check_failed = 1,   // the check asked for does not hold
  usage = 2,          // wrong words, wrong values
  skipped = 77,       // this machine lacks something; the message says what
  target_lost = 125,  // the VM or its agent is gone
};

class Failure : public std::runtime_error {
 public:
  Failure(Exit code, const std::string& tried, const std::string& found, const std::string& advice = {})
      : std::runtime_error(tried + ": " + found + (advice.empty() ? "" : "\n  " + advice)),
        code_(code), tried_(tried), found_(found), advice_(advice)
  {
  }
  Exit code() const { return code_; }
  const std::string& tried() const { return tried_; }
  const std::string& found() const { return found_; }
  const std::string& advice() const { return advice_; }

 private:
  Exit code_;
  std::string tried_, found_, advice_;
};

}  // namespace morsel::session
