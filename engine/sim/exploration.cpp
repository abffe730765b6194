// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/exploration.hpp"

#include <boost/context/fiber.hpp>

#include <algorithm>
#include <numeric>
#include <random>
#include <sstream>

#include "engine/inspect/decode.hpp"
#include "engine/sim/explored_platform.hpp"

namespace morsel::sim {

namespace {

namespace context = boost::context;

constexpr u64 max_steps = 20'000;   // far beyond any run that ends
constexpr u64 expected_steps = 80;  // of one actor: where change points are drawn from

// What must no longer be cached when an operation has returned (I2).
struct Promise {
  std::vector<std::pair<u64, PhysAddr>> gone;       // (page, frame) that it removed
  std::vector<std::pair<u64, PhysAddr>> read_only;  // ... whose writing it forbade
};

class Run {
 public:
  Run(const Scenario& scenario, u64 seed, Policy policy) : scenario_(scenario), world_(scenario), random_(seed)
  {
    set_stage();
    for (u32 i = 0; i < scenario.actors.size(); ++i) actors_.push_back(std::make_unique<Actor>());
    for (u32 i = 0; i < scenario.actors.size(); ++i) start(i);
    if (policy == Policy::pct) draw_priorities();
  }

  Outcome go()
  {
    world_.settle();
    while (world_.violated().empty() && !runnable().empty() && outcome_.steps < max_steps) {
      resume(choose());
      world_.settle();
      ++outcome_.steps;
    }
    if (outcome_.steps == max_steps) world_.violation("I5 the actors do not come to an end");
    if (world_.violated().empty()) world_.check_end();
    outcome_.violation = world_.violated();
    // A run that was given up goes on to its end without stopping: unwinding would pass through the destructors that
    // leave grace sections.
    stopping_ = true;
    for (const u32 number : runnable()) resume(number);
    return std::move(outcome_);
  }

 private:
  struct Actor {
    context::fiber body;
    context::fiber back;
    Step at{};
    bool done = false;
    u32 priority = 0;
  };

  void set_stage()
  {
    ExploredPlatform quiet(world_);
    expect(create(quiet, world_.object, scenario_.bytes, scenario_.root_level));
    if (scenario_.primary_walked) world_.object.primary.attached.value = 1;
    for (std::size_t i = 0; i < scenario_.views.size(); ++i) {
      Act add;
      add.kind = Act::Kind::add_view;
      add.view = static_cast<TreeId>(i + 1);
      add.format = scenario_.views[i];
      perform(quiet, add);
    }
    for (const Act& act : scenario_.before) {
      world_.settle();
      perform(quiet, act);
    }
  }
  template <class T>
  void expect(const T& result)
  {
    if (!result) world_.violation(std::string("the stage cannot be set: ") + error_name(result.error()));
  }
  void start(u32 number)
  {
    actors_[number]->body =
        context::fiber(std::allocator_arg, context::fixedsize_stack(64 * 1024), [this, number](context::fiber&& back) {
          Actor& a = *actors_[number];
          a.back = std::move(back);
          ExploredPlatform p(
              world_, number + 1, [this, number](SyncPoint at, const EntryRef& e) { stop(number, at, e); },
              [this](u64 before, u64 after) { record(before, after); });
          perform(p, scenario_.actors[number], number);
          a.done = true;
          return std::move(a.back);
        });
  }
  void stop(u32 number, SyncPoint at, const EntryRef& e)
  {
    if (stopping_) return;
    Actor& a = *actors_[number];
    a.at = {number, at, e, 0, 0};
    a.back = std::move(a.back).resume();
    outcome_.trace.push_back(a.at);
  }
  void record(u64 before, u64 after)
  {
    if (stopping_ || outcome_.trace.empty()) return;
    outcome_.trace.back().before = before;
    outcome_.trace.back().after = after;
  }
  void resume(u32 number)
  {
    Actor& a = *actors_[number];
    a.body = std::move(a.body).resume();
  }

  std::vector<u32> runnable() const
  {
    std::vector<u32> numbers;
    for (u32 i = 0; i < actors_.size(); ++i)
      if (!actors_[i]->done) numbers.push_back(i);
    return numbers;
  }
  u32 choose()
  {
    const std::vector<u32> ready = runnable();
    if (priorities_.empty()) return ready[random_() % ready.size()];
    const u32 best = *std::max_element(ready.begin(), ready.end(),
                                       [this](u32 a, u32 b) { return actors_[a]->priority < actors_[b]->priority; });
    for (std::size_t i = 0; i < change_points_.size(); ++i)
      if (change_points_[i] == outcome_.steps) actors_[best]->priority = static_cast<u32>(i);
    return best;
  }
  void draw_priorities()
  {
    constexpr u32 depth = 3;
    priorities_.resize(actors_.size());
    std::iota(priorities_.begin(), priorities_.end(), depth);
    std::shuffle(priorities_.begin(), priorities_.end(), random_);
    for (std::size_t i = 0; i < actors_.size(); ++i) actors_[i]->priority = priorities_[i];
    for (u32 i = 0; i < depth; ++i) change_points_.push_back(random_() % (expected_steps * actors_.size()));
  }

