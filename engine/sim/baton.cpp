// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/baton.hpp"

#include <algorithm>

namespace morsel::sim {

using session::ActorWaits;
using session::Event;
using session::Exit;
using session::Failure;

namespace {

constexpr const char* closed_by_order = "the gate is closed";

session::NextAccess as_it_stands(const Baton::Access& a)
{
  using Access = Baton::Access;
  session::NextAccess next{a.point, a.entry.tree, a.entry.level, a.entry.offset, 0, 0};
  next.word = a.entry.word ? *a.entry.word : a.counter ? a.counter->value : 0;
  next.desired = next.word;
  const bool stores = a.kind == Access::Kind::store || (a.kind == Access::Kind::compare && next.word == a.expected);
  if (stores) next.desired = a.desired;
  if (a.kind == Access::Kind::add) next.desired = static_cast<u32>(next.word + a.desired);
  return next;
}

}  // namespace

Baton::Turn::Turn(Baton& baton, std::string who, std::string object) : baton_(baton)
{
  actor_.who = std::move(who);
  actor_.object = std::move(object);
  Lock lock(baton_.mutex_);
  actor_.id = ++baton_.last_id_;
  baton_.actors_.push_back(&actor_);
  baton_.schedule();
  actor_.woken.wait(lock, [&] { return actor_.state == Actor::State::running; });
}

Baton::Turn::~Turn()
{
  const Lock lock(baton_.mutex_);
  std::erase(baton_.actors_, &actor_);
  baton_.running_ = nullptr;
  baton_.schedule();
}

bool Baton::settled() const
{
  return !running_ &&
         std::none_of(actors_.begin(), actors_.end(), [](const Actor* a) { return a->state == Actor::State::ready; });
}

void Baton::schedule()
{
  if (running_) return;
  for (Actor* a : actors_)
    if (a->state == Actor::State::for_grace && a->holders().empty()) a->state = Actor::State::ready;
  const auto next =
      std::find_if(actors_.begin(), actors_.end(), [](const Actor* a) { return a->state == Actor::State::ready; });
  if (next == actors_.end()) return settled_.notify_all();
  running_ = *next;
  running_->state = Actor::State::running;
  running_->woken.notify_one();
}

void Baton::hand_on(Lock& lock, Actor& actor, Actor::State state)
{
  actor.state = state;
  running_ = nullptr;
  schedule();
  actor.woken.wait(lock, [&] { return actor.state == Actor::State::running; });
}

bool Baton::meets(const Actor& actor, const Access& next) const
{
  const session::StopCondition& c = *condition_;
  if (c.point != next.point || (c.actor && *c.actor != actor.id) || (c.object && *c.object != actor.object) ||
      (c.tree && *c.tree != next.entry.tree))
    return false;
  return !c.range || c.range->overlaps(next.span());
}

bool Baton::stops(const Actor& actor, const Access& next)
{
  if (closed_) return true;
  if (halt_ && halt_()) {
    halt_ = nullptr;
    close();
    return true;
  }
  if (!condition_ || !meets(actor, next) || --condition_->nth != 0) return false;
  met_by_ = actor.id;
  close();
  return true;
}

// The listener is told by the actor that still has the baton: who looks after that finds it waiting.
void Baton::pause(Actor& actor, const Access& next)
{
  if (!watching()) return;
  {
    const Lock lock(mutex_);
    if (!stops(actor, next)) return;
  }
  tell_({Event::Kind::stopped, actor.object,
         "actor " + std::to_string(actor.id) + " (" + actor.who + ") waits at " + std::string(point_name(next.point)),
         actor.id});
  Lock lock(mutex_);
  if (!closed_) return;
  actor.next = next;
  hand_on(lock, actor, Actor::State::at_point);
}

void Baton::wait_for(Actor& actor, std::function<std::vector<u32>()> holders)
{
  if (holders().empty()) return;
  tell_({Event::Kind::stopped, actor.object,
         "actor " + std::to_string(actor.id) + " (" + actor.who + ") waits for others", actor.id});
  Lock lock(mutex_);
  actor.holders = std::move(holders);
  hand_on(lock, actor, Actor::State::for_grace);
}

std::unique_lock<std::mutex> Baton::look()
{
  Lock lock(mutex_);
  settled_.wait(lock, [&] { return settled(); });
  return lock;
}

void Baton::halt_when(std::function<bool()> here)
{
  const Lock lock(mutex_);
  halt_ = std::move(here);
  watching_ = halt_ || closed_ || condition_;
}

u32 Baton::last_id() const
{
  const Lock lock(mutex_);
  return last_id_;
}

bool Baton::wait_begun(u32 actor)
{
  Lock lock(mutex_);
  settled_.wait(lock, [&] { return last_id_ >= actor && settled(); });
  return find(actor) != nullptr;
}

void Baton::reset()
{
  const Lock lock(mutex_);
  closed_ = false;
  condition_.reset();
  halt_ = nullptr;
  watching_ = false;
  last_id_ = 0;
}

void Baton::open()
{
  closed_ = false;
  condition_.reset();
  watching_ = static_cast<bool>(halt_);
  for (Actor* a : actors_)
    if (a->state == Actor::State::at_point) a->state = Actor::State::ready;
}

void Baton::close()
{
  closed_ = true;
  condition_.reset();
  watching_ = true;
}

void Baton::finish_all()
{
  Lock lock(mutex_);
  ++orders_;
  halt_ = nullptr;
  open();
  schedule();
  settled_.wait(lock, [&] { return actors_.empty(); });
}

bool Baton::stopped() const
{
  const Lock lock(mutex_);
  return closed_;
}

void Baton::wait_settled(Lock& lock, Milliseconds limit, const std::string& tried)
{
  if (!settled_.wait_for(lock, limit, [&] { return settled(); }))
    throw Failure(Exit::check_failed, tried, "somebody still runs after " + std::to_string(limit.count()) + " ms",
                  "'actors' shows who waits");
}

void Baton::stop(Milliseconds limit)
{
  bool was_open = false;
  {
    const Lock lock(mutex_);
    ++orders_;
    was_open = !closed_;
    close();
  }
  if (was_open) tell_({Event::Kind::stopped, {}, closed_by_order});
  Lock lock(mutex_);
  wait_settled(lock, limit, "stop all actors");
}

void Baton::run()
{
  {
    const Lock lock(mutex_);
    ++orders_;
    open();
    schedule();
  }
  tell_({Event::Kind::resumed, {}, "all go on"});
}

session::ActorState Baton::state_of(const Actor& actor) const
{
  session::ActorState state;
  state.id = actor.id;
  state.kind = MORSEL_ACTOR_CALLER;
  state.who = actor.who;
  state.object = actor.object;
  if (actor.state == Actor::State::at_point) {
    state.waits = ActorWaits::at_point;
    state.next = as_it_stands(actor.next);
  } else if (actor.state == Actor::State::for_grace) {
    state.waits = ActorWaits::for_grace;
    state.waits_for = actor.holders();
  }
  return state;
}

std::vector<session::ActorState> Baton::actors()
{
  const Lock lock = look();
  std::vector<session::ActorState> states;
  for (const Actor* a : actors_) states.push_back(state_of(*a));
  return states;
}

Baton::Actor* Baton::find(u32 id)
{
  const auto found = std::find_if(actors_.begin(), actors_.end(), [id](const Actor* a) { return a->id == id; });
  return found == actors_.end() ? nullptr : *found;
}

session::ActorState Baton::step(u32 id, Milliseconds limit)
{
  const std::string tried = "step actor " + std::to_string(id);
  Lock lock(mutex_);
  wait_settled(lock, limit, tried);
  Actor* actor = find(id);
  if (!actor) throw Failure(Exit::usage, tried, "there is no such actor", "'actors' shows those there are");
  if (actor->state == Actor::State::for_grace) {
    std::string others;
    for (const u32 other : actor->holders()) others += " " + std::to_string(other);
    throw Failure(Exit::usage, tried, "it waits until these have left their sections:" + others, "step those first");
  }
  session::ActorState ended = state_of(*actor);
  actor->state = Actor::State::ready;
  schedule();
  wait_settled(lock, limit, tried);
  actor = find(id);
  if (actor) return state_of(*actor);
  ended.waits = ActorWaits::finished;
  return ended;
}

session::UntilReply Baton::until(const session::StopCondition& condition, Milliseconds limit)
{
  const std::string tried = "run until " + std::string(point_name(condition.point));
  if (condition.nth == 0) throw Failure(Exit::usage, tried, "nth counts from 1");
  Lock lock(mutex_);
  wait_settled(lock, limit, tried);
  const u64 order = ++orders_;
  open();
  condition_ = condition;
  watching_ = true;
  met_by_ = 0;
  schedule();
  const bool over = !settled_.wait_for(lock, limit, [&] { return settled() || orders_ != order; });
  if (orders_ != order) return {};  // somebody else has decided otherwise meanwhile
  close();
  if (const Actor* const actor = met_by_ ? find(met_by_) : nullptr) return {.met = state_of(*actor)};
  lock.unlock();
  tell_({Event::Kind::stopped, {}, closed_by_order});
  if (over) throw Failure(Exit::check_failed, tried, "not met after " + std::to_string(limit.count()) + " ms");
  return {.finished = true};
}

}  // namespace morsel::sim
