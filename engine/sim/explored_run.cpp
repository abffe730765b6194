// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/explored_run.hpp"

#include <algorithm>

#include "engine/session/failure.hpp"
#include "engine/sim/explored_platform.hpp"

namespace morsel::sim {

ExploredRun::ExploredRun(const Scenario& scenario) : world_(scenario)
{
  set_stage();
  if (!violated().empty())
    throw session::Failure(session::Exit::usage, "setting the stage of a scenario", violated(),
                           "The acts before -- run one after the other and must succeed.");
  for (u32 i = 0; i < scenario.actors.size(); ++i) bodies_.push_back({this, i});
  for (Body& body : bodies_) {
    actors_.push_back(std::make_unique<Actor>());
    actors_.back()->fiber.start(run_body, &body);
    actors_.back()->state.history = body.number;
  }
  save();
}

void ExploredRun::reset()
{
  while (saved_.size() > 1) drop();
  restore();
}

void ExploredRun::set_stage()
{
  const Scenario& s = world_.scenario;
  ExploredPlatform quiet(world_);
  const Status made = create(quiet, world_.object(), s.bytes, s.root_level);
  if (!made) return world_.violation(std::string("the stage cannot be set: ") + error_name(made.error()));
  if (s.primary_walked) world_.object().primary.attached.value = 1;
  std::vector<Act> acts;
  for (std::size_t i = 0; i < s.views.size(); ++i) {
    Act add;
    add.kind = Act::Kind::add_view;
    add.view = static_cast<TreeId>(i + 1);
    add.format = s.views[i];
    acts.push_back(add);
  }
  acts.insert(acts.end(), s.before.begin(), s.before.end());
  for (const Act& act : acts) {
    Stage stage{quiet, world_, world_.object()};
    const Status done = sim::perform(stage, act);
    if (!done && (act.kind == Act::Kind::add_view || act.kind == Act::Kind::clone))
      world_.violation("the stage cannot be set: '" + to_text(act) + "': " + error_name(done.error()));
    world_.memory.settle_fresh(0);
    world_.settle();
  }
}

void ExploredRun::run_body(void* body)
{
  const auto [run, number] = *static_cast<Body*>(body);
  run->perform(number);
  Actor& actor = *run->actors_[number];
  actor.state.done = true;
  actor.state.history = number;
  ++run->done_;
  for (;;) actor.fiber.pause();
}

void ExploredRun::perform(u32 number)
{
  Actor& actor = *actors_[number];
  const Act& act = world_.scenario.actors[number];
  const bool changes = changes_primary(act, world_.scenario.primary_walked);
  const Promise promise = promise_of(act, actor);
  if (changes) ++world_.core.changes_in_flight;
  ExploredPlatform p(world_, number + 1, &actor);
  Stage stage{p, world_, world_.object()};
  const Status done = sim::perform(stage, act);
  actor.pause({.access = Access::finish, .point = SyncPoint::leave});
  world_.drain(number + 1);
  if (changes) {
    --world_.core.changes_in_flight;
    world_.core.check_due = true;
  }
  if (act.kind == Act::Kind::fill) world_.check_new_leaves(number + 1);
  if (done) check(promise);
  world_.memory.settle_fresh(number + 1);
}

// Drawn up when the operation begins: frames that it is certain to remove, or to make read-only, if it is not refused.
ExploredRun::Promise ExploredRun::promise_of(const Act& act, Actor& actor)
{
  Promise promise;
  const Effect effect = info(act.kind).effect;
  promise.read_only = effect == Effect::sets_rights;
  const bool takes = effect == Effect::removes || effect == Effect::copies;
  if (!takes && (!promise.read_only || act.rights.write() || somebody_allows_writing()))
    return promise;
  ExploredPlatform quiet(world_);
  for (const u64 page : world_.scenario.pages) {
    if (!range_of(act).contains(page)) continue;
    const auto leaf = lookup_in<PrimaryFormat>(quiet, SyncPoint::load, world_.object().primary, page);
    const bool goes = leaf && (effect != Effect::copies || (leaf->word & software::write_after_copy_bit));
    actor.observe(goes ? leaf->frame.value : 0);
    if (goes) promise.pages[promise.count++] = {page, leaf->frame};
  }
  return promise;
}

bool ExploredRun::somebody_allows_writing() const
{
  const std::vector<Act>& acts = world_.scenario.actors;
  return std::any_of(acts.begin(), acts.end(),
                     [](const Act& a) { return info(a.kind).effect == Effect::sets_rights && a.rights.write(); });
}

void ExploredRun::check(const Promise& promise)
{
  for (TreeId id = 0; id <= max_views; ++id) {
    if (!world_.core.exists[id]) continue;
    for (const Hardware& core : world_.cores(id)) check(promise, core);
  }
}

void ExploredRun::check(const Promise& promise, const Hardware& core)
{
  for (const CachedLeaf& l : core.leaves())
    for (u32 i = 0; i < promise.count; ++i) {
      if (l.page != promise.pages[i].page || l.frame != promise.pages[i].frame) continue;
      if (!promise.read_only)
        world_.violation("I2 a walker can still use what a returned operation removed");
      else if (l.rights.write())
        world_.violation("I2 a walker can still write after a returned protect");
    }
}

u32 ExploredRun::choices() const
{
  u32 choices = 0;
  for (u32 i = 0; i < actors_.size(); ++i) {
    const ActorState& a = actors_[i]->state;
    if (!a.done && !(a.at.access == Access::end_wait && world_.waits(i + 1))) choices |= 1u << i;
    if (world_.core.buffers[i + 1].count) choices |= 1u << (i + max_actors);
  }
  return choices;
}

void ExploredRun::step(Choice choice)
{
  Actor& actor = *actors_[actor_of(choice)];
  world_.freed_tables.clear();
  world_.dirtied.clear();
  if (is_buffer(choice)) {
    const ExploredWorld::DelayedStore& store = world_.core.buffers[actor_of(choice) + 1].stores[0];
    last_ = {choice,
             {.access = Access::store, .point = actor.state.at.point, .entry = store.entry},
             *store.entry.word,
             store.value};
    world_.drain_one(actor_of(choice) + 1);
  } else {
    last_ = {choice, actor.state.at, 0, 0};
    ++actor.state.steps;
    actor.observe(0);  // that it goes on
    actor.fiber.resume();
    last_.before = actor.state.before;
    last_.after = actor.state.after;
  }
  world_.settle();
}

void ExploredRun::check_end()
{
  if (!done()) return world_.violation("I5 the actors wait for each other");
  world_.check_end();
}

void ExploredRun::save()
{
  Saved& s = saved_.emplace_back();
  s.where = buffer_.size();
  s.world = world_.save(buffer_);
  for (u32 i = 0; i < actors_.size(); ++i) {
    s.states[i] = actors_[i]->state;
    s.fibers[i] = actors_[i]->fiber.save(buffer_);
  }
  s.done = done_;
}

void ExploredRun::restore()
{
  const Saved& s = saved_.back();
  world_.restore(s.world, buffer_);
  for (u32 i = 0; i < actors_.size(); ++i) {
    actors_[i]->state = s.states[i];
    actors_[i]->fiber.restore(s.fibers[i], buffer_);
  }
  done_ = s.done;
}

void ExploredRun::drop()
{
  buffer_.resize(saved_.back().where);
  saved_.pop_back();
}

u64 ExploredRun::hash() const
{
  u64 h = world_.hash();
  for (const auto& actor : actors_) h = mix(h, actor->state.history);
  return h;
}

}  // namespace morsel::sim
