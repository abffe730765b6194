// SPDX-License-Identifier: GPL-2.0-or-later
//
// Tasks: commands that operate while the gate is closed. Each has a thread of its own, because its request to the
// target returns only when others have let its actor go on. The session goes on when the task has ended, or its actor
// waits; what it answers in the end is kept until it is asked for.
//
// Which actor belongs to a task is seen from outside: one that was not there before.
//
// Thread safety: one thread at a time, the session's; poke() and hurry() from any thread.
#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/session/reply.hpp"
#include "engine/session/stepping.hpp"

namespace morsel::session {

class Tasks {
 public:
  using Work = std::function<Reply()>;

  struct Finished {
    u32 actor = 0;
    std::string command;
    Reply reply;
    std::exception_ptr failure;  // instead of a reply
  };
  // Either it has ended at once, or it waits; its actor is not known if it did neither within the limit.
  struct Begun {
    std::optional<Reply> reply;
    std::optional<ActorState> actor;
  };

  // `ended` hears of each command that has ended without anybody who waits for it; from the command's thread.
  using Ended = std::function<void(u32 actor, const std::string& command)>;
  explicit Tasks(Ended ended) : ended_(std::move(ended)) {}
  ~Tasks();
  Tasks(const Tasks&) = delete;
  Tasks& operator=(const Tasks&) = delete;

  // Throws what `work` throws, if it ends at once.
  Begun begin(Stepping& stepping, std::string command, Work work, Milliseconds limit);
  // Waits for its end, unless somebody hurries: has hurried, since hurries() was `seen`. Before, and whenever it is
  // poked, it calls `meanwhile`, which must not begin or settle tasks; empty: nothing.
  Begun begin_in_front(Stepping& stepping, std::string command, Work work, u64 seen,
                       const std::function<void()>& meanwhile);
  // Waits until every task has ended or waits, or the limit is over; those that have ended since the last call.
  std::vector<Finished> settle(Stepping& stepping, Milliseconds limit);
  // Waits until `over` is true of everybody's state; false: the limit came first.
  bool wait_until(Stepping& stepping, Milliseconds limit,
                  const std::function<bool(const std::vector<ActorState>&)>& over);
  bool empty() const { return tasks_.empty(); }
  std::size_t under_way();
  // Something has happened in the target: who waits looks again.
  void poke();
  // From any thread: whoever waits in settle() or begin_in_front() goes on, and what is under way stays so.
  void hurry();
  u64 hurries();

 private:
  struct Task {
    std::string command;
    std::thread thread;
    u32 actor = 0;  // the last one that was seen
    bool left = false;  // nobody waits for its end
    bool ended = false;
    Reply reply;
    std::exception_ptr failure;
  };

  Task& start(Stepping& stepping, std::string command, Work work);
  Begun give(Task& task);  // one that has ended at once
  void run(Task& task, const Work& work);
  // Where its actor waits; nothing if it runs.
  std::optional<ActorState> waits(Task& task, const std::vector<ActorState>& actors);
  void forget_gone(const std::vector<ActorState>& actors);
  bool is_known(u32 actor) const;
  // Calls `over` with everybody's state until it is true.
  template <class Over>
  void wait(Stepping& stepping, Milliseconds limit, Over&& over);

  const Ended ended_;
  std::list<Task> tasks_;
  std::set<u32> others_;  // actors that are no task's
  std::mutex mutex_;      // of what follows, and of what a task leaves behind
  std::condition_variable poked_;
  u64 pokes_ = 0, hurries_ = 0;
};

}  // namespace morsel::session
