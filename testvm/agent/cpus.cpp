// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/cpus.hpp"

#include <sched.h>

namespace morsel::agent {

void run_on_first_cpu(pid_t thread)
{
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(0, &first);
  sched_setaffinity(thread, sizeof first, &first);
}

void run_on_any_cpu(pid_t thread)
{
  cpu_set_t all;  // those that do not exist do no harm
  CPU_ZERO(&all);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) CPU_SET(cpu, &all);
  sched_setaffinity(thread, sizeof all, &all);
}

OnAnyCpu::OnAnyCpu()
{
  cpu_set_t now;
  CPU_ZERO(&now);
  was_on_first_ = sched_getaffinity(0, sizeof now, &now) == 0 && CPU_COUNT(&now) == 1 && CPU_ISSET(0, &now);
  if (was_on_first_) run_on_any_cpu();
}

OnAnyCpu::~OnAnyCpu()
{
  if (was_on_first_) run_on_first_cpu();
}

}  // namespace morsel::agent
