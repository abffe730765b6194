// SPDX-License-Identifier: GPL-2.0-or-later
//
// Threads for requests that may take long, or wait at the module's gate: the agent's loop answers meanwhile. Each piece
// of work runs in a thread of its own, whose id is the actor's in the journal and at the gate.
#pragma once
#include <sys/types.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "testvm/agent/poller.hpp"

namespace morsel::agent {

class Workers {
 public:
  explicit Workers(Poller& poller);
  // Waits for the work under way; what has not begun is dropped.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  struct Job {
    pid_t thread = 0;    // 0: it has not begun
    std::string what;    // for people
    std::string object;  // that it works on
  };
  // `work` runs in a thread, `done` afterwards in the poller's. Neither may throw.
  void start(Job job, std::function<void()> work, std::function<void()> done);
  std::vector<Job> running() const;
  // Once, in the poller's thread, when no job is under way or waits to begin: at once, if it is so now.
  void when_idle(std::function<void()> then);
  // Called in the poller's thread when a job is over.
  void when_changed(std::function<void()> changed) { changed_ = std::move(changed); }

 private:
  struct Task {
    Job job;
    std::function<void()> work, done;
  };
  using Tasks = std::list<Task>;

  void serve();
  void collect();

  static constexpr std::size_t max_threads = 128;

  Poller& poller_;
  UniqueFd wake_;  // eventfd: something is done
  std::function<void()> changed_;
  std::vector<std::function<void()>> when_idle_;
  mutable std::mutex mutex_;
  std::condition_variable more_;
  Tasks waiting_, active_, done_;
  std::size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace morsel::agent
