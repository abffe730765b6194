// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/exploration.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <sstream>

#include "engine/inspect/decode.hpp"

namespace morsel::sim {

namespace {

constexpr u64 expected_steps = 60;  // of one actor: where change points are drawn from
constexpr u32 depth = 3;            // change points of one schedule

class Chooser {
 public:
  virtual ~Chooser() = default;
  virtual Choice choose(u32 choices) = 0;
};

class UniformChooser final : public Chooser {
 public:
  explicit UniformChooser(u64 seed) : random_(seed) {}
  Choice choose(u32 choices) override { return static_cast<Choice>(random_.one_of(choices)); }

 private:
  Random random_;
};

// Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding bugs" (ASPLOS 2010).
class PctChooser final : public Chooser {
 public:
  PctChooser(u64 seed, u32 actors) : random_(seed)
  {
    std::iota(priorities_.begin(), priorities_.end(), depth);
    for (u32 i = static_cast<u32>(priorities_.size()); i > 1; --i)
      std::swap(priorities_[i - 1], priorities_[random_.below(i)]);
    for (u64& point : change_points_) point = random_.below(static_cast<u32>(expected_steps * actors));
  }
  Choice choose(u32 choices) override
  {
    u32 best = static_cast<u32>(std::countr_zero(choices));
    for (u32 rest = choices; rest; rest &= rest - 1) {
      const u32 c = static_cast<u32>(std::countr_zero(rest));
      if (priorities_[c] > priorities_[best]) best = c;
    }
    for (u32 i = 0; i < depth; ++i)
      if (change_points_[i] == step_) priorities_[best] = i;
    ++step_;
    return static_cast<Choice>(best);
  }

