// SPDX-License-Identifier: GPL-2.0-or-later
//
// The journal: the records that were read from a target, in order, as many as there is room for. What is missing is
// counted and its place known: records lost before they were read, slots that held no record, and old records that were
// forgotten when there was no more room.
//
// Thread safety: one thread at a time.
#pragma once
#include <span>
#include <vector>

#include "engine/platform/point.hpp"
#include "engine/session/journal_source.hpp"

namespace morsel::session {

using JournalRecord = morsel_journal_record;

// Flags of records that tell a run of exploration (engine/session/explored_chronicle.hpp), and of no others. Not an
// access of the engine's: an act begins (point enter) or returns (leave), a flush or a wait has ended (flush, grace),
// hardware gets its root or loses it (attach, detach), accesses memory (harvest), or somebody looks around (load).
inline constexpr u32 record_aside = 1u << 16;
// A store that its actor has done before becomes visible to the others.
inline constexpr u32 record_seen_late = 1u << 17;
// The fault plan has made another access of it, in a way that no fault_action says.
inline constexpr u32 record_twisted = 1u << 18;

// Records are missing before the record number `before` (counted from the oldest that is kept).
struct JournalGap {
  std::size_t before = 0;
  u64 lost = 0;
};

class Journal {
 public:
  static constexpr std::size_t default_capacity = std::size_t{4} << 20;

  explicit Journal(std::size_t capacity = default_capacity) : capacity_(capacity) {}

  // Appends what is in order; returns it. A record that does not follow the one before it counts as garbage.
  std::span<const JournalRecord> append(const JournalRead& read);
  // Of records that were kept elsewhere: a saved journal.
  void append_gap(JournalGap gap);
  // How many of the oldest must go for what was appended last to fit.
  std::size_t surplus() const { return records_.size() > capacity_ ? records_.size() - capacity_ * 3 / 4 : 0; }
  void forget(std::size_t oldest);
  // Only the first `count` stay. Allocates nothing; who gives them up counts them as lost.
  void give_up_after(std::size_t count);

  std::span<const JournalRecord> records() const { return records_; }
  std::size_t size() const { return records_.size(); }
  // How many records have at most this sequence.
  std::size_t count_until(u64 sequence) const;
  u64 sequence_at(std::size_t count) const;  // of the last of the first `count` records; before them: the one before
  const std::vector<JournalGap>& gaps() const { return gaps_; }
  u64 lost = 0;
  u64 garbage = 0;
  u64 forgotten = 0;

 private:
  std::size_t capacity_;
  std::vector<JournalRecord> records_;
  std::vector<JournalGap> gaps_;
  u64 unplaced_ = 0;  // lost, and not known yet between which records
};

// Whether a record is about an entry of a table (and not about a counter, a list, a frame).
bool is_about_entry(const JournalRecord& record);
// Whether it changed one.
bool is_write(const JournalRecord& record);
// The bytes of the object that the record is about: the entry's span; one page for what is no entry.
Range span_of(const JournalRecord& record);

}  // namespace morsel::session
