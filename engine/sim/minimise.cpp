// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/minimise.hpp"

#include <algorithm>
#include <optional>

#include "engine/session/failure.hpp"
#include "engine/sim/search.hpp"

namespace morsel::sim {

namespace {

constexpr u32 most_preemptions = 3;
constexpr u64 states_each = 150'000;  // for one search: a second or less

// "I2", or all of what has no number.
std::string invariant_of(const std::string& violation)
{
  return violation.substr(0, violation[0] == 'I' ? violation.find(' ') : violation.npos);
}

// The part of the schedule that is possible, up to the violation, and how it ends. At the end of a schedule that lets
// everybody return, the invariants of the end are checked.
SmallRun run_exactly(const Scenario& scenario, const Schedule& schedule)
{
  ExploredRun run(scenario);
  SmallRun done{scenario, {}, {}};
  for (const Choice choice : schedule) {
    if (!run.violated().empty()) break;
    if (!(run.choices() >> choice & 1)) continue;
    run.step(choice);
    done.schedule.push_back(choice);
  }
  if (run.violated().empty() && run.choices() == 0) run.check_end();
  done.violation = run.violated();
  return done;
}

// The same without one actor: those behind it get other numbers. Nothing where a rule is about it.
std::optional<Scenario> without_actor(Scenario scenario, std::size_t index)
{
  scenario.actors.erase(scenario.actors.begin() + static_cast<std::ptrdiff_t>(index));
  for (FaultRule& rule : scenario.faults) {
    if (rule.actor == index + 1) return {};
    if (rule.actor > index + 1) --rule.actor;
  }
  return scenario;
}

class Minimiser {
 public:
  explicit Minimiser(const SmallRun& failing) : best_(failing), invariant_(invariant_of(failing.violation)) {}

  SmallRun go()
  {
    bool smaller = true;
    while (smaller) smaller = drop_something();
    if (const auto found = find(best_.scenario)) keep_if_smaller(*found);
    while (best_.violation != StepLimit::reached_text && (fewer_blocks() || shorter_blocks())) continue;
    return best_;
  }

 private:
  bool same(const SmallRun& run) const { return invariant_of(run.violation) == invariant_; }

  // A violation of the same invariant with as few preemptions as there are.
  std::optional<SmallRun> find(const Scenario& scenario) const
  {
    SearchOptions options;
    options.max_states = states_each;
    for (u32 n = 0; n <= most_preemptions; ++n) {
      options.preemptions = n;
      try {
        const SearchResult result = search(scenario, options);
        const SmallRun found{scenario, result.schedule, result.violation};
        if (!result.violation.empty() && same(found)) return found;
        if (!result.complete) break;
      } catch (const session::Failure&) {
        break;  // with less to set it, the stage no longer stands
      }
    }
    return {};
  }

  bool drop_actor()
  {
    for (std::size_t i = 0; i < best_.scenario.actors.size() && best_.scenario.actors.size() > 1; ++i)
      if (const auto smaller = without_actor(best_.scenario, i))
        if (const auto found = find(*smaller)) return best_ = *found, true;
    return false;
  }
  template <class T>
  bool drop_one(std::vector<T> Scenario::*list, std::size_t least)
  {
    for (std::size_t i = 0; i < (best_.scenario.*list).size() && (best_.scenario.*list).size() > least; ++i) {
      Scenario smaller = best_.scenario;
      (smaller.*list).erase((smaller.*list).begin() + static_cast<std::ptrdiff_t>(i));
      if (const auto found = find(smaller)) return best_ = *found, true;
    }
    return false;
  }
  bool drop_something()
  {
    return drop_actor() || drop_one(&Scenario::before, 0) || drop_one(&Scenario::pages, 1) ||
           drop_one(&Scenario::faults, 0);
  }

  bool keep_if_smaller(const SmallRun& run)
  {
    const u32 mine = preemptions(run.scenario, run.schedule), best = preemptions(best_.scenario, best_.schedule);
    if (!same(run) || mine > best || (mine == best && run.schedule.size() >= best_.schedule.size())) return false;
    best_ = run;
    return true;
  }

  // Turns of the schedule: where each begins, and the end.
  std::vector<std::size_t> turns() const
  {
    std::vector<std::size_t> starts;
    for (std::size_t i = 0; i < best_.schedule.size(); ++i)
      if (i == 0 || best_.schedule[i] != best_.schedule[i - 1]) starts.push_back(i);
    starts.push_back(best_.schedule.size());
    return starts;
  }

  // A turn is left out, or goes on where the same actor's turn before it ended.
  bool fewer_blocks()
  {
    const std::vector<std::size_t> starts = turns();
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
      const auto from = best_.schedule.begin() + static_cast<std::ptrdiff_t>(starts[i]);
      const auto to = best_.schedule.begin() + static_cast<std::ptrdiff_t>(starts[i + 1]);
      Schedule without(best_.schedule.begin(), from);
      without.insert(without.end(), to, best_.schedule.end());
      if (keep_if_smaller(run_exactly(best_.scenario, without))) return true;
      if (i < 2) continue;
      Schedule earlier = best_.schedule;
      std::rotate(earlier.begin() + static_cast<std::ptrdiff_t>(starts[i - 1]),
                  earlier.begin() + static_cast<std::ptrdiff_t>(starts[i]),
                  earlier.begin() + static_cast<std::ptrdiff_t>(starts[i + 1]));
      if (keep_if_smaller(run_exactly(best_.scenario, earlier))) return true;
    }
    return false;
  }

  // A turn loses its last steps: the actor does them later, or never.
  bool shorter_blocks()
  {
    const std::vector<std::size_t> starts = turns();
    for (std::size_t i = 0; i + 1 < starts.size(); ++i)
      for (std::size_t left = starts[i] + 1; left < starts[i + 1]; ++left) {
        Schedule shorter(best_.schedule.begin(), best_.schedule.begin() + static_cast<std::ptrdiff_t>(left));
        shorter.insert(shorter.end(), best_.schedule.begin() + static_cast<std::ptrdiff_t>(starts[i + 1]),
                       best_.schedule.end());
        if (keep_if_smaller(run_exactly(best_.scenario, shorter))) return true;
      }
    return false;
  }

  SmallRun best_;
  const std::string invariant_;
};

}  // namespace

u32 preemptions(const Scenario& scenario, const Schedule& schedule)
{
  ExploredRun run(scenario);
  u32 count = 0;
  for (std::size_t i = 0; i < schedule.size() && run.violated().empty(); ++i) {
    if (i != 0 && schedule[i] != schedule[i - 1] && (run.choices() >> schedule[i - 1] & 1)) ++count;
    if (run.choices() >> schedule[i] & 1) run.step(schedule[i]);
  }
  return count;
}

SmallRun minimise(const Scenario& scenario, const Schedule& schedule)
{
  const Replay whole = replay(scenario, schedule);
  SmallRun failing{scenario, {}, whole.violation};
  if (whole.violation.empty()) return failing;
  for (const Step& step : whole.steps) failing.schedule.push_back(step.choice);
  return Minimiser(failing).go();
}

}  // namespace morsel::sim