 private:
  Random random_;
  std::array<u32, 2 * max_actors> priorities_{};
  std::array<u64, depth> change_points_{};
  u64 step_ = 0;
};

// The most steps that are looked at when actors go one after the other: harvest's report of 2 GiB.
constexpr u64 most_measured = 600'000;

// Steps until all have returned, in this order, each going on for as long as it can. 0 where one comes to no end.
u64 steps_in_turn(ExploredRun& run, const std::vector<Choice>& order)
{
  run.reset();
  run.world().settle();
  u64 steps = 0;
  for (bool moved = true; moved && run.violated().empty();) {
    moved = false;
    for (const Choice choice : order)
      for (; (run.choices() >> choice & 1) && run.violated().empty(); ++steps, moved = true) {
        if (steps == most_measured) return 0;
        run.step(choice);
      }
  }
  return steps;
}

constexpr u32 most_orders = 120;

u64 most_steps_in_turn(const Scenario& scenario)
{
  ExploredRun run(scenario);
  std::vector<Choice> order(run.actors());
  std::iota(order.begin(), order.end(), Choice{0});
  u64 most = 0;
  u32 tried = 0;
  do most = std::max(most, steps_in_turn(run, order));
  while (++tried < most_orders && std::next_permutation(order.begin(), order.end()));
  return most;
}

Outcome run_with(ExploredRun& run, Chooser&& chooser)
{
  Outcome outcome;
  StepLimit limit(run.scenario());
  run.reset();
  run.world().settle();
  u32 choices = run.choices();
  while (run.violated().empty() && choices != 0 && !limit.reached(outcome.steps)) {
    const Choice choice = chooser.choose(choices);
    outcome.schedule.push_back(choice);
    run.step(choice);
    ++outcome.steps;
    choices = run.choices();
  }
  if (choices != 0 && limit.reached(outcome.steps)) run.world().violation(std::string(StepLimit::reached_text));
  if (run.violated().empty()) run.check_end();
  outcome.violation = run.violated();
  return outcome;
}

}  // namespace

bool StepLimit::reached(u64 steps)
{
  if (steps < limit_) return false;
  if (!known_) {
    known_ = true;
    limit_ = std::max(few_steps, 4 * most_steps_in_turn(scenario_));
  }
  return steps >= limit_;
}

Outcome run_schedule(ExploredRun& run, u64 seed, Policy policy)
{
  if (policy == Policy::uniform) return run_with(run, UniformChooser(seed));
  return run_with(run, PctChooser(seed, run.actors()));
}

Outcome run_schedule(const Scenario& scenario, u64 seed, Policy policy)
{
  ExploredRun run(scenario);
  return run_schedule(run, seed, policy);
}

Verdict explore(const Scenario& scenario, u64 first_seed, u64 runs)
{
  ExploredRun run(scenario);
  Verdict verdict;
  for (u64 seed = first_seed; seed < first_seed + runs; ++seed) {
    verdict.policy = policy_of(seed);
    verdict.outcome = run_schedule(run, seed, verdict.policy);
    ++verdict.runs;
    verdict.steps += verdict.outcome.steps;
    if (verdict.outcome.violation.empty()) continue;
    verdict.failing_seed = seed;
    break;
  }
  return verdict;
}

// A schedule that ends too early is finished in any order; one that asks for the impossible skips it.
Replay replay(ExploredRun& run, const Schedule& schedule, const ReplayWatch& watch)
{
  run.world().settle();
  Replay replay;
  auto go_on = [&](Choice choice) {
    if (watch.before) watch.before(choice);
    run.step(choice);
    replay.steps.push_back(run.last_step());
    if (watch.after) watch.after(replay.steps.back());
  };
  for (const Choice choice : schedule)
    if (run.violated().empty() && (run.choices() >> choice & 1)) go_on(choice);
  StepLimit limit(run.scenario());
  while (run.violated().empty() && run.choices() != 0 && !limit.reached(replay.steps.size()))
    go_on(static_cast<Choice>(std::countr_zero(run.choices())));
  if (run.choices() != 0 && limit.reached(replay.steps.size()))
    run.world().violation(std::string(StepLimit::reached_text));
  if (run.violated().empty()) run.check_end();
  replay.violation = run.violated();
  return replay;
}

Replay replay(const Scenario& scenario, const Schedule& schedule)
{
  ExploredRun run(scenario);
  return replay(run, schedule, {});
}

namespace {

std::string who(const Scenario& scenario, Choice choice)
{
  std::string text(1, static_cast<char>('a' + actor_of(choice)));
  return text + " " + to_text(scenario.actors[actor_of(choice)]);
}

FormatId format_of(const Scenario& scenario, TreeId tree)
{
  if (tree == primary_tree) return PrimaryFormat::id;
  if (tree <= scenario.views.size()) return scenario.views[tree - 1u];
  for (const Act& act : scenario.actors)
    if (act.kind == Act::Kind::add_view && act.view == tree) return act.format;
  return FormatId::npt;
}

std::string entry_text(FormatId format, Level level, u64 word)
{
  return inspect::one_line(inspect::decode(*find_format(format), level, word));
}

bool is_about_a_tree(Access access)
{
  return access == Access::add || access == Access::begin_flush || access == Access::end_flush ||
         access == Access::hardware_write || access == Access::hardware_read || access == Access::attach;
}

}  // namespace

std::string describe(const Scenario& scenario, const Step& step)
{
  std::string text = who(scenario, step.choice);
  text.resize(std::max<std::size_t>(text.size(), 20), ' ');
  const PendingStep& what = step.what;
  if (is_buffer(step.choice))
    text += "  its delayed store is seen:";
  else if (what.access == Access::begin)
    return text + "  begins";
  else if (what.access == Access::finish)
    return text + "  returns";
  else if (what.access == Access::look)
    return text + "  looks around";
  else
    text += "  " + std::string(point_name(what.point));
  if (what.access == Access::end_flush) text += " has ended";
  if (what.access == Access::end_wait) text += " has passed";
  const EntryRef& e = what.entry;
  if (e.word || is_about_a_tree(what.access)) text += "  " + (e.tree ? "v" + std::to_string(e.tree) : "primary");
  if (!e.word) return text;
  text += " " + to_text(Range{e.offset, e.offset + (page_bytes << (9u * e.level))}) + ": ";
  const FormatId format = format_of(scenario, e.tree);
  text += entry_text(format, e.level, step.before);
  if (what.access == Access::load) return text;
  if (step.before == step.after) return text + "  (unchanged)";
  return text + " -> " + entry_text(format, e.level, step.after);
}

std::string describe(const Scenario& scenario, const Verdict& verdict)
{
  std::ostringstream out;
  out << scenario.name << ": " << verdict.runs << " runs, " << verdict.steps << " steps";
  if (!verdict.failing_seed) return out.str() + ", none violated";
  out << "\nseed " << *verdict.failing_seed << ": " << verdict.outcome.violation << '\n';
  for (const Step& step : replay(scenario, verdict.outcome.schedule).steps)
    out << "  " << describe(scenario, step) << '\n';
  return out.str();
}

}  // namespace morsel::sim
