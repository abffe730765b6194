// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/timer.hpp"

#include <sys/timerfd.h>

#include <cerrno>
#include <cstring>

#include "testvm/agent/error.hpp"

namespace morsel::agent {
namespace {

[[noreturn]] void fail_timer() { throw RequestError(errno, std::string("making a timer: ") + std::strerror(errno)); }

}  // namespace

UniqueFd make_timer()
{
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) fail_timer();
  return timer;
}

void start_timer(const UniqueFd& timer, std::chrono::nanoseconds first, std::chrono::nanoseconds every)
{
  const auto spec = [](std::chrono::nanoseconds time) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    return timespec{.tv_sec = seconds.count(), .tv_nsec = (time - seconds).count()};
  };
  const itimerspec times{.it_interval = spec(every), .it_value = spec(first)};
  if (timerfd_settime(timer.get(), 0, &times, nullptr) != 0) fail_timer();
}

}  // namespace morsel::agent
