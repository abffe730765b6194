// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/workers.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "testvm/agent/error.hpp"

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
  if (running().empty())
    for (const auto& then : std::exchange(when_idle_, {})) then();
}

void Workers::when_idle(std::function<void()> then)
{
  if (running().empty()) return then();
  when_idle_.push_back(std::move(then));
}

std::vector<Workers::Job> Workers::running() const
{
  const std::lock_guard lock(mutex_);
  std::vector<Job> jobs;
  for (const Tasks* tasks : {&active_, &waiting_})
    for (const Task& task : *tasks) jobs.push_back(task.job);
  return jobs;
}

}  // namespace morsel::agent
