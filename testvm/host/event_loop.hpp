// SPDX-License-Identifier: GPL-2.0-or-later
//
// libvirt's own event loop with std::function: descriptors, time limits, and the lifecycle of domains in one thread.
#pragma once
#include <functional>

#include "testvm/host/os.hpp"

namespace morsel::testvm {

class EventLoop {
 public:
  // Registers the loop with libvirt: before the first connection, once per process.
  EventLoop();

  // A descriptor's events (VIR_EVENT_HANDLE_*), until the Watch is gone. The callback may end its own Watch.
  class Watch {
   public:
    Watch() = default;
    Watch(int fd, int events, std::function<void(int events)> callback);
    Watch(Watch&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Watch& operator=(Watch&& other) noexcept
    {
      std::swap(number_, other.number_);
      return *this;
    }
    ~Watch();
    void set_events(int events);

   private:
    int number_ = -1;
  };

  // Calls back once, after `limit`.
  class Timer {
   public:
    Timer() = default;
    Timer(Milliseconds limit, std::function<void()> callback);
    Timer(Timer&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Timer& operator=(Timer&& other) noexcept
    {
      std::swap(number_, other.number_);
      return *this;
    }
    ~Timer();

   private:
    int number_ = -1;
  };

  // Until end() is called from a callback. Exceptions of callbacks end it and are thrown here.
  void run();
  void end() { ended_ = true; }

 private:
  bool ended_ = false;
};

}  // namespace morsel::testvm
