// SPDX-License-Identifier: GPL-2.0-or-later
//
// The thread that does the commands of all clients, one after the other, and one beside it for what must not wait for
// them: the gate.
//
// Thread safety: the loop's thread; work is done in the others.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>

namespace morsel::session {

class SessionThread {
 public:
  using Work = std::function<void()>;

  explicit SessionThread(boost::asio::io_context& loop) : loop_(loop) {}

  bool busy() const { return busy_; }
  void add(Work work);
  // Before all that waits.
  void add_first(Work work);
  // Beside it, at once; what it throws is lost. Then `then` in the loop.
  void beside(Work work, Work then);
  // Returns when both do nothing any more.
  void join();

 private:
  void go_on();

  boost::asio::io_context& loop_;
  boost::asio::thread_pool thread_{1}, beside_{1};
  std::deque<Work> waiting_;
  bool busy_ = false;
};

}  // namespace morsel::session
