// SPDX-License-Identifier: GPL-2.0-or-later
//
// Stepping in the embedded machine. A request's own thread is an actor, and exactly one actor runs at a time: whoever
// waits or ends hands the baton on, to the lowest number that can go on. So the order of all accesses follows from the
// requests and the steps alone.
//
// A closed gate makes the one that runs wait before its next access (pause). A grace period is waited for in the same
// way (wait_for): when the actors it is about have left, the waiting one goes on by itself to its next point.
//
// Thread safety: everything may be called from any thread; pause and wait_for by the actor that has the baton. What is
// read while nobody runs (look) was written before: the mutex orders it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "engine/platform/platform.hpp"
#include "engine/session/stepping.hpp"
#include "engine/session/target.hpp"

namespace morsel::sim {

class Baton final : public session::Stepping {
 public:
  using Milliseconds = session::Milliseconds;
  using Tell = std::function<void(const session::Event&)>;

  // An access that an actor is about to do.
  struct Access {
    enum class Kind : u8 { read, store, compare, add } kind = Kind::read;
    SyncPoint point = SyncPoint::enter;
    EntryRef entry{};  // without a word: only what it is about
    const Counter* counter = nullptr;
    u64 expected = 0, desired = 0;  // compare: from, to; store: to; add: by how much
    Range asked{};                  // of a flush
    // Of the object's bytes, what it is about; empty if nothing.
    Range span() const
    {
      return entry.word ? Range{entry.offset, entry.offset + (page_bytes << (9u * entry.level))} : asked;
    }
  };

  struct Actor {
    enum class State : u8 { ready, running, at_point, for_grace };
    u32 id = 0;
    std::string who, object;
    State state = State::ready;
    Access next{};
    std::function<std::vector<u32>()> holders{};  // for_grace: who must leave first
    std::condition_variable woken{};
  };

  // The time of a request: an actor from its construction, which waits for the baton, to its end.
  class Turn {
   public:
    Turn(Baton& baton, std::string who, std::string object);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    Actor& actor() { return actor_; }

   private:
    Baton& baton_;
    Actor actor_;
  };

  // `tell` hears what happens, from the thread of the actor that it happens to.
  explicit Baton(Tell tell) : tell_(std::move(tell)) {}

  // Points have something to do here.
  bool watching() const { return watching_.load(std::memory_order_relaxed); }
  // Waits if the gate is closed, or closes with this access.
  void pause(Actor& actor, const Access& next);
  // Waits until `holders` names nobody; it is asked while nobody runs.
  void wait_for(Actor& actor, std::function<std::vector<u32>()> holders);
  // Nobody runs, and nobody begins to, while the lock is held.
  std::unique_lock<std::mutex> look();
  // The gate closes at the point at which this is true for the first time; it is asked by the actor that runs. Empty:
  // never.
  void halt_when(std::function<bool()> here);
  // Opens the gate and returns when the last actor has ended.
  void finish_all();
  u32 last_id() const;
  // Returns when this actor has begun and nobody runs: whether it waits somewhere.
  bool wait_begun(u32 actor);
  // As it was when it was made. Nobody may be there.
  void reset();

  bool stopped() const override;
  void stop(Milliseconds limit) override;
  void run() override;
  std::vector<session::ActorState> actors() override;
  session::ActorState step(u32 actor, Milliseconds limit) override;
  session::UntilReply until(const session::StopCondition& condition, Milliseconds limit) override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  bool settled() const;
  void schedule();                                             // the baton goes to who can go on
  void hand_on(Lock& lock, Actor& actor, Actor::State state);  // returns when the actor has it again
  bool stops(const Actor& actor, const Access& next);
  bool meets(const Actor& actor, const Access& next) const;
  void open();
  void close();
  void wait_settled(Lock& lock, Milliseconds limit, const std::string& tried);
  Actor* find(u32 id);
  session::ActorState state_of(const Actor& actor) const;

  const Tell tell_;
  mutable std::mutex mutex_;
  std::condition_variable settled_;
  std::vector<Actor*> actors_;  // ascending
  Actor* running_ = nullptr;
  u32 last_id_ = 0;
  bool closed_ = false;
  u64 orders_ = 0;  // stop, run, until: which came last
  std::optional<session::StopCondition> condition_;
  u32 met_by_ = 0;
  std::function<bool()> halt_;
  std::atomic<bool> watching_{false};  // closed_, condition_ or halt_
};

}  // namespace morsel::sim
