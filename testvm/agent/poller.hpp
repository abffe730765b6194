// SPDX-License-Identifier: GPL-2.0-or-later
//
// What the agent waits for: descriptors, each with what is to be done when it is ready. One thread.
#pragma once
#include <cstdint>
#include <functional>
#include <map>

#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {

class Poller {
 public:
  using Action = std::function<void(std::uint32_t events)>;

  Poller();
  void add(int fd, std::uint32_t events, Action action);
  void change(int fd, std::uint32_t events);
  void remove(int fd);
  // Waits for one ready descriptor and acts. Actions may add and remove any descriptor, their own too.
  void wait();

 private:
  UniqueFd epoll_;
  std::map<int, Action> actions_;
};

}  // namespace morsel::agent
