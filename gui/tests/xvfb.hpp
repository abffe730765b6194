// SPDX-License-Identifier: GPL-2.0-or-later
//
// An X server of the test's own, on a display number that the server chooses itself, without a screen or a user.
#pragma once
#include <string>

namespace morsel::gui {

class Xvfb {
 public:
  Xvfb();   // waits until the server says that it is ready
  ~Xvfb();  // ends it, and waits for its end
  Xvfb(const Xvfb&) = delete;
  Xvfb& operator=(const Xvfb&) = delete;

  // ":7"; empty: the server cannot be started here, `reason` says why.
  const std::string& display() const { return display_; }
  const std::string& reason() const { return reason_; }

 private:
  int pid_ = -1;
  std::string display_, reason_;
};

}  // namespace morsel::gui
