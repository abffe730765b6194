// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a step reads and writes, so that steps which commute are known: two steps are independent if neither writes a
// place that the other reads or writes. Then either order leads to the same state, and the checks that are made after
// each give the same verdicts.
//
// Hardware and the invariants are part of a step: after each, walkers cache what they can, what nobody waits for any
// more is freed, and the invariants are checked. So besides the word that it names, a step touches:
//
//   cache(tree)   what walkers hold. Written by changes of an entry that hardware takes for present before or after
//                 (reservations and holes are the same to it), by both moments of a flush, by attaching; read where an
//                 invariant looks into it. Eager caching is a function of the order of these steps alone.
//   truth         what the primary maps: written by every change of the primary, read by the checks of I1 and I2
//   flight        the number of mutators in flight: I1 is checked when it is zero. A mutator's own steps cannot be
//                 judged by I1, so they read neither flight nor truth for it
//   page(table)   that the table is not freed: read by every access to its words, written by what frees it. An access
//                 inside a section reads it only where something waits for a grace period that does not include it:
//                 as long as the actor stands there, nothing else can be freed, whatever others do
//   inside, batches, waits, frames, copies: grace periods, the frames' states, copies of moving frames
//
// What an actor frees of its own that nobody has seen, a table that lost its compare-and-swap, touches nothing.
// A step that frees tables, a walker's write and a delayed store count as touching everything before they are done.
#pragma once
#include <array>

#include "engine/sim/explored_run.hpp"

namespace morsel::sim {

using Place = u64;

struct Footprint {
  std::array<Place, 28> reads, writes;
  u32 read_count = 0, write_count = 0;
  bool unknown = false;     // what else it touches is known only when it is done
  bool everything = false;  // it is taken for touching everything

  void read(Place place) { add(reads, read_count, place); }
  void write(Place place) { add(writes, write_count, place); }

 private:
  void add(std::array<Place, 28>& places, u32& count, Place place)
  {
    if (count == places.size())
      everything = true;
    else
      places[count++] = place;
  }
};

bool dependent(const Footprint& a, const Footprint& b);

// Of the step that `choice` would be, in the run's state.
Footprint predict(ExploredRun& run, Choice choice);

// The same once the step is done.
void complete(ExploredRun& run, Footprint& predicted);

}  // namespace morsel::sim
