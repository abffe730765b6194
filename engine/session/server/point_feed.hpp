// SPDX-License-Identifier: GPL-2.0-or-later
//
// The session's journal as POINT events: what it got since the last look, and the log of it.
#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "engine/session/server/event_log.hpp"
#include "engine/session/session.hpp"

namespace morsel::session {

// What a look into the journal found.
struct PointNews {
  std::vector<std::pair<u64, Json>> records{};  // by sequence, ascending; what is not consecutive is missing
  std::optional<u64> newest{};                  // sequence of the latest record, told or not; nothing: no record
  // The journal counts anew from here: another recording, or a branch that began in the past. What was told of this
  // number and behind it is no more.
  std::optional<u64> restarted{};
};

// Thread safety: the session's thread.
class PointFeed {
 public:
  // At most so many records of one look are told, the latest ones.
  explicit PointFeed(std::size_t most) : most_(most) {}

  // Looks only, unless somebody wants to be told. Also at a recording that is over: its end brings the last records.
  PointNews look(Session& session, bool wanted);

 private:
  std::size_t most_;
  u64 recording_ = 0;  // which one was looked at
  u64 newest_ = 0;
};

// POINT events, numbered by the sequence of their records, of which the latest are kept.
//
// Thread safety: one thread at a time.
class PointLog {
 public:
  explicit PointLog(std::size_t capacity) : log_(capacity, "sequence") {}

  const EventLog& log() const { return log_; }
  void add(PointNews&& news);
  // The journal counts anew, as the event with this number tells.
  void restart(u64 event, u64 from);
  // What a reader knows who has seen the events until number `event` and, when that was the last, the records until
  // `cursor`.
  u64 known(u64 cursor, u64 event) const;

 private:
  struct Restart {
    u64 event, from;
  };
  EventLog log_;
  std::vector<Restart> restarts_;  // ascending in both: a later one to an earlier place stands for those before
};

}  // namespace morsel::session
