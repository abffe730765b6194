// SPDX-License-Identifier: GPL-2.0-or-later
//
// A stream of lines in the event loop: never blocks, and bounds what it keeps in either direction.
#pragma once
#include <functional>
#include <string>

#include "testvm/host/event_loop.hpp"
#include "testvm/host/message.hpp"

namespace morsel::testvm {

class LineSocket {
 public:
  struct Handlers {
    std::function<void(const std::string& line)> line;
    std::function<void()> too_long;  // a line of more than max_line_bytes was dropped
    std::function<void()> end;       // the peer has gone, or does not read what it is sent
  };

  LineSocket(UniqueFd fd, Handlers handlers);

  // After the end it does nothing. Must not be destroyed from within its handlers.
  void send(const std::string& line);
  // Waits until all is sent or the limit has passed: for last words.
  void flush(Milliseconds limit);
  bool ended() const { return ended_; }
  std::size_t unsent_bytes() const { return unsent_.size(); }

 private:
  void on_events(int events);
  void receive();
  void write_some();
  void end();

  static constexpr std::size_t max_unsent_bytes = 16 * max_line_bytes;

  UniqueFd fd_;
  Handlers handlers_;
  LineReader reader_;
  std::string unsent_;
  bool ended_ = false;
  EventLoop::Watch watch_;
};

}  // namespace morsel::testvm
