// SPDX-License-Identifier: GPL-2.0-or-later
//
// POINT events: records of the journal, told to those who ask.
#include "engine/session/server/tests/door.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::session {
namespace {

// Each look at its journal finds so many records more.
class RecordingTarget : public ForwardingTarget, public JournalSource {
 public:
  explicit RecordingTarget(u64 at_once) : ForwardingTarget(sim::make_embedded_target()), at_once_(at_once) {}
  JournalSource* journal() override { return this; }
  void listen(std::function<void(const Event&)>) override {}

  void record(bool on) override { on_ = on; }
  bool recording() const override { return on_; }
  JournalRead read() override
  {
    JournalRead read;
    for (u64 n = 0; on_ && n < at_once_; ++n) {
      morsel_journal_record r{};
      r.sequence = ++sequence_;
      r.point = MORSEL_POINT_enter;
      r.actor_kind = MORSEL_ACTOR_CALLER;
      read.records.push_back(r);
    }
    return read;
  }

 private:
  u64 at_once_, sequence_ = 0;
  bool on_ = false;
};

TEST_F(Door, RecordsOfTheJournalAreToldToThoseWhoAsk)
{
  open(std::make_unique<RecordingTarget>(3));
  RawClient curious = client(), other = client();
  EXPECT_EQ(other.ask(R"({"execute":"journal-on"})")["return"]["status"], 0);
  other.ask(R"({"execute":"subscribe"})");
  EXPECT_TRUE(curious.ask(R"({"execute":"subscribe","arguments":{"points":1}})").contains("error"));
  curious.ask(R"({"execute":"subscribe","arguments":{"points":true}})");
  // Nobody asks for anything any more: the server itself looks into the journal.
  u64 last = 0;
  for (int n = 0; n < 20; ++n) {
    const Json event = *curious.next();
    ASSERT_EQ(event["event"], "POINT") << event;
    EXPECT_FALSE(event.contains("number"));
    EXPECT_EQ(event["data"]["point"], "enter");
    EXPECT_TRUE(last == 0 || event["sequence"] == last + 1) << event;
    last = event["sequence"].get<u64>();
  }
  EXPECT_TRUE(curious.ask(R"({"execute":"unsubscribe"})").contains("return"));
  other.send("{\"execute\":\"query-session\"}\n");
  EXPECT_TRUE(other.next()->contains("return"));  // and no point
}

TEST_F(Door, MoreRecordsThanAreKeptAreToldAsMissed)
{
  ServerLimits limits;
  limits.points = 4;
  open(std::make_unique<RecordingTarget>(10), limits);
  RawClient c = client();
  c.ask(R"({"execute":"subscribe","arguments":{"points":true}})");
  c.ask(R"({"execute":"journal-on"})");
  Json event = *c.next();
  while (event["event"] == "POINT") event = *c.next();
  EXPECT_EQ(event["event"], "MISSED") << event;
  EXPECT_EQ(event["data"]["of"], "sequence");
  EXPECT_EQ((*c.next())["sequence"], event["data"]["to"].get<u64>() + 1);
}

// All that it records is found when recording has been switched off.
class EndingTarget : public RecordingTarget {
 public:
  EndingTarget() : RecordingTarget(3) {}
  void record(bool on) override
  {
    const bool was_on = std::exchange(was_on_, on);
    ended_ = was_on && !on;
  }
  bool recording() const override { return was_on_; }
  JournalRead read() override
  {
    if (!std::exchange(ended_, false)) return {};
    RecordingTarget::record(true);
    return RecordingTarget::read();
  }

 private:
  bool was_on_ = false, ended_ = false;
};

using Points = Door;

Json line(RawClient& c, const std::string& text)
{
  return c.ask(R"({"execute":"command-line","arguments":{"line":")" + text + "\"}}")["return"];
}

// The sequences of the POINTs until the last record of the journal; what else is told goes to `others`.
std::vector<u64> points_until_now(RawClient& reader, RawClient& other, std::vector<Json>& others)
{
  std::vector<u64> sequences;
  const u64 last = line(other, "journal status")["facts"]["last"].get<u64>();
  while (sequences.empty() || sequences.back() != last) {
    const Json event = *reader.next();
    if (event["event"] == "POINT")
      sequences.push_back(event["sequence"].get<u64>());
    else
      others.push_back(event);
  }
  return sequences;
}

bool are_consecutive_from(const std::vector<u64>& sequences, u64 first)
{
  for (std::size_t i = 0; i < sequences.size(); ++i)
    if (sequences[i] != first + i) return false;
  return !sequences.empty();
}

TEST_F(Points, ANewRecordingIsNoLoss)
{
  open(sim::make_embedded_target());
  RawClient reader = client(), other = client();
  reader.ask(R"({"execute":"subscribe","arguments":{"points":true}})");
  std::vector<Json> others;
  for (const char* text : {"object create a 4M", "journal on", "object populate a 0"}) line(other, text);
  const std::vector<u64> first = points_until_now(reader, other, others);
  EXPECT_TRUE(are_consecutive_from(first, 1));
  for (const char* text : {"journal on", "stop", "run", "object populate a 4K"}) line(other, text);
  EXPECT_TRUE(are_consecutive_from(points_until_now(reader, other, others), first.back() + 1));
  for (const Json& event : others) EXPECT_NE(event["event"], "MISSED") << event;
}

