// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/session_thread.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <exception>

namespace morsel::session {

namespace asio = boost::asio;

void SessionThread::add(Work work, When when)
{
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(work), when});
  }
  go_on();
}

void SessionThread::add_first(Work work)
{
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_front({std::move(work), When::in_turn});
  }
  go_on();
}

std::optional<SessionThread::Work> SessionThread::take(bool meanwhile)
{
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [meanwhile](const Waiting& each) {
    return !meanwhile || each.when == When::or_meanwhile;
  });
  if (found == waiting_.end()) return {};
  Work work = std::move(found->work);
  waiting_.erase(found);
  return work;
}

void SessionThread::do_meanwhile()
{
  while (const auto work = take(true)) (*work)();
}

void SessionThread::go_on()
{
  if (busy_) return;
  auto next = take(false);
  if (!next) return;
  busy_ = true;
  asio::post(thread_, [this, work = std::move(*next)] {
    work();
    asio::post(loop_, [this] {
      busy_ = false;
      go_on();
    });
  });
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
