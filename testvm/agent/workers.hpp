// SPDX-License-Identifier: GPL-2.0-or-later
//
// Threads for requests that may take long, or wait at the module's gate: the agent's loop answers meanwhile. Each piece
// of work runs in a thread of its own, whose id is the actor's in the journal and at the gate.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
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
  std::optional<Job> job_of(pid_t thread) const;
  // Only one goes on at a time, and the loop waits for it: it runs on the loop's CPU.
  void take_turns(bool in_turn);
  // Called once, in the poller's thread: when no job is under way or waits to begin (at once, if it is so now), with
  // true; or with false when the limit is over before.
  using Limit = std::chrono::milliseconds;
  using Then = std::function<void(bool idle)>;
  void when_idle(Limit limit, Then then);
  // Nobody waits for that any more, and nothing is called.
  void forget_waits();
  // Called in the poller's thread when a job is over.
  void when_changed(std::function<void()> changed) { changed_ = std::move(changed); }

 private:
  struct Task {
    Job job;
    std::function<void()> work, done;
  };
  using Tasks = std::list<Task>;

  struct Wait {
    UniqueFd timer;
    Then then;
  };

  void serve();
  void place(pid_t thread) const;  // the lock held
  void collect();
  // Takes the wait with this timer off the list, and tells it.
  void end_wait(int timer, bool idle);

  static constexpr std::size_t max_threads = 128;

  Poller& poller_;
  UniqueFd wake_;  // eventfd: something is done
  std::function<void()> changed_;
  std::list<Wait> waits_;
  mutable std::mutex mutex_;
  std::condition_variable more_;
  Tasks waiting_, active_, done_;
  std::size_t idle_ = 0;
  bool ending_ = false, in_turn_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace morsel::agent
