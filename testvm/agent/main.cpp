// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-agent: the guest's side of the test VM. Started by init with no arguments, as root; when it ends, the guest
// ends.
#include <sys/reboot.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>

#include "testvm/agent/agent.hpp"
#include "testvm/agent/cpus.hpp"
#include "testvm/agent/kernel_module.hpp"
#include "testvm/agent/port.hpp"

int main()
{
  using namespace morsel::agent;
  signal(SIGPIPE, SIG_IGN);
  // Without the agent the guest is lost: when memory is short, its programs go first (Programs gives them 0).
  std::ofstream("/proc/self/oom_score_adj") << -1000;
  run_on_first_cpu();
  try {
    KernelModule module;
    const char* line = std::getenv(port_variable);
    Agent agent(module, line ? open_serial_line(line) : open_port(port_name), line ? Channel::stream : Channel::port);
    agent.serve();
    reboot(RB_POWER_OFF);
    std::perror("morsel-agent: power-off");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "morsel-agent: %s\n", error.what());
  }
  return 1;
}
