// SPDX-License-Identifier: GPL-2.0-or-later
//
// What happened, in order: events with consecutive numbers from 1, of which the latest are kept. A reader has a cursor,
// the number of the last event that it knows, and so learns which ones it missed.
//
// Thread safety: one thread at a time.
#pragma once
#include <chrono>
#include <deque>
#include <optional>
#include <string>

#include "engine/base/types.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

class EventLog {
 public:
  using Clock = std::chrono::system_clock;

  // `counter` is the name of the member that holds an event's number.
  explicit EventLog(std::size_t capacity, std::string_view counter = "number") : capacity_(capacity), counter_(counter)
  {
  }

  // {"event":NAME,"number":…,"timestamp":{"seconds":…,"microseconds":…},"data":…}
  void add(std::string_view name, Json data, Clock::time_point when);

  // The events up to this number are not known, and nothing before them is kept: the next one has the number behind it.
  void skip_to(u64 last);
  // There have been none behind this number.
  void cut(u64 last);

  u64 last() const { return last_; }  // the number of the latest event; 0: none yet
  // The numbers after `cursor` that are no longer kept.
  std::optional<Range> missed(u64 cursor) const;
  // The first kept event after `cursor`; null if there is none.
  const Json* after(u64 cursor) const;
  u64 first_kept() const { return last_ - events_.size() + 1; }
  // {"events":[…],"cursor":…,"last":…}, at most so many; "missed" if some are no longer kept.
  Json facts_after(u64 cursor, u64 limit) const;
  // The event in place of those: {"event":"MISSED","data":{"from":…,"to":…,"of":COUNTER}}, both included.
  Json missed_event(Range numbers, Clock::time_point when) const;

 private:
  std::size_t capacity_;
  std::string counter_;
  std::deque<Json> events_;
  u64 last_ = 0;
};

// A target's event in the protocol's words: STOP, RESUME, OBJECT_CHANGED, FAULT_FIRED, PROGRAM_ENDED, TARGET_LOST,
// COMMAND_FINISHED.
std::string_view event_name(Event::Kind kind);
Json event_data(const Event& event);

}  // namespace morsel::session
