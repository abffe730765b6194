// SPDX-License-Identifier: GPL-2.0-or-later
//
// One scenario under exploration: the world, and the actors in it. Whoever explores chooses who goes on; a state can
// be saved and come back to, as often as one likes.
//
// A choice is the number of an actor, or of its store buffer (its number + max_actors): then its oldest delayed store
// becomes visible.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "engine/sim/actor.hpp"
#include "engine/sim/explored_world.hpp"

namespace morsel::sim {

using Choice = u8;
constexpr bool is_buffer(Choice c) { return c >= max_actors; }
constexpr u32 actor_of(Choice c) { return c % max_actors; }

// What a step did, for whoever reads it.
struct Step {
  Choice choice = 0;
  PendingStep what;
  u64 before = 0, after = 0;
};

class ExploredRun {
 public:
  // Sets the stage.
  explicit ExploredRun(const Scenario& scenario);
  ExploredRun(const ExploredRun&) = delete;
  ExploredRun& operator=(const ExploredRun&) = delete;

  // Back to where the stage is set and nobody has begun.
  void reset();

  u32 actors() const { return static_cast<u32>(actors_.size()); }
  const ActorState& actor(u32 number) const { return actors_[number]->state; }
  const PendingStep& pending(Choice choice) const { return actors_[actor_of(choice)]->state.at; }
  // A bit for each choice that there is.
  u32 choices() const;
  bool done() const { return done_ == actors_.size(); }

  // Goes on with this one, up to its next point, and checks the invariants.
  void step(Choice choice);
  Step last_step() const { return last_; }
  // When nobody can go on: the invariants that hold at the end. The world is of no use afterwards; restore or reset it.
  void check_end();
  const std::string& violated() const { return world_.violated(); }

  // States form a stack: restoring one forgets those saved after it, and keeps it.
  std::size_t saved() const { return saved_.size(); }
  void save();
  void restore();  // the state saved last
  void drop();     // forgets it

  // Equal for states from which the same can happen. Two different states have equal hashes with probability 2^-64.
  u64 hash() const;

  ExploredWorld& world() { return world_; }
  const Scenario& scenario() const { return world_.scenario; }

 private:
  // What must no longer be cached when an operation has returned (I2).
  struct Promise {
    struct Page {
      u64 page;
      PhysAddr frame;
    };
    std::array<Page, max_hardware_pages> pages{};
    u32 count = 0;
    bool read_only = false;  // else: gone
  };
  struct Body {
    ExploredRun* run;
    u32 number;
  };
  struct Saved {
    ExploredWorld::Saved world;
    std::size_t where = 0;
    std::array<ActorState, max_actors> states;
    std::array<Fiber::Saved, max_actors> fibers;
    u32 done = 0;
  };

  void set_stage();
  static void run_body(void* body);
  void perform(u32 number);
  Promise promise_of(const Act& act, Actor& actor);
  bool somebody_allows_writing() const;
  void check(const Promise& promise);
  void check(const Promise& promise, const Hardware& core);

  ExploredWorld world_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::vector<Body> bodies_;
  std::vector<Saved> saved_;
  std::vector<std::byte> buffer_;
  u32 done_ = 0;
  Step last_;
};

}  // namespace morsel::sim
