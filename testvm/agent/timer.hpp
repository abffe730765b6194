// SPDX-License-Identifier: GPL-2.0-or-later
//
// Timers as descriptors, for the poller.
#pragma once
#include <chrono>

#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {

UniqueFd make_timer();
// It is ready after `first`, and then every `every`; zero: never (again).
void start_timer(const UniqueFd& timer, std::chrono::nanoseconds first, std::chrono::nanoseconds every);

}  // namespace morsel::agent
