// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/search.hpp"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "engine/sim/footprint.hpp"
#include "engine/sim/state_table.hpp"

namespace morsel::sim {

namespace {

constexpr u32 longest_alone = 1500;  // of one actor's steps, when nobody disturbs it

// For each actor the last of its steps, counted from 1, that read and that wrote a place.
class Future {
 public:
  bool grew = false;

  void learn(u32 actor, u32 step, const Footprint& f)
  {
    if (f.everything && everything_[actor] < step) everything_[actor] = step, grew = true;
    for (u32 i = 0; i < f.read_count; ++i) raise(last_[actor][f.reads[i]].read, step);
    for (u32 i = 0; i < f.write_count; ++i) raise(last_[actor][f.writes[i]].write, step);
  }
  // Whether the actor, which has done `steps`, will ever do something that depends on this.
  bool meets(u32 actor, u32 steps, const Footprint& f) const
  {
    if (f.unknown || f.everything || everything_[actor] > steps) return true;
    const auto& last = last_[actor];
    for (u32 i = 0; i < f.write_count; ++i)
      if (const auto it = last.find(f.writes[i]); it != last.end())
        if (it->second.read > steps || it->second.write > steps) return true;
    for (u32 i = 0; i < f.read_count; ++i)
      if (const auto it = last.find(f.reads[i]); it != last.end() && it->second.write > steps) return true;
    return false;
  }

 private:
  struct Last {
    u32 read = 0, write = 0;
  };
  void raise(u32& last, u32 step)
  {
    if (last >= step) return;
    last = step;
    grew = true;
  }
  std::array<std::unordered_map<Place, Last>, max_actors> last_;
  std::array<u32, max_actors> everything_{};
};

class Search {
 public:
  Search(const Scenario& scenario, const SearchOptions& options)
      : options_(options),
        run_(scenario),
        limit_(run_.scenario()),
        reduce_(options.reduce && !options.progress && !bounded() && reducible(scenario))
  {
  }

  SearchResult go()
  {
    if (reduce_) warm_up();
    do {
      SearchResult fresh;
      fresh.passes = result_.passes + 1;
      fresh.steps = result_.steps;
      result_ = fresh;
      future_.grew = false;
      one_pass();
    } while (reduce_ && future_.grew && result_.violation.empty() && result_.complete);
    return result_;
  }

 private:
  // A state on the path.
  struct Node {
    u32 todo = 0;                                  // choices to be tried
    u32 sleep = 0;                                 // choices that need not be tried here
    std::array<Footprint, max_actors> footprints;  // of the choices, with reduction
    bool saved = false;
    u8 left = 0;       // preemptions, or delays
    u8 last = no_one;  // who came here
  };
  static constexpr u8 no_one = 0xff;

  // Faults that count happen to whoever comes first; twisted accesses touch other places than they name.
  static bool reducible(const Scenario& s)
  {
    return std::none_of(s.faults.begin(), s.faults.end(),
                        [](const FaultRule& r) { return r.counts() || r.twist != Twist::none; });
  }

  // Learns from runs drawn by chance, until many in a row had nothing new.
  void warm_up()
  {
    u32 nothing_new = 0;
    for (u64 seed = 1; seed <= 2000 && nothing_new < 100; ++seed) {
      Random random(seed);
      run_.reset();
      future_.grew = false;
      u32 turn = 0, left = 0;  // whose, and for how many steps
      for (u32 choices = run_.choices(); choices != 0 && run_.violated().empty(); choices = run_.choices()) {
        if (left == 0 || !(choices >> turn & 1)) {
          turn = random.one_of(choices);
          left = 1u << random.below(7);
        }
        --left;
        step(static_cast<Choice>(turn), nullptr);
        if (limit_.reached(run_.actor(turn).steps)) break;
      }
      nothing_new = future_.grew ? 0 : nothing_new + 1;
    }
  }

