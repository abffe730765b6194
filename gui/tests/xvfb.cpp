// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/tests/xvfb.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

namespace morsel::gui {

Xvfb::Xvfb()
{
  int ready[2];
  if (pipe(ready) != 0) {
    reason_ = "no pipe";
    return;
  }
  const std::string descriptor = std::to_string(ready[1]);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves no server
    close(ready[0]);
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 1);
    dup2(nothing, 2);
    execlp("Xvfb", "Xvfb", "-displayfd", descriptor.c_str(), "-screen", "0", "1600x1100x24", "-nolisten", "tcp",
           nullptr);
    _exit(127);
  }
  close(ready[1]);
  std::string number;
  for (char c; read(ready[0], &c, 1) == 1 && c != '\n';) number += c;
  close(ready[0]);
  if (number.empty())
    reason_ = "Xvfb does not start (apt install xvfb)";
  else
    display_ = ":" + number;
}

Xvfb::~Xvfb()
{
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

}  // namespace morsel::gui
