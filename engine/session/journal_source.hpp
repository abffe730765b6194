// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where a target's journal comes from: records of all points of all actors, in the order in which the accesses were
// done. engine/abi/morsel_journal.h says what a record holds.
//
// Thread safety: one thread at a time calls read(); it may be another one than that of the requests.
#pragma once
#include <vector>

#include "engine/abi/morsel_journal.h"
#include "engine/base/types.hpp"

namespace morsel::session {

// What a call of read() found.
struct JournalRead {
  std::vector<morsel_journal_record> records;  // ascending in sequence; consecutive unless `lost`
  u64 lost = 0;      // overwritten before they were read, since the last call
  u64 garbage = 0;   // slots that held no record (a hostile guest), since the last call
};

class JournalSource {
 public:
  virtual ~JournalSource() = default;

  // While it is off, nothing is recorded and points cost what they cost without a journal.
  virtual void record(bool on) = 0;
  virtual bool recording() const = 0;
  // Whether what is not read soon is lost: then somebody has to read along, whatever else is going on.
  virtual bool fills_up() const { return false; }
  // All records that are complete by now and were not read yet. Waits for nothing.
  virtual JournalRead read() = 0;
};

}  // namespace morsel::session
