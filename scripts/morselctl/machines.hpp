// SPDX-License-Identifier: GPL-2.0-or-later
//
// The machines that morselctl can drive, and the commands about them (vm, doctor): the session library must not know
// the test VM, so these rows join the table here. A build without testvm/ has the same rows; they say what is missing.
#pragma once
#include <memory>
#include <string>

#include "engine/session/session.hpp"

namespace morsel::ctl {

// Memory that is only looked at, in the user's words.
struct Look {
  std::string dump{};   // a file; or
  std::string guest{};  // a domain or a process
  std::string root{}, format{}, layout{};
};

struct Choice {
  bool embedded = false;
  std::string vm;       // empty: the default name
  std::string session;  // not empty: a running session does the commands
  Look look{};
};

// A command's handler that also knows what was chosen.
using ChoiceHandler = session::Outcome (*)(session::Session&, const session::Arguments&, const Choice&);
inline auto with(const Choice& choice, ChoiceHandler handler)
{
  return [choice, handler](session::Session& session, const session::Arguments& arguments) {
    return handler(session, arguments, choice);
  };
}
// What the argument NAME says; without it what was chosen, else the usual one.
inline std::string name_of(const session::Arguments& arguments, const std::string& chosen, const std::string& usual)
{
  if (arguments.has("NAME")) return arguments.text("NAME");
  return chosen.empty() ? usual : chosen;
}

std::unique_ptr<session::Target> open_target(const Choice& choice);
session::CommandTable commands(const Choice& choice);

}  // namespace morsel::ctl
