// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/session_thread.hpp"

#include <boost/asio/post.hpp>
#include <exception>

namespace morsel::session {

namespace asio = boost::asio;

void SessionThread::add(Work work)
{
  waiting_.push_back(std::move(work));
  go_on();
}

void SessionThread::add_first(Work work)
{
  waiting_.push_front(std::move(work));
  go_on();
}

void SessionThread::go_on()
{
  if (busy_ || waiting_.empty()) return;
  busy_ = true;
  asio::post(thread_, [this, work = std::move(waiting_.front())] {
    work();
    asio::post(loop_, [this] {
      busy_ = false;
      go_on();
    });
  });
  waiting_.pop_front();
}

void SessionThread::beside(Work work, Work then)
{
  asio::post(beside_, [this, work = std::move(work), then = std::move(then)] {
    try {
      work();
    } catch (const std::exception&) {
      // Whoever asked for it is told by the command itself, which comes next.
    }
    asio::post(loop_, then);
  });
}

void SessionThread::join()
{
  beside_.join();
  thread_.join();
}

}  // namespace morsel::session
