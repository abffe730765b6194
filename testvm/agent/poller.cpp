// SPDX-License-Identifier: GPL-2.0-or-later
//
// epoll, one event at a time: with several, an action could close a descriptor that a later event of the batch names.
#include "testvm/agent/poller.hpp"

#include <sys/epoll.h>

#include <cerrno>
#include <system_error>

namespace morsel::agent {
namespace {

void check(int result, const char* what)
{
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { check(epoll_.get(), "epoll_create1"); }

void Poller::add(int fd, std::uint32_t events, Action action)
{
  epoll_event event{.events = events, .data = {.fd = fd}};
  check(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
  actions_[fd] = std::move(action);
}

void Poller::change(int fd, std::uint32_t events)
{
  epoll_event event{.events = events, .data = {.fd = fd}};
  check(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
}

void Poller::remove(int fd)
{
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  actions_.erase(fd);
}

void Poller::wait()
{
  epoll_event event;
  const int ready = epoll_wait(epoll_.get(), &event, 1, -1);
  if (ready < 0 && errno == EINTR) return;
  check(ready, "epoll_wait");
  if (const auto found = actions_.find(event.data.fd); found != actions_.end()) {
    const Action action = found->second;  // a copy: it may remove itself
    action(event.events);
  }
}

}  // namespace morsel::agent
