// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/live_replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/inspect/decode.hpp"
#include "engine/inspect/walk.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/facts_actor.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

// One access; a grace period whose actors have left.
constexpr Milliseconds step_limit{5'000};
constexpr Milliseconds run_limit{60'000};
constexpr u32 most_steps_of_an_access = 1000;

bool is_aside(const sim::Step& step)
{
  using sim::Access;
  switch (step.what.access) {
    case Access::begin:
    case Access::finish:
    case Access::look:
    case Access::end_flush:
    case Access::end_wait:
    case Access::attach: return true;
    default: return sim::is_buffer(step.choice);
  }
}

std::string trimmed(std::string text)
{
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

LiveReplay::LiveReplay(Session& session, const sim::TokenRun& token)
    : session_(session),
      stepping_(stepping_of(session, "replay")),
      scenario_(token.scenario),
      explored_(explore_again(token))
{
  refuse_what_is_not_offered(scenario_, explored_);
  for (const sim::Act& act : scenario_.actors) players_.push_back({words_of(act)});
  if (session_.recorder().in_past())
    throw Failure(Exit::usage, "replay", "the session shows the past", "'goto now' returns to the present.");
  if (!stepping_.actors().empty())
    throw Failure(Exit::usage, "replay", "somebody is in the middle of something", "'run' lets all go on.");
}

void LiveReplay::set_stage()
{
  Target& target = session_.target();
  stepping_.run();
  target.clear_injected();
  for (const ObjectState& o : target.objects())
    if (o.name == explored_name) target.destroy_object(o.name);
  for (const std::vector<std::string>& words : stage_of(scenario_)) session_.execute(words);
  add_rules(0, 0);
  if (!session_.recorder().on()) session_.recorder().start(target);
  stepping_.stop(step_limit);
}

// Those that are about one actor come when it is there; it has done nothing yet.
void LiveReplay::add_rules(u32 actor, u32 id)
{
  for (const sim::FaultRule& rule : scenario_.faults) {
    if (rule.actor != actor) continue;
    InjectRule made = rule_of(rule, scenario_);
    made.object = explored_name;
    if (actor != 0) made.actor = id;
    try {
      session_.target().inject(made);
    } catch (const Failure& failure) {
      refuse(fmt::format("'{}' at '{}': {}", action_name(made.action), point_name(made.point), failure.found()));
    }
  }
}

void LiveReplay::refresh(Player& player)
{
  session_.wait_for_actors(step_limit, [&](const std::vector<ActorState>& actors) {
    const auto found =
        std::find_if(actors.begin(), actors.end(), [&](const ActorState& a) { return a.id == player.state.id; });
    player.ended = found == actors.end();
    if (!player.ended) player.state = *found;
    return player.ended || player.state.waits == ActorWaits::at_point;
  });
}

void LiveReplay::begin(Player& player, u32 letter)
{
  player.begun = true;
  try {
    const Reply reply = session_.execute(player.words);
    if (reply.facts.contains("actor")) player.state.id = reply.facts["actor"].get<u32>();
    player.ended = !reply.facts.contains("started");
    if (player.ended) player.outcome = trimmed(reply.text);
    player.status = reply.status;
  } catch (const Failure& failure) {
    player.ended = true;
    player.outcome = failure.what();
    player.status = static_cast<int>(failure.code());
  }
  if (player.state.id == 0) return;
  add_rules(letter + 1, player.state.id);
  refresh(player);
}

void LiveReplay::go_on(Player& player)
{
  player.state = stepping_.step(player.state.id, step_limit);
  player.ended = player.state.waits == ActorWaits::finished;
}

// In one go; only if the tables allow it, because the explorer's hardware does not ask for a fill.
void LiveReplay::access_by_hardware(const sim::Step& step)
{
  const TreeId tree = step.what.entry.tree;
  Player& player = players_[sim::actor_of(step.choice)];
  const ObjectState object = session_.target().object(std::string(explored_name));
  const Rights right = step.what.access == sim::Access::hardware_write ? right_write : right_read;
  for (const ViewState& v : object.views)
    if (v.number == tree &&
        inspect::trace_walk(session_.target().memory(), v.source(), step.what.entry.offset, right).end ==
            inspect::WalkEnd::translated) {
      begin(player, sim::actor_of(step.choice));
      for (u32 i = 0; !player.ended && i < most_steps_of_an_access; ++i) go_on(player);
    }
}

// Accesses of the explorer that a machine may do without.
bool LiveReplay::may_be_absent(const Player& player, const sim::Step& step) const
{
  if (!player.ended && player.state.next.point == step.what.point) return false;
  if (step.what.access == sim::Access::take_dirty) return true;  // only looked at
  const sim::Act::Kind act = scenario_.actors[sim::actor_of(step.choice)].kind;
  if (step.what.point == SyncPoint::read_list) return act == sim::Act::Kind::fill;
  // Whether hardware walks the primary: a machine that has a walker of its own need not ask.
  return step.what.point == SyncPoint::read_pending && act == sim::Act::Kind::harvest;
}

// A machine's own walker may use the primary, so its harvest goes there first.
bool LiveReplay::does_more(const Player& player, const sim::Step& step) const
{
  if (scenario_.actors[sim::actor_of(step.choice)].kind != sim::Act::Kind::harvest || player.ended) return false;
  const NextAccess& next = player.state.next;
  if (player.state.waits != ActorWaits::at_point || next.point == step.what.point || next.tree != primary_tree)
    return false;
  return next.point == SyncPoint::find || next.point == SyncPoint::harvest || next.point == SyncPoint::flush ||
         next.point == SyncPoint::carry;
}

bool LiveReplay::was_late(Player& player, const sim::Step& step)
{
  const auto late =
      std::find_if(player.late.begin(), player.late.end(), [&](const Late& l) { return l.point == step.what.point; });
  if (late == player.late.end() || (!player.held && player.state.next.point == step.what.point)) return false;
  player.late.erase(late);
  if (std::exchange(player.held, false)) go_on(player);
  return true;
}

std::string LiveReplay::difference(const Player& player, const sim::Step& step)
{
  const NextAccess& next = player.state.next;
  if (player.ended) return player.outcome.empty() ? "it has ended" : "it has ended: " + player.outcome;
  const auto state = [&] {
    return trimmed(actor_text(actor_facts(player.state, session_.target().objects()), Style{}));
  };
  if (player.state.waits != ActorWaits::at_point || next.point != step.what.point) return state();
  const EntryRef& entry = step.what.entry;
  if (!entry.word) return {};
  if (next.tree != entry.tree || next.level != entry.level || next.offset != entry.offset) return state();
  const auto kind = find_format(format_of(scenario_, entry.tree))->kind;
  if (kind(next.word, next.level) == kind(step.before, entry.level)) return {};
  return fmt::format("{}; a {} entry stands there instead of a {} one", state(),
                     inspect::kind_name(kind(next.word, next.level)),
                     inspect::kind_name(kind(step.before, entry.level)));
}

void LiveReplay::follow(std::size_t number)
{
  const sim::Step& step = explored_.steps[number];
  const u32 letter = sim::actor_of(step.choice);
  Player& player = players_[letter];
  const bool hardware = is_hardware(scenario_.actors[letter]);
  if (is_aside(step) || hardware) {
    ++aside_;
    if (hardware && (step.what.access == sim::Access::hardware_write || step.what.access == sim::Access::hardware_read))
      access_by_hardware(step);
    else if (!hardware && step.what.access == sim::Access::begin)
      begin(player, letter);
    return;
  }
  if (was_late(player, step)) {
    ++absent_;
    return;
  }
  if (std::exchange(player.held, false)) go_on(player);
  do_compared(player, number);
}

void LiveReplay::do_compared(Player& player, std::size_t number)
{
  const sim::Step& step = explored_.steps[number];
  // What others have done meanwhile is seen in the words.
  if (!player.ended && (&player != last_ || player.state.waits != ActorWaits::at_point)) refresh(player);
  last_ = &player;
  while (!player.ended && player.state.waits == ActorWaits::at_point && player.state.next.point == SyncPoint::alloc)
    go_on(player);  // the explorer's allocations are no steps
  for (; does_more(player, step); ++more_) go_on(player);
  if (may_be_absent(player, step)) {
    ++absent_;
    return;
  }
  if (const std::string found = difference(player, step); !found.empty()) {
    difference_ = {number + 1, sim::describe(scenario_, step), found};
    return;
  }
  ++compared_;
  // Others see neither of these two, but what was put off until then.
  const bool holds = step.what.point == SyncPoint::leave || step.what.point == SyncPoint::flush;
  player.held = holds && std::any_of(player.late.begin(), player.late.end(), [&](const Late& l) {
                  return l.until == step.what.point || step.what.point == SyncPoint::leave;
                });
  if (player.held) return;
  if (explored_.chronicle.journal.records()[number].fault_action == MORSEL_FAULT_DELAY)
    for (const sim::FaultRule& rule : scenario_.faults)
      if (rule.twist == sim::Twist::late && rule.point == step.what.point)
        player.late.push_back({rule.point, rule.until});
  go_on(player);
}

// Everybody goes on, and what they answer in the end is kept.
void LiveReplay::finish()
{
  stepping_.run();
  for (const Json& f : finished_facts(session_.settle(run_limit)))
    for (Player& p : players_)
      if (p.begun && p.state.id == f["actor"]) {
        p.outcome = trimmed(f["text"].get<std::string>());
        p.status = f["status"].get<int>();
      }
}

Json LiveReplay::run()
{
  try {
    set_stage();
    for (std::size_t i = 0; i < explored_.steps.size() && !difference_; ++i) follow(i);
  } catch (...) {
    finish();
    throw;
  }
  finish();
  return facts();
}

Json LiveReplay::facts()
{
  Json actors = Json::array(), rules = Json::array();
  for (std::size_t i = 0; i < players_.size(); ++i)
    actors.push_back({{"letter", std::string(1, static_cast<char>('a' + i))},
                      {"actor", players_[i].state.id},
                      {"act", sim::to_text(scenario_.actors[i])},
                      {"command", fmt::format("{}", fmt::join(players_[i].words, " "))},
                      {"status", players_[i].status},
                      {"outcome", players_[i].outcome}});
  for (const InjectRule& r : session_.target().injected())
    rules.push_back(
        {{"rule", r.number}, {"point", point_name(r.point)}, {"action", action_name(r.action)}, {"fired", r.fired}});
  const std::vector<std::string> words{"verify", std::string(explored_name)};
  const Json verdict = session_.execute(words).facts;
  Json found;
  if (difference_)
    found = {{"step", difference_->step}, {"expected", difference_->expected}, {"found", difference_->found}};
  return {{"how", "live"},
          {"scenario", sim::to_text(scenario_)},
          {"actors", std::move(actors)},
          {"object", explored_name},
          {"steps", explored_.steps.size()},
          {"compared", compared_},
          {"aside", aside_},
          {"absent", absent_},
          {"more", more_},
          {"difference", std::move(found)},
          {"rules", std::move(rules)},
          {"explored", explored_.violation},
          {"holds", !difference_ && verdict["holds"] == true},
          {"broken", verdict["violations"]}};
}

}  // namespace morsel::session
