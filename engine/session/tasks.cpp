// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/tasks.hpp"

#include <algorithm>
#include <system_error>

#include "engine/session/failure.hpp"

namespace morsel::session {

namespace {

// A target may tell of a stop late, or of one that means something else: then it is looked at again.
constexpr Milliseconds look_again{20};

}  // namespace

Tasks::~Tasks()
{
  for (Task& t : tasks_) t.thread.join();
}

void Tasks::poke()
{
  const std::lock_guard lock(mutex_);
  ++pokes_;
  poked_.notify_all();
}

void Tasks::hurry()
{
  const std::lock_guard lock(mutex_);
  ++hurries_;
  ++pokes_;
  poked_.notify_all();
}

u64 Tasks::hurries()
{
  const std::lock_guard lock(mutex_);
  return hurries_;
}

std::size_t Tasks::under_way()
{
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(tasks_.begin(), tasks_.end(), [](const Task& t) { return !t.ended; }));
}

void Tasks::run(Task& task, const Work& work)
{
  Reply reply;
  std::exception_ptr failure;
  try {
    reply = work();
  } catch (...) {
    failure = std::current_exception();
  }
  std::unique_lock lock(mutex_);
  task.reply = std::move(reply);
  task.failure = std::move(failure);
  task.ended = true;
  ++pokes_;
  poked_.notify_all();
  if (!task.left) return;
  const u32 actor = task.actor;
  const std::string command = task.command;
  lock.unlock();
  ended_(actor, command);
}

bool Tasks::is_known(u32 actor) const
{
  return others_.count(actor) != 0 ||
         std::any_of(tasks_.begin(), tasks_.end(), [actor](const Task& t) { return t.actor == actor; });
}

void Tasks::forget_gone(const std::vector<ActorState>& actors)
{
  std::erase_if(others_, [&](u32 id) {
    return std::none_of(actors.begin(), actors.end(), [id](const ActorState& a) { return a.id == id; });
  });
}

std::optional<ActorState> Tasks::waits(Task& task, const std::vector<ActorState>& actors)
{
  const auto of_task = [&](const ActorState& a) { return a.id == task.actor; };
  auto found = std::find_if(actors.begin(), actors.end(), of_task);
  if (found == actors.end()) {  // its next request has another actor
    found = std::find_if(actors.begin(), actors.end(),
                         [&](const ActorState& a) { return a.kind != MORSEL_ACTOR_RECLAIM && !is_known(a.id); });
    if (found != actors.end()) task.actor = found->id;
  }
  if (found == actors.end() || found->waits == ActorWaits::nowhere) return {};
  return *found;
}

template <class Over>
void Tasks::wait(Stepping& stepping, Milliseconds limit, Over&& over)
{
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    std::unique_lock lock(mutex_);
    const u64 seen = pokes_;
    lock.unlock();
    const std::vector<ActorState> actors = stepping.actors();
    lock.lock();
    if (over(actors) || std::chrono::steady_clock::now() >= end) return;
    poked_.wait_for(lock, look_again, [&] { return pokes_ != seen; });
  }
}

bool Tasks::wait_until(Stepping& stepping, Milliseconds limit,
                       const std::function<bool(const std::vector<ActorState>&)>& over)
{
  bool is_over = false;
  wait(stepping, limit, [&](const std::vector<ActorState>& actors) { return is_over = over(actors); });
  return is_over;
}

Tasks::Task& Tasks::start(Stepping& stepping, std::string command, Work work)
{
  const std::vector<ActorState> before = stepping.actors();
  forget_gone(before);
  for (const ActorState& a : before)
    if (!is_known(a.id)) others_.insert(a.id);
  Task& task = tasks_.emplace_back();
  task.command = std::move(command);
  try {
    task.thread = std::thread([this, &task, work = std::move(work)] { run(task, work); });
  } catch (const std::system_error& error) {
    tasks_.pop_back();
    throw Failure(Exit::usage, "begin a command behind the gate", error.what(), "'run' lets those go on that wait.");
  }
  return task;
}

Tasks::Begun Tasks::give(Task& task)
{
  task.thread.join();
  Begun begun;
  begun.reply = std::move(task.reply);
  const std::exception_ptr failure = task.failure;
  tasks_.remove_if([&](const Task& t) { return &t == &task; });
  if (failure) std::rethrow_exception(failure);
  return begun;
}

Tasks::Begun Tasks::begin_in_front(Stepping& stepping, std::string command, Work work, u64 seen,
                                   const std::function<void()>& meanwhile)
{
  Task& task = start(stepping, std::move(command), std::move(work));
  std::unique_lock lock(mutex_);
  while (!task.ended && hurries_ == seen) {
    const u64 pokes = pokes_;
    lock.unlock();
    if (meanwhile) meanwhile();
    lock.lock();
    poked_.wait(lock, [&] { return task.ended || hurries_ != seen || pokes_ != pokes; });
  }
  if (!task.ended) {
    task.left = true;
    return {};
  }
  lock.unlock();
  return give(task);
}

Tasks::Begun Tasks::begin(Stepping& stepping, std::string command, Work work, Milliseconds limit)
{
  Task& task = start(stepping, std::move(command), std::move(work));
  Begun begun;
  wait(stepping, limit, [&](const std::vector<ActorState>& actors) {
    if (!task.ended) begun.actor = waits(task, actors);
    return task.ended || begun.actor;
  });
  {
    const std::lock_guard lock(mutex_);
    task.left = !task.ended;
  }
  return task.left ? begun : give(task);
}

std::vector<Tasks::Finished> Tasks::settle(Stepping& stepping, Milliseconds limit)
{
  if (tasks_.empty()) return {};
  const u64 seen = hurries();
  wait(stepping, limit, [&](const std::vector<ActorState>& actors) {
    return hurries_ != seen ||
           std::all_of(tasks_.begin(), tasks_.end(), [&](Task& t) { return t.ended || waits(t, actors); });
  });
  std::vector<Finished> finished;
  const std::unique_lock lock(mutex_);
  for (auto t = tasks_.begin(); t != tasks_.end();) {
    if (!t->ended) {
      ++t;
      continue;
    }
    t->thread.join();  // it has let go of the mutex for the last time, or is about to
    finished.push_back({t->actor, std::move(t->command), std::move(t->reply), t->failure});
    t = tasks_.erase(t);
  }
  return finished;
}

}  // namespace morsel::session
