// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/gate.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "testvm/agent/requests.hpp"

namespace morsel::agent {
namespace {

constexpr std::uint32_t lease_ms = 30'000;
constexpr std::chrono::milliseconds renewal{5'000};
constexpr const char* point_names[] = {
#define MORSEL_POINT_NAME(number, name, text) #name,
    MORSEL_POINTS(MORSEL_POINT_NAME)
#undef MORSEL_POINT_NAME
};

UniqueFd make_timer(std::chrono::milliseconds first, std::chrono::milliseconds every)
{
  UniqueFd timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  const auto spec = [](std::chrono::milliseconds time) {
    return timespec{.tv_sec = time.count() / 1000, .tv_nsec = time.count() % 1000 * 1'000'000};
  };
  const itimerspec times{.it_interval = spec(every), .it_value = spec(std::max(first, Gate::Limit(1)))};
  if (!timer || timerfd_settime(timer.get(), 0, &times, nullptr) != 0)
    throw RequestError(errno, std::string("making a timer: ") + std::strerror(errno));
  return timer;
}

const morsel_gate_actor* find_actor(const std::vector<morsel_gate_actor>& actors, std::uint32_t id)
{
  const auto found = std::find_if(actors.begin(), actors.end(), [id](auto& actor) { return actor.id == id; });
  return found == actors.end() ? nullptr : &*found;
}

const char* state_name(std::uint32_t state)
{
  return state == MORSEL_GATE_AT_POINT ? "point" : state == MORSEL_GATE_GRACE ? "grace" : "running";
}

// Those for whom a grace period of this actor's object has to wait.
Json holds_up(const morsel_gate_actor& waiting, const std::vector<morsel_gate_actor>& actors)
{
  Json ids = Json::array();
  for (const morsel_gate_actor& other : actors) {
    const bool holds = (other.flags & MORSEL_GATE_INSIDE) || other.kind == MORSEL_ACTOR_RECLAIM;
    if (other.id != waiting.id && other.object_id == waiting.object_id && other.state == MORSEL_GATE_AT_POINT && holds)
      ids.push_back(other.id);
  }
  return ids;
}

}  // namespace

Gate::Gate(Module& module, Poller& poller, Workers& workers, Emit emit)
    : module_(module), poller_(poller), workers_(workers), emit_(std::move(emit))
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
  lease_ = make_timer(renewal, renewal);
  gate_ = std::move(gate);
  poller_.add(lease_.get(), EPOLLIN, [this](std::uint32_t) { renew_lease(); });
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
  for (UniqueFd* fd : {&gate_, &lease_}) {
    poller_.remove(fd->get());
    fd->reset();
  }
  announced_.clear();
  std::list<Wait> over;
  over.swap(waits_);
  for (const Wait& wait : over) {
    poller_.remove(wait.timer.get());
    wait.reply.failed(RequestError(ECANCELED, why));
  }
  emit_("RESUMED", Json::object());
}

void Gate::run() { release("the gate was opened"); }

Gate::State Gate::look()
{
  State state;
  state.jobs = workers_.running();
  if (!gate_) return state;
  constexpr std::size_t room = 1024;
  state.actors.resize(room);
  morsel_gate_actors request{};
  request.size = sizeof request;
  request.actors = reinterpret_cast<std::uintptr_t>(state.actors.data());
  request.room = room;
  module_.control(gate_.get(), MORSEL_IOC_GATE_ACTORS, &request);
  state.closed = request.closed != 0;
  state.met_by = request.met_by;
  state.actors.resize(std::min<std::uint64_t>(request.count, room));
  return state;
}

void Gate::add_wait(Wait wait, Limit limit)
{
  wait.timer = make_timer(limit, Limit(0));
  waits_.push_back(std::move(wait));
  const Wait* const added = &waits_.back();
  poller_.add(added->timer.get(), EPOLLIN, [this, added](std::uint32_t) { time_out(added); });
  look_again();
}

void Gate::time_out(const Wait* wait)
{
  const auto found = std::find_if(waits_.begin(), waits_.end(), [wait](const Wait& w) { return &w == wait; });
  if (found == waits_.end()) return;
  std::list<Wait> over;
  over.splice(over.end(), waits_, found);
  poller_.remove(over.front().timer.get());
  const auto& reply = over.front().reply;
  try {
    if (wait->what == Wait::For::condition) module_.control(gate_.get(), MORSEL_IOC_GATE_STOP, nullptr);
    const char* const texts[] = {"somebody who has begun does not come to a point", "it has not come to its next point",
                                 "nobody has met the condition; everybody stops"};
    reply.failed(RequestError(ETIMEDOUT, texts[static_cast<int>(wait->what)]));
  } catch (const RequestError& error) {
    reply.failed(error);
  }
}

// Something has changed: who is new at a point is announced, and who waits for that is answered.
void Gate::look_again()
{
  if (!gate_) return;
  try {
    answer_all();
  } catch (const RequestError& error) {
    release(error.what());
  }
}

void Gate::answer_all()
{
  const State state = look();
  announce(state);
  for (auto wait = waits_.begin(); wait != waits_.end();) {
    const auto next = std::next(wait);
    if (answer(*wait, state)) {
      poller_.remove(wait->timer.get());
      waits_.erase(wait);
    }
    wait = next;
  }
}

void Gate::announce(const State& state)
{
  std::map<std::uint32_t, std::uint64_t> now;
  for (const morsel_gate_actor& actor : state.actors) {
    if (actor.state != MORSEL_GATE_AT_POINT) continue;
    now[actor.id] = actor.serial;
    const auto known = announced_.find(actor.id);
    if (known == announced_.end() || known->second != actor.serial) {
      const Json shown = describe(actor, state);
      emit_("STOPPED", {{"actor", actor.id}, {"who", shown["who"]}, {"point", shown["point"]}});
    }
  }
  announced_ = std::move(now);
}

bool Gate::answer(Wait& wait, const State& state)
{
  const morsel_gate_actor* actor = nullptr;
  switch (wait.what) {
    case Wait::For::everybody:
      for (const auto& each : state.actors)
        if (each.state == MORSEL_GATE_RUNNING) return false;
      for (const auto& job : state.jobs)
        if (!find_actor(state.actors, static_cast<std::uint32_t>(job.thread))) return false;
      wait.reply.done(Json{{"actors", describe_all(state)}});
      return true;
    case Wait::For::actor:
      actor = find_actor(state.actors, wait.actor);
      if (!actor) {
        wait.last["state"] = "finished";
        wait.reply.done(Json{{"actor", wait.last}});
        return true;
      }
      if (actor->state == MORSEL_GATE_RUNNING) return false;
      if (actor->state == MORSEL_GATE_AT_POINT && actor->serial == wait.serial) return false;
      wait.reply.done(Json{{"actor", describe(*actor, state)}});
      return true;
    case Wait::For::condition:
      if (state.met_by == 0 && (!state.actors.empty() || !state.jobs.empty())) return false;
      actor = state.met_by ? find_actor(state.actors, state.met_by) : nullptr;
      if (!actor) module_.control(gate_.get(), MORSEL_IOC_GATE_STOP, nullptr);
      wait.reply.done(actor ? Json{{"actor", describe(*actor, state)}} : Json::object());
      return true;
  }
  return false;
}

void Gate::stop(Limit limit, Reply reply)
{
  control();
  module_.control(gate_.get(), MORSEL_IOC_GATE_STOP, nullptr);
  emit_("STOPPED", {{"actor", 0}, {"who", ""}, {"point", ""}});
  add_wait({.what = Wait::For::everybody, .last = {}, .reply = std::move(reply), .timer = {}}, limit);
}

void Gate::step(std::uint32_t id, Limit limit, Reply reply)
{
  if (!gate_) throw RequestError(EINVAL, "the gate is open: nobody waits at a point");
  const State state = look();
  const morsel_gate_actor* const actor = find_actor(state.actors, id);
  if (!actor) throw RequestError(ESRCH, "there is no actor " + std::to_string(id));
  const Json shown = describe(*actor, state);
  if (actor->state == MORSEL_GATE_GRACE)
    throw RequestError(EINVAL, "actor " + std::to_string(id) +
                                   " waits for a grace period, which these hold up: " + shown["waits_for"].dump());
  morsel_gate_step request{.size = sizeof request, .actor = id};
  module_.control(gate_.get(), MORSEL_IOC_GATE_STEP, &request);
  add_wait({.what = Wait::For::actor,
            .actor = id,
            .serial = actor->serial,
            .last = shown,
            .reply = std::move(reply),
            .timer = {}},
           limit);
}

void Gate::until(morsel_gate_until condition, Limit limit, Reply reply)
{
  control();
  condition.size = sizeof condition;
  module_.control(gate_.get(), MORSEL_IOC_GATE_UNTIL, &condition);
  add_wait({.what = Wait::For::condition, .last = {}, .reply = std::move(reply), .timer = {}}, limit);
}

Json Gate::actors()
{
  const State state = look();
  return {{"stopped", state.closed}, {"actors", describe_all(state)}};
}

Json Gate::describe_all(const State& state)
{
  Json list = Json::array();
  for (const morsel_gate_actor& actor : state.actors) list.push_back(describe(actor, state));
  for (const auto& job : state.jobs)
    if (job.thread != 0 && !find_actor(state.actors, static_cast<std::uint32_t>(job.thread)))
      list.push_back(describe(job));
  return list;
}

Json Gate::describe(const Workers::Job& job) const
{
  return {{"id", job.thread},
          {"kind", MORSEL_ACTOR_CALLER},
          {"state", "running"},
          {"who", job.what},
          {"object", job.object}};
}

Json Gate::describe(const morsel_gate_actor& actor, const State& state)
{
  const auto job = std::find_if(state.jobs.begin(), state.jobs.end(),
                                [&](auto& each) { return static_cast<std::uint32_t>(each.thread) == actor.id; });
  const std::string name(actor.name, strnlen(actor.name, sizeof actor.name));
  Json shown{{"id", actor.id},
             {"kind", actor.kind},
             {"state", state_name(actor.state)},
             {"cpu", actor.cpu},
             {"instruction_pointer", actor.instruction_pointer},
             {"fault_address", actor.fault_address}};
  if (job != state.jobs.end()) {
    shown["who"] = job->what;
    shown["object"] = job->object;
  } else {
    shown["who"] = name + " (pid " + std::to_string(actor.pid) + ")";
    shown["object"] = object_name(actor.object_id);
  }
  if (actor.state == MORSEL_GATE_GRACE) shown["waits_for"] = holds_up(actor, state.actors);
  if (actor.state != MORSEL_GATE_AT_POINT) return shown;
  shown["point"] = actor.point < std::size(point_names) ? Json(point_names[actor.point]) : Json(actor.point);
  shown["view"] = actor.tree;
  shown["level"] = actor.level;
  shown["offset"] = actor.offset;
  shown["word"] = actor.word;
  shown["desired"] = actor.desired;
  return shown;
}

// Ids are never given twice; an object that has lost its name has none.
std::string Gate::object_name(std::uint32_t id)
{
  if (!object_names_.contains(id)) {
    object_names_[id] = "";
    for (const auto& [known, name] : object_names(module_)) object_names_[known] = name;
  }
  return object_names_[id];
}

}  // namespace morsel::agent
