// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where threads run. The guest's interrupts go to its first CPU (irqaffinity=0, testvm/host/domain_xml.cpp), and so
// does the loop that answers them: to wake a thread on another CPU takes an interrupt more, which is dear in emulation.
#pragma once
#include <sys/types.h>

namespace morsel::agent {

// thread: 0 is the caller. One that has ended is left alone.
void run_on_first_cpu(pid_t thread = 0);
void run_on_any_cpu(pid_t thread = 0);

// While this lives, what the caller starts may run on any CPU.
class OnAnyCpu {
 public:
  OnAnyCpu();
  ~OnAnyCpu();
  OnAnyCpu(const OnAnyCpu&) = delete;
  OnAnyCpu& operator=(const OnAnyCpu&) = delete;

 private:
  bool was_on_first_;
};

}  // namespace morsel::agent
