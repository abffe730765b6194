// SPDX-License-Identifier: GPL-2.0-or-later
//
// Stepping: whoever reaches points (an actor) waits before each of them until it is let go on. The embedded machine and
// the kernel module behave alike.
//
// Closed gate: every actor waits at its next point, before the access is done. A request to the target (populate,
// access, ...) is then an actor of its own: its call returns when the operation is over, so it is made by a thread that
// may wait (engine/session/tasks.hpp). What looks (memory(), objects(), actors()) is never gated.
//
// Thread safety: any thread may call anything here, also while requests wait. Listeners (Target::listen) hear `stopped`
// and `resumed`.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine/abi/morsel_journal.h"
#include "engine/platform/platform.hpp"
#include "engine/session/failure.hpp"

namespace morsel::session {

using Milliseconds = std::chrono::milliseconds;

enum class ActorWaits : u8 {
  nowhere,      // it runs; between two points
  at_point,     // `next` is what it will do
  for_grace,    // for a grace period: for the actors in `waits_for`
  finished,     // its operation has returned; told once by whoever let it go
};

// An access that is about to be done. Words of entries as they stand now, and as they will.
struct NextAccess {
  SyncPoint point = SyncPoint::enter;
  TreeId tree = primary_tree;
  Level level = 0;
  u64 offset = 0;      // bytes from the object's start: where the entry's span begins
  u64 word = 0;        // what stands in the entry or counter now
  u64 desired = 0;     // what will stand there if the access succeeds; `word` for reads
};

struct ActorState {
  u32 id = 0;  // as in the journal: a thread id in the VM, an ordinal in the embedded machine
  morsel_actor_kind kind = MORSEL_ACTOR_NONE;
  std::string who;     // for people: "unmap 0..0x200000 of buffer", "guest-toucher (pid 71)"
  std::string object;  // its name
  ActorWaits waits = ActorWaits::nowhere;
  NextAccess next;               // at_point
  std::vector<u32> waits_for;    // for_grace: ids
  std::optional<u32> pid, cpu;   // the VM only, of who has come to a point; as are the next two
  u64 instruction_pointer = 0;   // of the user's instruction that faulted; 0: none
  u64 fault_address = 0;
};

// Where `until` stops: an actor that is about to do this.
struct StopCondition {
  SyncPoint point = SyncPoint::enter;
  std::optional<u32> actor{};
  std::optional<std::string> object{};
  std::optional<TreeId> tree{};
  std::optional<Range> range{};  // the entry's span touches it
  u64 nth = 1;
};

// How `until` ended: somebody met the condition, or all have finished; or neither, as the gate was closed or opened
// before.
struct UntilReply {
  std::optional<ActorState> met{};
  bool finished = false;
  std::vector<std::string> programs{};  // neither: those of the guest that still run (the VM only)
};

class Stepping {
 public:
  virtual ~Stepping() = default;

  virtual bool stopped() const = 0;  // the gate is closed
  // Closes the gate; returns when nobody who has begun runs any more (each waits), or the limit is over (Failure).
  virtual void stop(Milliseconds limit) = 0;
  // Opens it: all go on.
  virtual void run() = 0;
  // Everybody known, waiting or not, ascending by id. Finished ones are not listed.
  virtual std::vector<ActorState> actors() = 0;
  // Lets one actor do the access it waits at. Returns where it is then: at its next point, waiting for a grace period,
  // or finished. Failure if there is no such actor, if it waits for others, or if the limit is over.
  virtual ActorState step(u32 actor, Milliseconds limit) = 0;
  // Lets all go on until one meets the condition, and closes the gate. Programs that this session has started are
  // waited for as well: they may come to a point again.
  virtual UntilReply until(const StopCondition& condition, Milliseconds limit) = 0;
};

}  // namespace morsel::session
