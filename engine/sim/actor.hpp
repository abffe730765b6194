// SPDX-License-Identifier: GPL-2.0-or-later
//
// An actor under exploration: a fiber that pauses before every shared access and says which.
#pragma once
#include "engine/platform/platform.hpp"
#include "engine/sim/fiber.hpp"
#include "engine/sim/mix.hpp"

namespace morsel::sim {

// What the actor does when it is let go on.
enum class Access : u8 {
  begin,             // its act begins
  load,              // an entry
  exchange,          // ...
  compare_exchange,  // ...
  add,               // to a counter
  read,              // a counter, or a word or pointer that is no entry
  store,             // a word or pointer that is no entry
  begin_flush,
  end_flush,
  carry,
  take_dirty,
  copy,
  enter,
  leave,
  retire,
  begin_wait,  // for a grace period
  end_wait,
  hardware_write,  // by a walker
  hardware_read,   // ...
  attach,          // hardware's root pointer comes or goes
  look,            // around, for a check that is not the engine's
  finish,          // its act has returned
};

struct PendingStep {
  Access access = Access::begin;
  SyncPoint point = SyncPoint::enter;
  EntryRef entry{};             // of an entry; else the tree and offset that it is about
  u64 expected = 0;             // compare_exchange
  u64 desired = 0;              // exchange, compare_exchange
  const void* where = nullptr;  // of what is no entry
  u32 list = 0;                 // retire: what
};

// All of it but the fiber is copied as it is when a state is saved.
struct ActorState {
  PendingStep at;
  u64 history = 0;  // hash of all that it has observed: decides what stands on its stack
  u32 steps = 0;
  bool done = false;
  u64 before = 0, after = 0;  // of the last access, for whoever reads the trace
};

class Actor {
 public:
  ActorState state;
  Fiber fiber;

  void pause(const PendingStep& next)
  {
    state.at = next;
    fiber.pause();
  }
  // A value from outside: what the actor does next depends on it.
  void observe(u64 value) { state.history = mix(state.history, value); }
};

}  // namespace morsel::sim