  // Keeps the count of mutators of the primary right on every way out, also when a run is given up.
  class InFlight {
   public:
    explicit InFlight(u32& count) : count_(count) { ++count_; }
    ~InFlight() { --count_; }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;

   private:
    u32& count_;
  };

  void perform(ExploredPlatform& p, const Act& act, std::optional<u32> actor = {})
  {
    if (!changes_primary(act)) return perform_one(p, act, actor);
    const Promise promise = promise_of(act);
    {
      const InFlight in_flight(world_.primary_changes_in_flight);
      perform_one(p, act, actor);
    }
    if (actor) check(promise);
  }
  void perform_one(ExploredPlatform& p, const Act& act, std::optional<u32> actor)
  {
    Stage stage{p, world_, world_.object, [this, actor](SyncPoint at, const EntryRef& e) {
                  if (actor) stop(*actor, at, e);
                }};
    sim::perform(stage, act);
  }

  // Drawn up when the operation begins: frames that it is certain to remove, or to make read-only.
  Promise promise_of(const Act& act)
  {
    Promise promise;
    ExploredPlatform quiet(world_);
    const bool removes = info(act.kind).effect == Effect::removes;
    const bool forbids = info(act.kind).effect == Effect::sets_rights && !act.rights.write();
    const Range range = range_of(act);
    for (const u64 page : scenario_.pages) {
      if (!range.contains(page)) continue;
      const Expected<Leaf> leaf = lookup(quiet, SyncPoint::load, world_.object.primary, page);
      if (!leaf) continue;
      if (removes) promise.gone.emplace_back(page, leaf->frame);
      if (forbids && !somebody_allows_writing()) promise.read_only.emplace_back(page, leaf->frame);
    }
    return promise;
  }
  bool somebody_allows_writing() const
  {
    return std::any_of(scenario_.actors.begin(), scenario_.actors.end(),
                       [](const Act& a) { return info(a.kind).effect == Effect::sets_rights && a.rights.write(); });
  }
  void check(const Promise& promise)
  {
    for (TreeId id = 0; id <= max_views; ++id) {
      if (id == primary_tree ? !scenario_.primary_walked : !world_.views.count(id)) continue;
      for (const CachedLeaf& l : world_.hardware(id).leaves()) {
        for (const auto& [page, frame] : promise.gone)
          if (l.page == page && l.frame == frame)
            world_.violation("I2 a walker can still use what a returned operation removed");
        for (const auto& [page, frame] : promise.read_only)
          if (l.page == page && l.frame == frame && l.rights.write())
            world_.violation("I2 a walker can still write after a returned protect");
      }
    }
  }

  const Scenario& scenario_;
  ExploredWorld world_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::vector<u32> priorities_;
  std::vector<u64> change_points_;
  Outcome outcome_;
  bool stopping_ = false;
};

}  // namespace

Outcome run_schedule(const Scenario& scenario, u64 seed, Policy policy) { return Run(scenario, seed, policy).go(); }

Verdict explore(const Scenario& scenario, u64 first_seed, u64 runs)
{
  Verdict verdict;
  for (u64 seed = first_seed; seed < first_seed + runs; ++seed) {
    verdict.policy = seed % 2 ? Policy::uniform : Policy::pct;
    verdict.outcome = run_schedule(scenario, seed, verdict.policy);
    ++verdict.runs;
    verdict.steps += verdict.outcome.steps;
    if (verdict.outcome.violation.empty()) continue;
    verdict.failing_seed = seed;
    break;
  }
  return verdict;
}

std::string describe(const Scenario& scenario, const Verdict& verdict)
{
  std::ostringstream out;
  out << scenario.name << ": " << verdict.runs << " runs, " << verdict.steps << " steps";
  if (!verdict.failing_seed) return out.str() + ", none violated";
  out << "\nseed " << *verdict.failing_seed << ": " << verdict.outcome.violation << '\n';
  for (const Step& s : verdict.outcome.trace) {
    out << "  actor " << s.actor << "  tree " << s.entry.tree << " level " << int{s.entry.level} << "  "
        << point_name(s.point) << " at 0x" << std::hex << s.entry.offset;
    if (s.entry.word) out << ": " << s.before << " -> " << s.after;
    out << std::dec << '\n';
  }
  return out.str();
}

}  // namespace morsel::sim