  void step(Choice choice, const Footprint* predicted)
  {
    if (reduce_) {
      Footprint f = predicted ? *predicted : predict(run_, choice);
      const u32 number = run_.actor(actor_of(choice)).steps + 1;
      run_.step(choice);
      complete(run_, f);
      future_.learn(actor_of(choice), number, f);
    } else {
      run_.step(choice);
    }
    ++result_.steps;
  }

  void one_pass()
  {
    seen_.clear();
    finals_.clear();
    run_.reset();
    path_.clear();
    depth_ = 0;
    enter(0, static_cast<u8>(options_.preemptions.value_or(options_.delays.value_or(0))), no_one);
    while (depth_ > 0 && result_.violation.empty() && seen_.size() < options_.max_states) advance();
    result_.states = seen_.size();
    result_.final_states = finals_.size();
    result_.complete = depth_ == 0 || !result_.violation.empty();
    while (depth_ > 0) leave();
  }

  // Takes the next choice of the state at the end of the path, or goes back.
  void advance()
  {
    Node& node = path_[depth_ - 1];
    if (node.todo == 0) return leave();
    if (node.saved && run_moved_) run_.restore();
    run_moved_ = true;
    const auto choice = static_cast<Choice>(std::countr_zero(node.todo));
    node.todo &= node.todo - 1;
    if (node.saved && node.todo == 0) {
      run_.drop();
      node.saved = false;
    }
    u32 sleep = 0;
    if (reduce_) {
      for (u32 rest = node.sleep; rest; rest &= rest - 1) {
        const auto z = static_cast<u32>(std::countr_zero(rest));
        if (!dependent(node.footprints[z], node.footprints[choice])) sleep |= 1u << z;
      }
      node.sleep |= 1u << choice;
    }
    u8 left = node.left;
    if (options_.preemptions && node.last != no_one && node.last != choice && could_go_on(node)) --left;
    if (options_.delays) left = static_cast<u8>(left - delays_for(node, choice));
    schedule_.push_back(choice);
    step(choice, reduce_ ? &node.footprints[choice] : nullptr);
    enter(sleep, left, choice);
  }
  bool could_go_on(const Node& node) const { return node.sleep >> node.last & 1; }
  bool bounded() const { return options_.preemptions || options_.delays; }
  // How many are skipped if this one goes on: the schedule would go on with the last, or the next in order.
  static u32 delays_for(const Node& node, u32 choice)
  {
    u32 skipped = 0;
    for (u32 c = node.last == no_one ? 0 : node.last; c != choice; c = (c + 1) % (2 * max_actors))
      skipped += node.sleep >> c & 1;
    return skipped;
  }

  void leave()
  {
    if (path_[depth_ - 1].saved) run_.drop();
    --depth_;
    run_moved_ = true;
    if (!schedule_.empty()) schedule_.pop_back();
  }

  // The run has come to a state. Pushes it on the path; one with nothing to do is left at once.
  void enter(u32 sleep, u8 left, u8 last)
  {
    if (path_.size() == depth_) path_.emplace_back();
    Node& node = path_[depth_++];
    node.todo = 0;
    node.sleep = sleep;
    node.left = left;
    node.last = last;
    node.saved = false;
    if (run_.violated().empty() && run_.choices() != 0 && limit_.reached(depth_ - 1))
      run_.world().violation(std::string(StepLimit::reached_text));
    if (!run_.violated().empty()) return found();
    const u32 choices = run_.choices();
    const u64 hash = run_.hash();
    if (choices == 0) return finish(hash);
    if (bounded())
      enter_bounded(node, mix(hash, last), choices);
    else
      enter_reduced(node, hash, choices);
    if (options_.progress && node.todo != 0 && run_.violated().empty()) check_progress(choices);
    if (std::popcount(node.todo) > 1 && !node.saved) {
      run_.save();
      node.saved = true;
    }
    run_moved_ = false;
  }

