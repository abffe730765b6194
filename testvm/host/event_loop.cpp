// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/event_loop.hpp"

#include <libvirt/libvirt.h>

#include <exception>

#include "testvm/host/libvirt.hpp"

namespace morsel::testvm {
namespace {

// Callbacks are called from C, through which no exception may fly.
std::exception_ptr pending_exception;

template <class F, class... Args>
void call_guarded(F& function, Args... arguments)
{
  try {
    function(arguments...);
  } catch (...) {
    if (!pending_exception) pending_exception = std::current_exception();
  }
}

using HandleCallback = std::function<void(int)>;
using TimerCallback = std::function<void()>;

}  // namespace

EventLoop::EventLoop()
{
  quiet_libvirt();
  if (virEventRegisterDefaultImpl() != 0) throw_libvirt("registering libvirt's event loop");
}

EventLoop::Watch::Watch(int fd, int events, std::function<void(int events)> callback)
{
  // The loop owns the function and frees it when no callback can run any more.
  number_ = virEventAddHandle(
      fd, events,
      [](int, int, int happened, void* opaque) { call_guarded(*static_cast<HandleCallback*>(opaque), happened); },
      new HandleCallback(std::move(callback)), [](void* opaque) { delete static_cast<HandleCallback*>(opaque); });
  if (number_ < 0) throw_libvirt("watching a descriptor");
}

EventLoop::Watch::~Watch()
{
  if (number_ >= 0) virEventRemoveHandle(number_);
}

void EventLoop::Watch::set_events(int events)
{
  if (number_ >= 0) virEventUpdateHandle(number_, events);
}

EventLoop::Timer::Timer(Milliseconds limit, std::function<void()> callback)
{
  number_ = virEventAddTimeout(
      static_cast<int>(limit.count()),
      [](int number, void* opaque) {
        virEventUpdateTimeout(number, -1);
        call_guarded(*static_cast<TimerCallback*>(opaque));
      },
      new TimerCallback(std::move(callback)), [](void* opaque) { delete static_cast<TimerCallback*>(opaque); });
  if (number_ < 0) throw_libvirt("setting a time limit");
}

EventLoop::Timer::~Timer()
{
  if (number_ >= 0) virEventRemoveTimeout(number_);
}

void EventLoop::run()
{
  for (ended_ = false; !ended_;) {
    if (virEventRunDefaultImpl() != 0) throw_libvirt("running the event loop");
    if (pending_exception) std::rethrow_exception(std::exchange(pending_exception, nullptr));
  }
}

}  // namespace morsel::testvm
