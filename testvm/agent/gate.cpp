// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/gate.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "engine/abi/morsel_journal.h"
#include "testvm/agent/requests.hpp"
#include "testvm/agent/timer.hpp"

namespace morsel::agent {
namespace {

constexpr std::uint32_t lease_ms = 30'000;
constexpr std::chrono::milliseconds renewal{5'000};

const morsel_gate_actor* find_actor(std::span<const morsel_gate_actor> actors, std::uint32_t id)
{
  const auto found = std::find_if(actors.begin(), actors.end(), [id](auto& actor) { return actor.id == id; });
  return found == actors.end() ? nullptr : &*found;
}

const char* state_name(std::uint32_t state)
{
  return state == MORSEL_GATE_AT_POINT ? "point" : state == MORSEL_GATE_GRACE ? "grace" : "running";
}

// Those for whom a grace period of this actor's object has to wait.
Json holds_up(const morsel_gate_actor& waiting, std::span<const morsel_gate_actor> actors)
{
  Json ids = Json::array();
  for (const morsel_gate_actor& other : actors) {
    const bool holds = (other.flags & MORSEL_GATE_INSIDE) || other.kind == MORSEL_ACTOR_RECLAIM;
    if (other.id != waiting.id && other.object_id == waiting.object_id && other.state == MORSEL_GATE_AT_POINT && holds)
      ids.push_back(other.id);
  }
  return ids;
}

// It comes to a point, ends or is held up without being let go on: a grace period that nobody at a point holds up is
// over when the kernel has seen everybody leave.
bool is_on_its_way(const morsel_gate_actor& actor, std::span<const morsel_gate_actor> actors)
{
  return actor.state == MORSEL_GATE_RUNNING || (actor.state == MORSEL_GATE_GRACE && holds_up(actor, actors).empty());
}

void add_point(EncodedObject& to, std::uint32_t point) { to.add("point", Encoded(name_of(point, point_words()))); }

Encoded only(const char* name, const Encoded& value)
{
  EncodedObject object;
  object.add(name, value);
  return std::move(object).take();
}

}  // namespace

Gate::Gate(Module& module, Poller& poller, Workers& workers, const Programs& programs, Emit emit)
    : module_(module),
      poller_(poller),
      workers_(workers),
      programs_(programs),
      emit_(std::move(emit)),
      object_names_(module)
{
  workers_.when_changed([this] { look_again(); });
}

Gate::~Gate()
{
  workers_.when_changed({});
  waits_.clear();
  gate_.reset();
}

void Gate::control()
{
  if (gate_) return;
  UniqueFd gate = module_.open_device();
  morsel_gate request{.size = sizeof request, .lease_ms = lease_ms};
  module_.control(gate.get(), MORSEL_IOC_GATE, &request);
  lease_ = make_timer();
  start_timer(lease_, renewal, renewal);
  timer_ = make_timer();
  gate_ = std::move(gate);
  poller_.add(lease_.get(), EPOLLIN, [this](std::uint32_t) { renew_lease(); });
  poller_.add(timer_.get(), EPOLLIN, [this](std::uint32_t) { timer_rang(); });
  poller_.add(gate_.get(), EPOLLIN, [this](std::uint32_t events) {
    if (events & EPOLLHUP)
      release("the gate's lease was over");
    else
      look_again();
  });
}

void Gate::renew_lease()
{
  std::uint64_t count = 0;
  if (read(lease_.get(), &count, sizeof count) < 0) return;
  morsel_gate request{.size = sizeof request, .lease_ms = lease_ms};
  try {
    module_.control(gate_.get(), MORSEL_IOC_GATE, &request);
  } catch (const RequestError& error) {
    release(error.what());
  }
}

void Gate::release(const char* why)
{
  if (!gate_) return;
  for (UniqueFd* fd : {&gate_, &lease_, &timer_}) {
    poller_.remove(fd->get());
    fd->reset();
  }
  workers_.take_turns(false);
  rings_ = Clock::time_point::max();
  at_points_.clear();
  std::list<Wait> over;
  over.swap(waits_);
  for (const Wait& wait : over) wait.reply.failed(RequestError(ECANCELED, why));
  emit_("RESUMED", Json::object());
}

void Gate::run() { release("the gate was opened"); }

Gate::State Gate::look()
{
  State state;
  if (!gate_) return state;
  // Before the actors: one that is at work now and ends before they are listed is waited for once more.
  if (!waits_.empty()) state.jobs = workers_.running();
  constexpr std::size_t few = 32;
  if (room_.empty()) room_.resize(few);
  morsel_gate_actors request{};
  for (;;) {
    request.size = sizeof request;
    request.actors = reinterpret_cast<std::uintptr_t>(room_.data());
    request.room = room_.size();
    module_.control(gate_.get(), MORSEL_IOC_GATE_ACTORS, &request);
    if (request.count <= room_.size()) break;
    room_.resize(request.count + few);
  }
  state.closed = request.closed != 0;
  state.met_by = request.met_by;
  state.actors = std::span(room_).first(request.count);
  return state;
}

void Gate::add_wait(Wait wait, Limit limit)
{
  wait.end = Clock::now() + std::max(limit, Limit(1));
  if (wait.end < rings_) set_timer(wait.end);
  waits_.push_back(std::move(wait));
}

void Gate::set_timer(Clock::time_point at)
{
  constexpr Clock::duration soon = std::chrono::microseconds(1);
  start_timer(timer_, std::max(at - Clock::now(), soon), {});
  rings_ = at;
}

void Gate::timer_rang()
{
  std::uint64_t count = 0;
  if (read(timer_.get(), &count, sizeof count) < 0) return;
  const Clock::time_point now = Clock::now();
  std::list<Wait> over;
  rings_ = Clock::time_point::max();
  for (auto wait = waits_.begin(); wait != waits_.end();) {
    const auto next = std::next(wait);
    if (wait->end <= now)
      over.splice(over.end(), waits_, wait);
    else
      rings_ = std::min(rings_, wait->end);
    wait = next;
  }
  if (!waits_.empty()) set_timer(rings_);
  for (const Wait& wait : over) time_out(wait);
}

void Gate::time_out(const Wait& wait)
{
  try {
    std::string text;
    switch (wait.what) {
      case Wait::For::everybody: text = "somebody who has begun does not come to a point"; break;
      case Wait::For::actor: text = "it has not come to its next point"; break;
      case Wait::For::condition:
        close(!look_and_tell().closed);
        text = "nobody has met the condition; everybody stops";
        for (const std::string& program : programs_.running_of(wait.client)) text += "; " + program + " still runs";
    }
    wait.reply.failed(RequestError(ETIMEDOUT, text));
  } catch (const RequestError& error) {
    wait.reply.failed(error);
  }
}

// Something has changed: who is new at a point is announced, and who waits for that is answered.
void Gate::look_again()
{
  if (!gate_) return;
  try {
    look_and_tell();
  } catch (const RequestError& error) {
    release(error.what());
  }
}

// Whoever looks has seen what has changed, and the module does not tell it again: so all are told by whoever looks.
Gate::State Gate::look_and_tell()
{
  State state = look();
  if (gate_) tell(state);
  return state;
}

// Answers first: they are waited for.
void Gate::tell(const State& state)
{
  for (auto wait = waits_.begin(); wait != waits_.end();) {
    const auto next = std::next(wait);
    if (answer(*wait, state)) waits_.erase(wait);
    wait = next;
  }
  announce(state);
}

void Gate::announce(const State& state)
{
  std::map<std::uint32_t, AtPoint> now;
  for (const morsel_gate_actor& actor : state.actors) {
    if (actor.state != MORSEL_GATE_AT_POINT) continue;
    const auto known = at_points_.find(actor.id);
    if (known != at_points_.end() && known->second.actor.serial == actor.serial) {
      now.insert(at_points_.extract(known));
      continue;
    }
    const AtPoint& at_point = now[actor.id] = {actor, names_of(actor)};
    EncodedObject data;
    data.add("actor", actor.id);
    data.add("who", at_point.names.who);
    add_point(data, actor.point);
    emit_("STOPPED", std::move(data).take());
  }
  at_points_ = std::move(now);
}

bool Gate::answer(Wait& wait, const State& state)
{
  const morsel_gate_actor* actor = nullptr;
  switch (wait.what) {
    case Wait::For::everybody:
      for (const auto& each : state.actors)
        if (is_on_its_way(each, state.actors)) return false;
      for (const auto& job : state.jobs)
        if (!find_actor(state.actors, static_cast<std::uint32_t>(job.thread))) return false;
      wait.reply.done(only("actors", describe_all(state)));
      return true;
    case Wait::For::actor:
      actor = find_actor(state.actors, wait.before.actor.id);
      if (actor && is_on_its_way(*actor, state.actors)) return false;
      if (actor && actor->state == MORSEL_GATE_AT_POINT && actor->serial == wait.before.actor.serial) return false;
      wait.reply.done(
          only("actor", actor ? describe(*actor, state)
                              : shown(wait.before.actor, wait.before.names, "finished").take()));
      return true;
    case Wait::For::condition:
      if (state.met_by == 0 &&
          (!state.actors.empty() || !state.jobs.empty() || !programs_.running_of(wait.client).empty()))
        return false;
      actor = state.met_by ? find_actor(state.actors, state.met_by) : nullptr;
      if (!actor) close(!state.closed);
      workers_.take_turns(true);
      wait.reply.done(actor ? only("actor", describe(*actor, state)) : EncodedObject().take());
      return true;
  }
  return false;
}

// Somebody has decided otherwise: nobody has met it.
void Gate::end_conditions()
{
  std::list<Wait> over;
  for (auto wait = waits_.begin(); wait != waits_.end();) {
    const auto next = std::next(wait);
    if (wait->what == Wait::For::condition) over.splice(over.end(), waits_, wait);
    wait = next;
  }
  for (const Wait& wait : over)
    wait.reply.done(Json{{"stopped", true}, {"programs", programs_.running_of(wait.client)}});
}

// Tells it, if it was open: an actor that has met a condition has told it already.
void Gate::close(bool was_open)
{
  module_.control(gate_.get(), MORSEL_IOC_GATE_STOP, nullptr);
  workers_.take_turns(true);
  if (was_open) emit_("STOPPED", Json{{"actor", 0}, {"who", ""}, {"point", ""}});
}

void Gate::stop(Limit limit, Reply reply)
{
  control();
  close(!look_and_tell().closed);
  end_conditions();
  add_wait({.what = Wait::For::everybody, .reply = std::move(reply)}, limit);
  look_again();
}

bool Gate::let_go_on(std::uint32_t actor)
{
  morsel_gate_step request{.size = sizeof request, .actor = actor};
  try {
    module_.control(gate_.get(), MORSEL_IOC_GATE_STEP, &request);
    return true;
  } catch (const RequestError& error) {
    if (error.number() == EBUSY || error.number() == ESRCH) return false;
    throw;
  }
}

Gate::AtPoint Gate::look_and_let_go_on(std::uint32_t id)
{
  const State state = look_and_tell();
  const morsel_gate_actor* const actor = find_actor(state.actors, id);
  if (!actor) throw RequestError(ESRCH, "there is no actor " + std::to_string(id));
  if (actor->state == MORSEL_GATE_GRACE && !is_on_its_way(*actor, state.actors))
    throw RequestError(EINVAL, "actor " + std::to_string(id) + " waits for a grace period, which these hold up: " +
                                   holds_up(*actor, state.actors).dump());
  AtPoint before{*actor, names_of(*actor)};
  if (actor->state == MORSEL_GATE_AT_POINT) let_go_on(id);
  return before;
}

// Nobody leaves a point by himself, so whom the last look has found there need not be looked for.
void Gate::step(std::uint32_t id, Limit limit, Reply reply)
{
  if (!gate_) throw RequestError(EINVAL, "the gate is open: nobody waits at a point");
  const auto known = at_points_.find(id);
  AtPoint before = known == at_points_.end() ? AtPoint() : known->second;
  if (known == at_points_.end() || !let_go_on(id)) before = look_and_let_go_on(id);
  Wait wait{.what = Wait::For::actor, .before = std::move(before), .reply = std::move(reply)};
  // Where it runs on this CPU it has often come to its next point by now; else that changes the list, which wakes the
  // loop.
  const State state = look();
  if (!answer(wait, state)) add_wait(std::move(wait), limit);
  tell(state);
}

void Gate::until(morsel_gate_until condition, std::optional<std::uint64_t> client, Limit limit, Reply reply)
{
  control();
  condition.size = sizeof condition;
  workers_.take_turns(false);
  at_points_.clear();  // all go on, whoever looks before or after
  module_.control(gate_.get(), MORSEL_IOC_GATE_UNTIL, &condition);
  add_wait({.what = Wait::For::condition, .client = client, .reply = std::move(reply)}, limit);
  look_again();
}

Encoded Gate::actors()
{
  const State state = look_and_tell();
  EncodedObject reply;
  reply.add("stopped", Encoded(Json(state.closed)));
  reply.add("actors", describe_all(state));
  return std::move(reply).take();
}

Encoded Gate::describe_all(const State& state)
{
  std::vector<Encoded> list;
  for (const morsel_gate_actor& actor : state.actors) list.push_back(describe(actor, state));
  for (const auto& job : workers_.running())
    if (job.thread != 0 && !find_actor(state.actors, static_cast<std::uint32_t>(job.thread)))
      list.push_back(describe(job));
  return encode_list(list);
}

Encoded Gate::describe(const Workers::Job& job) const
{
  return Json{{"id", job.thread},
              {"kind", MORSEL_ACTOR_CALLER},
              {"state", "running"},
              {"who", job.what},
              {"object", job.object}};
}

Gate::Names Gate::names_of(const morsel_gate_actor& actor)
{
  const auto known = at_points_.find(actor.id);
  if (known != at_points_.end() && known->second.actor.serial == actor.serial) return known->second.names;
  if (const auto job = workers_.job_of(static_cast<pid_t>(actor.id))) return {job->what, job->object};
  const std::string name(actor.name, strnlen(actor.name, sizeof actor.name));
  return {name + " (pid " + std::to_string(actor.pid) + ")", object_names_.of(actor.object_id)};
}

Encoded Gate::describe(const morsel_gate_actor& actor, const State& state)
{
  EncodedObject facts = shown(actor, names_of(actor), state_name(actor.state));
  if (actor.state == MORSEL_GATE_GRACE) facts.add("waits_for", Encoded(holds_up(actor, state.actors)));
  if (actor.state == MORSEL_GATE_AT_POINT) {
    add_point(facts, actor.point);
    facts.add("view", actor.tree);
    facts.add("level", actor.level);
    facts.add("offset", actor.offset);
    facts.add("word", actor.word);
    facts.add("desired", actor.desired);
  }
  return std::move(facts).take();
}

EncodedObject Gate::shown(const morsel_gate_actor& actor, const Names& names, const char* state)
{
  EncodedObject facts;
  facts.add("id", actor.id);
  facts.add("kind", actor.kind);
  facts.add("state", state);
  facts.add("who", names.who);
  facts.add("object", names.object);
  facts.add("pid", actor.pid);
  facts.add("cpu", actor.cpu);
  facts.add("instruction_pointer", actor.instruction_pointer);
  facts.add("fault_address", actor.fault_address);
  return facts;
}

}  // namespace morsel::agent
