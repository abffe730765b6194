// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/event_log.hpp"

#include <algorithm>

namespace morsel::session {

namespace {

Json timestamp(EventLog::Clock::time_point when)
{
  using std::chrono::duration_cast, std::chrono::seconds, std::chrono::microseconds;
  const auto since = when.time_since_epoch();
  const auto whole = duration_cast<seconds>(since);
  return {{"seconds", whole.count()}, {"microseconds", duration_cast<microseconds>(since - whole).count()}};
}

}  // namespace

void EventLog::add(std::string_view name, Json data, Clock::time_point when)
{
  events_.push_back({{"event", name}, {counter_, ++last_}, {"timestamp", timestamp(when)}, {"data", std::move(data)}});
  if (events_.size() > capacity_) events_.pop_front();
}

void EventLog::skip_to(u64 last)
{
  events_.clear();
  last_ = last;
}

void EventLog::cut(u64 last)
{
  for (; last_ > last && !events_.empty(); --last_) events_.pop_back();
  last_ = std::min(last_, last);
}

Json EventLog::missed_event(Range numbers, Clock::time_point when) const
{
  return {{"event", "MISSED"},
          {"timestamp", timestamp(when)},
          {"data", {{"from", numbers.start}, {"to", numbers.end - 1}, {"of", counter_}}}};
}

std::optional<Range> EventLog::missed(u64 cursor) const
{
  if (cursor >= last_ || cursor + 1 >= first_kept()) return {};
  return Range{cursor + 1, first_kept()};
}

const Json* EventLog::after(u64 cursor) const
{
  if (cursor >= last_) return nullptr;
  return &events_[std::max(cursor + 1, first_kept()) - first_kept()];
}

Json EventLog::facts_after(u64 cursor, u64 limit) const
{
  Json facts = Json::object();
  if (const auto lost = missed(cursor)) {
    facts["missed"] = {{"from", lost->start}, {"to", lost->end - 1}};
    cursor = lost->end - 1;
  }
  Json events = Json::array();
  for (const Json* event = after(cursor); event && limit > 0; event = after(cursor), --limit) {
    events.push_back(*event);
    ++cursor;
  }
  facts["events"] = std::move(events);
  facts["cursor"] = cursor;
  facts["last"] = last_;
  return facts;
}

std::string_view event_name(Event::Kind kind)
{
  switch (kind) {
    case Event::Kind::object_changed: return "OBJECT_CHANGED";
    case Event::Kind::program_ended: return "PROGRAM_ENDED";
    case Event::Kind::target_lost: return "TARGET_LOST";
    case Event::Kind::stopped: return "STOP";
    case Event::Kind::resumed: return "RESUME";
    case Event::Kind::fault_fired: return "FAULT_FIRED";
    case Event::Kind::command_finished: return "COMMAND_FINISHED";
  }
  return "EVENT";
}

Json event_data(const Event& event)
{
  Json data = Json::object();
  if (!event.object.empty()) data["object"] = event.object;
  if (!event.text.empty()) data["text"] = event.text;
  if (event.actor != 0) data["actor"] = event.actor;
  if (event.rule != 0) data["rule"] = event.rule;
  return data;
}

}  // namespace morsel::session
