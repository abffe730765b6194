// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/event_log.hpp"

#include <gtest/gtest.h>

namespace morsel::session {
namespace {

EventLog log_with(int events, std::size_t capacity)
{
  EventLog log(capacity);
  for (int i = 1; i <= events; ++i) log.add("TICK", {{"i", i}}, EventLog::Clock::time_point(std::chrono::seconds(i)));
  return log;
}

TEST(EventLog, NumbersEventsFromOne)
{
  const EventLog log = log_with(3, 10);
  EXPECT_EQ(log.last(), 3u);
  ASSERT_NE(log.after(0), nullptr);
  EXPECT_EQ((*log.after(0))["number"], 1);
  EXPECT_EQ((*log.after(2))["data"]["i"], 3);
  EXPECT_EQ((*log.after(2))["timestamp"], (Json{{"seconds", 3}, {"microseconds", 0}}));
  EXPECT_EQ(log.after(3), nullptr);
  EXPECT_EQ(log.after(99), nullptr);
}

TEST(EventLog, TellsWhichAreNoLongerKept)
{
  const EventLog log = log_with(10, 4);  // 7 to 10
  EXPECT_EQ(log.missed(0), (Range{1, 7}));
  EXPECT_EQ(log.missed(5), (Range{6, 7}));
  EXPECT_FALSE(log.missed(6));
  EXPECT_FALSE(log.missed(10));
  EXPECT_EQ((*log.after(0))["number"], 7);
  EXPECT_EQ((*log.after(7))["number"], 8);
  EXPECT_EQ(log.missed_event({1, 7}, {})["data"], (Json{{"from", 1}, {"to", 6}, {"of", "number"}}));
}

TEST(EventLog, CanLeaveNumbersOutAndTakeThemBack)
{
  EventLog log(4, "sequence");
  log.add("POINT", {}, {});
  log.skip_to(10);
  EXPECT_EQ(log.missed(1), (Range{2, 11}));
  EXPECT_EQ(log.after(10), nullptr);
  log.add("POINT", {}, {});
  EXPECT_EQ((*log.after(10))["sequence"], 11);
  log.add("POINT", {}, {});
  log.cut(11);
  EXPECT_EQ(log.last(), 11u);
  EXPECT_EQ((*log.after(10))["sequence"], 11);
  log.cut(0);
  EXPECT_FALSE(log.missed(0));
  EXPECT_EQ(log.last(), 0u);
}

TEST(EventLog, CallsWhatATargetTellsByTheProtocolsNames)
{
  using Kind = Event::Kind;
  const std::pair<Kind, const char*> names[] = {{Kind::object_changed, "OBJECT_CHANGED"},
                                                {Kind::program_ended, "PROGRAM_ENDED"},
                                                {Kind::target_lost, "TARGET_LOST"},
                                                {Kind::stopped, "STOP"},
                                                {Kind::resumed, "RESUME"},
                                                {Kind::fault_fired, "FAULT_FIRED"},
                                                {Kind::command_finished, "COMMAND_FINISHED"}};
  for (const auto& [kind, name] : names) EXPECT_EQ(event_name(kind), name);
  EXPECT_EQ(event_data({Kind::fault_fired, "a", "drop", 3, 7}),
            (Json{{"object", "a"}, {"text", "drop"}, {"actor", 3}, {"rule", 7}}));
  EXPECT_EQ(event_data({Kind::resumed}), Json::object());
}

TEST(EventLog, IsEmptyAtFirst)
{
  const EventLog log(4);
  EXPECT_EQ(log.last(), 0u);
  EXPECT_EQ(log.after(0), nullptr);
  EXPECT_FALSE(log.missed(0));
}

}  // namespace
}  // namespace morsel::session
