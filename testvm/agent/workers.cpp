// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/workers.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "testvm/agent/cpus.hpp"
#include "testvm/agent/error.hpp"
#include "testvm/agent/timer.hpp"

namespace morsel::agent {

Workers::Workers(Poller& poller) : poller_(poller), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))
{
  if (!wake_) throw std::system_error(errno, std::generic_category(), "eventfd");
  poller_.add(wake_.get(), EPOLLIN, [this](std::uint32_t) { collect(); });
}

Workers::~Workers()
{
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    waiting_.clear();
  }
  more_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  forget_waits();
  poller_.remove(wake_.get());
}

void Workers::start(Job job, std::function<void()> work, std::function<void()> done)
{
  const std::lock_guard lock(mutex_);
  waiting_.push_back({std::move(job), std::move(work), std::move(done)});
  if (idle_ < waiting_.size() && threads_.size() < max_threads) {
    try {
      threads_.emplace_back([this] { serve(); });
    } catch (const std::system_error& error) {
      if (threads_.empty()) {
        waiting_.pop_back();
        throw RequestError(EAGAIN, std::string("starting a thread: ") + error.what());
      }
    }
  }
  more_.notify_one();
}

void Workers::place(pid_t thread) const { in_turn_ ? run_on_first_cpu(thread) : run_on_any_cpu(thread); }

void Workers::take_turns(bool in_turn)
{
  const std::lock_guard lock(mutex_);
  in_turn_ = in_turn;
  for (const Task& task : active_) place(task.job.thread);
}

void Workers::serve()
{
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    more_.wait(lock, [this] { return ending_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;
    active_.splice(active_.end(), waiting_, waiting_.begin());
    const auto task = std::prev(active_.end());
    task->job.thread = gettid();
    constexpr std::size_t longest_name = 15;
    pthread_setname_np(pthread_self(), task->job.what.substr(0, longest_name).c_str());
    place(gettid());
    lock.unlock();
    task->work();
    lock.lock();
    done_.splice(done_.end(), active_, task);
    const std::uint64_t one = 1;
    // It can only fail when the counter is full, and then the loop is woken anyway.
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
  }
}

void Workers::collect()
{
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof count);
  Tasks over;
  {
    const std::lock_guard lock(mutex_);
    over.swap(done_);
  }
  for (Task& task : over) task.done();
  if (changed_) changed_();
  while (!waits_.empty() && running().empty()) end_wait(waits_.front().timer.get(), true);
}

void Workers::when_idle(Limit limit, Then then)
{
  if (running().empty()) return then(true);
  UniqueFd timer = make_timer();
  start_timer(timer, std::max(limit, Limit(1)), {});
  const int fd = timer.get();
  waits_.push_back({std::move(timer), std::move(then)});
  poller_.add(fd, EPOLLIN, [this, fd](std::uint32_t) { end_wait(fd, false); });
}

void Workers::end_wait(int timer, bool idle)
{
  const auto wait = std::find_if(waits_.begin(), waits_.end(), [&](auto& each) { return each.timer.get() == timer; });
  if (wait == waits_.end()) return;
  poller_.remove(timer);
  const Then then = std::move(wait->then);
  waits_.erase(wait);
  then(idle);
}

void Workers::forget_waits()
{
  for (const Wait& wait : waits_) poller_.remove(wait.timer.get());
  waits_.clear();
}

std::vector<Workers::Job> Workers::running() const
{
  const std::lock_guard lock(mutex_);
  std::vector<Job> jobs;
  for (const Tasks* tasks : {&active_, &waiting_})
    for (const Task& task : *tasks) jobs.push_back(task.job);
  return jobs;
}

std::optional<Workers::Job> Workers::job_of(pid_t thread) const
{
  const std::lock_guard lock(mutex_);
  for (const Task& task : active_)
    if (task.job.thread == thread) return task.job;
  return {};
}

}  // namespace morsel::agent
