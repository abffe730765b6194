// SPDX-License-Identifier: GPL-2.0-or-later
//
// Lines of the command table on an embedded machine of the test's own.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "engine/session/session.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {

class CommandLines : public ::testing::Test {
 protected:
  Reply run(const std::string& line) { return session_.execute_line(line); }
  Failure failure(const std::string& line)
  {
    try {
      run(line);
    } catch (const Failure& f) {
      return f;
    }
    ADD_FAILURE() << "accepted: " << line;
    return {Exit::done, "", ""};
  }

  Session session_{sim::make_embedded_target()};
};

}  // namespace morsel::session
