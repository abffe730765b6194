// SPDX-License-Identifier: GPL-2.0-or-later
//
// The thread that does the commands of all clients, one after the other, and one beside it for what must not wait for
// them: the gate. Work that waits for something outside may let some of what waits behind it be done meanwhile.
//
// Thread safety: the loop's thread, but for do_meanwhile(); work is done in the others.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

namespace morsel::session {

class SessionThread {
 public:
  using Work = std::function<void()>;

  explicit SessionThread(boost::asio::io_context& loop) : loop_(loop) {}

  enum class When : bool { in_turn, or_meanwhile };

  bool busy() const { return busy_; }
  void add(Work work, When when = When::in_turn);
  // Before all that waits.
  void add_first(Work work);
  // From within work: does what may be done meanwhile.
  void do_meanwhile();
  // Beside it, at once; what it throws is lost. Then `then` in the loop.
  void beside(Work work, Work then);
  // Returns when both do nothing any more.
  void join();

 private:
  struct Waiting {
    Work work;
    When when;
  };
  void go_on();
  std::optional<Work> take(bool meanwhile);

  boost::asio::io_context& loop_;
  boost::asio::thread_pool thread_{1}, beside_{1};
  std::mutex mutex_;
  std::deque<Waiting> waiting_;  // under the mutex
  bool busy_ = false;
};

}  // namespace morsel::session