// What the end of a recording finds is told, too.
TEST_F(Points, TheLastRecordsOfARecordingAreTold)
{
  open(std::make_unique<EndingTarget>());
  RawClient reader = client(), other = client();
  reader.ask(R"({"execute":"subscribe","arguments":{"points":true}})");
  for (const char* text : {"journal on", "journal off"}) line(other, text);
  std::vector<Json> others;
  EXPECT_EQ(points_until_now(reader, other, others), (std::vector<u64>{1, 2, 3}));
}

TEST_F(Points, WhoCameBackHasTheRecordsBehindItsCursor)
{
  open(sim::make_embedded_target());
  RawClient other = client();
  std::vector<Json> others;
  u64 seen = 0;
  for (const char* text : {"object create a 4M", "journal on"}) line(other, text);
  {
    RawClient reader = client();
    const Json reply = reader.ask(R"({"execute":"subscribe","arguments":{"points":true}})")["return"];
    EXPECT_EQ(reply["points_cursor"], 0);
    line(other, "object populate a 0");
    seen = points_until_now(reader, other, others).back();
  }
  line(other, "object populate a 4K");
  RawClient again = client();
  const std::string since =
      R"({"execute":"subscribe","arguments":{"points":true,"points_since":)" + std::to_string(seen);
  EXPECT_TRUE(again.ask(since + "}}").contains("error")) << "the event's number is missing";
  EXPECT_EQ(again.ask(since + R"(,"since":0}})")["return"]["points_cursor"], seen);
  EXPECT_TRUE(are_consecutive_from(points_until_now(again, other, others), seen + 1));
  EXPECT_TRUE(again.ask(R"({"execute":"subscribe","arguments":{"points":true,"points_since":99999,"since":0}})")
                  .contains("error"));
}

TEST_F(Points, WhoComesBackTooLateIsToldWhatItMissed)
{
  ServerLimits limits;
  limits.points = 8;
  open(sim::make_embedded_target(), limits);
  RawClient other = client();
  for (const char* text : {"object create a 4M", "journal on"}) line(other, text);
  other.ask(R"({"execute":"subscribe","arguments":{"points":true}})");
  other.ask(R"({"execute":"unsubscribe"})");
  line(other, "object populate a 0..64K");
  const u64 last = line(other, "journal status")["facts"]["last"].get<u64>();
  RawClient late = client();
  late.ask(R"({"execute":"subscribe","arguments":{"points":true,"points_since":1,"since":0}})");
  Json event = *late.next();
  while (event["event"] != "MISSED") event = *late.next();
  EXPECT_EQ(event["data"], (Json{{"from", 2}, {"to", last - 8}, {"of", "sequence"}}));
  EXPECT_EQ((*late.next())["sequence"], last - 7);
}

// The branch forgets what came behind its beginning: whoever knew it learns from where on.
TEST_F(Points, ABranchIsToldToThoseWhoAreThereAndToThoseWhoComeBack)
{
  open(sim::make_embedded_target());
  RawClient reader = client(), other = client();
  std::vector<Json> others;
  for (const char* text : {"object create a 4M", "journal on"}) line(other, text);
  reader.ask(R"({"execute":"subscribe","arguments":{"points":true}})");
  line(other, "object populate a 0..16K");
  const u64 seen = points_until_now(reader, other, others).back();
  const u64 event = other.ask(R"({"execute":"query-session"})")["return"]["event"].get<u64>();
  for (const char* text : {"goto 5", "branch", "run", "object unmap a 0"}) line(other, text);
  others.clear();
  EXPECT_TRUE(are_consecutive_from(points_until_now(reader, other, others), 6));
  const auto restarted = [](const std::vector<Json>& list) {
    std::vector<Json> data;
    for (const Json& e : list)
      if (e["event"] == "JOURNAL_RESTARTED") data.push_back(e["data"]);
    return data;
  };
  EXPECT_EQ(restarted(others), (std::vector<Json>{{{"from", 6}}}));
  for (const Json& e : others) EXPECT_NE(e["event"], "MISSED") << e;

  RawClient back = client();
  const Json reply = back.ask(R"({"execute":"subscribe","arguments":{"points":true,"points_since":)" +
                              std::to_string(seen) + ",\"since\":" + std::to_string(event) + "}}")["return"];
  EXPECT_EQ(reply["points_cursor"], 5);
  others.clear();
  EXPECT_TRUE(are_consecutive_from(points_until_now(back, other, others), 6));
  EXPECT_EQ(restarted(others), (std::vector<Json>{{{"from", 6}}}));
}

}  // namespace
}  // namespace morsel::session