  void enter_reduced(Node& node, u64 hash, u32 choices)
  {
    u32 asleep_before = ~0u;
    if (options_.recognise) {
      const auto [asleep, fresh] = seen_.try_emplace(hash, static_cast<u16>(node.sleep));
      if (!fresh) {
        asleep_before = asleep;
        if ((asleep_before & ~node.sleep) == 0) return;
        asleep = static_cast<u16>(asleep_before & node.sleep);
      }
    }
    if (!reduce_) {
      node.todo = choices;
      return;
    }
    for (u32 rest = choices; rest; rest &= rest - 1) {
      const auto c = static_cast<u32>(std::countr_zero(rest));
      node.footprints[c] = predict(run_, static_cast<Choice>(c));
    }
    node.todo = persistent(node, choices) & ~node.sleep & asleep_before;
    if (asleep_before != ~0u) node.sleep &= asleep_before;
  }

  // Without reduction `sleep` says who could have gone on.
  void enter_bounded(Node& node, u64 hash, u32 choices)
  {
    node.sleep = choices;
    const auto [most_left, fresh] = seen_.try_emplace(hash, node.left);
    if (!fresh) {
      if (most_left >= node.left) return;
      most_left = node.left;
    }
    node.todo = choices;
    if (options_.delays) {
      for (u32 rest = choices; rest; rest &= rest - 1)
        if (const auto c = static_cast<u32>(std::countr_zero(rest)); delays_for(node, c) > node.left)
          node.todo &= ~(1u << c);
      return;
    }
    if (node.left == 0 && node.last != no_one && could_go_on(node)) node.todo = 1u << node.last;
  }

  // The smallest set of choices that is closed: whoever is outside will never do anything that depends on them.
  u32 persistent(const Node& node, u32 choices) const
  {
    u32 best = choices;
    for (u32 rest = choices; rest; rest &= rest - 1) {
      const u32 set = closure(node, choices, static_cast<u32>(std::countr_zero(rest)));
      if (std::popcount(set) < std::popcount(best)) best = set;
      if (std::popcount(best) == 1) break;
    }
    return best;
  }
  u32 closure(const Node& node, u32 choices, u32 first) const
  {
    u32 set = 1u << first, todo = set;
    while (todo) {
      const auto c = static_cast<u32>(std::countr_zero(todo));
      todo &= todo - 1;
      for (u32 other = 0; other < run_.actors(); ++other) {
        if ((set >> other & 1) || run_.actor(other).done) continue;
        if (!future_.meets(other, run_.actor(other).steps, node.footprints[c])) continue;
        if (!(choices >> other & 1)) return choices;  // who waits now cannot be taken in
        set |= 1u << other;
        todo |= 1u << other;
      }
    }
    return set;
  }

  void finish(u64 hash)
  {
    run_moved_ = true;
    if (!finals_.try_emplace(hash, 0).fresh) return;
    result_.final_hash += mix(hash, 1);
    run_.check_end();
    if (!run_.violated().empty()) found();
  }

  void found()
  {
    run_moved_ = true;
    result_.violation = run_.violated();
    result_.schedule = schedule_;
  }

  void check_progress(u32 choices)
  {
    run_.save();
    for (u32 rest = choices; rest && result_.violation.empty(); rest &= rest - 1) {
      const auto c = static_cast<Choice>(std::countr_zero(rest));
      for (u32 i = 0; i < longest_alone && (run_.choices() >> c & 1) && run_.violated().empty(); ++i) {
        run_.step(c);
        ++result_.steps;
      }
      if (run_.violated().empty() && (run_.choices() >> c & 1)) {
        run_.world().violation("I5 actor " + std::string(1, static_cast<char>('a' + c)) + " alone comes to no end");
        found();
      }
      run_.restore();
    }
    run_.drop();
  }

  const SearchOptions options_;
  ExploredRun run_;
  StepLimit limit_;
  const bool reduce_;
  Future future_;
  SearchResult result_;
  StateTable seen_, finals_;
  std::vector<Node> path_;
  std::size_t depth_ = 0;
  Schedule schedule_;
  bool run_moved_ = false;  // the run is no longer in the state at the end of the path
};

}  // namespace

SearchResult search(const Scenario& scenario, const SearchOptions& options) { return Search(scenario, options).go(); }

}  // namespace morsel::sim
