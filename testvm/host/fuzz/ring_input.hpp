// SPDX-License-Identifier: GPL-2.0-or-later
//
// A hostile guest made of bytes: it writes into its rings and its tables, moves the cursors, and is read in between,
// as a session reads it: by JournalReader, Recorder, History, Promises, verify.
#pragma once
#include <cstdint>
#include <span>

#include "engine/base/types.hpp"

namespace morsel::testvm {

struct RingRun {
  u64 records = 0, lost = 0, garbage = 0;  // of the journal
  u64 changes = 0;                         // of the history
};

// What one step of the input does.
enum class RingStep : std::uint8_t {
  bytes,    // into the rings, anywhere: an offset (2 bytes), a byte
  record,   // a well-formed one behind the last: CPU, point, tree, level, flags, kind of actor and fault (1 byte each),
            // actor, offset in pages, words before and after (1, 2, 4 and 4 bytes)
  cursor,   // a ring's counter: CPU, by how much it moves (1 byte each)
  word,     // into the tables: which (2 bytes), the word (4 bytes)
  sequence, // the next record's number goes on by so much (1 byte)
  look,     // the host reads
  view,     // the object has or has not its view, from now on
};
inline constexpr unsigned ring_steps = 7;

// The first byte chooses the view's format; aborts if what must hold does not.
RingRun run_ring_input(std::span<const std::uint8_t> input);

}  // namespace morsel::testvm
