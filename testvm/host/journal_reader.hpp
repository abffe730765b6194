// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reads the module's rings (engine/abi/morsel_journal.h) in the guest's memory, and merges them by sequence. The guest
// goes on writing meanwhile, and is hostile: whatever stands there is checked, counted if it is no record, and never
// believed. One thread.
//
// A record is given out when all earlier ones are known or lost. Records are written in the order of their sequences,
// one at a time for all CPUs: so once a record was seen, a second look at the rings finds every earlier one that is
// still there.
#pragma once
#include <deque>
#include <vector>

#include "engine/inspect/physical_memory.hpp"
#include "engine/session/journal_source.hpp"

namespace morsel::testvm {

struct JournalRings {
  std::vector<PhysAddr> rings;  // by CPU
  u32 capacity_lg2 = 0;
  u64 next_sequence = 1;  // of the first record in them
};

class JournalReader {
 public:
  // `memory` outlives it. Rings that are not in memory, or are no rings, count as garbage at each reading.
  JournalReader(const inspect::PhysicalMemory& memory, const JournalRings& rings);

  session::JournalRead read();

 private:
  struct Ring {
    PhysAddr at;
    u32 cpu = 0;
    u64 taken = 0;  // records read or given up
    std::deque<morsel_journal_record> waiting;
  };
  // All that was written since, as far as it is still there.
  void fetch_all(session::JournalRead& result);
  void fetch(Ring& ring, session::JournalRead& result);
  const u64* header(const Ring& ring) const;
  u64 count_written() const;
  bool is_possible(u64 sequence) const;
  u64 highest_sequence() const;
  Ring* lowest(session::JournalRead& result);

  const inspect::PhysicalMemory& memory_;
  const u64 capacity_;
  const u64 first_sequence_;
  u64 last_sequence_;       // given out
  u64 written_ = 0;         // on all CPUs: no sequence can be higher than that allows
  bool restarted_ = false;  // a ring began again: nothing is known about sequences any more
  std::vector<Ring> rings_;
};

}  // namespace morsel::testvm
