// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/target_json.hpp"

#include <gtest/gtest.h>

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

Json good_object()
{
  return Json::parse(R"({"name":"o","id":3,"bytes":67108864,"root_pa":4096,"root_level":1,"attached":1,"tables":5,
    "frames":9,"views":[{"view":1,"format":"ept","root_pa":8192,"root_level":1,"attached":0}]})");
}

template <class F>
void expect_refused(F&& read, const Json& json)
{
  try {
    read(json);
    ADD_FAILURE() << "taken: " << json.dump();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::target_lost) << json.dump();
  }
}

TEST(AgentReplies, DescribeObjects)
{
  const session::ObjectState object = object_from_json(good_object());
  EXPECT_EQ(object.name, "o");
  EXPECT_EQ(object.bytes, 64u << 20);
  EXPECT_EQ(object.root, PhysAddr{4096});
  ASSERT_EQ(object.views.size(), 1u);
  EXPECT_EQ(object.views[0].format, FormatId::ept);
  EXPECT_EQ(object.views[0].root, PhysAddr{8192});
}

// Each member in turn is missing, and of every other type.
TEST(AgentReplies, AreRefusedWithMembersOfOtherTypes)
{
  const Json others[] = {Json(), Json(-1), Json(1.5), Json("text"), Json::array({1}), Json::object(), Json(true)};
  const Json good = good_object();
  for (const auto& [key, value] : good.items()) {
    Json without = good_object();
    without.erase(key);
    expect_refused(object_from_json, without);
    for (const Json& other : others) {
      if (other.type() == value.type() && !other.is_array()) continue;
      Json changed = good_object();
      changed[key] = other;
      expect_refused(object_from_json, changed);
    }
  }
  for (const Json& other : others) expect_refused(object_from_json, other);
}

TEST(AgentReplies, AreRefusedWithNumbersOutOfRange)
{
  for (const char* change : {R"({"id":4294967296})", R"({"root_level":5})", R"({"root_level":300})",
                             R"({"views":[{"view":70000,"format":"ept","root_pa":1,"root_level":1,"attached":0}]})",
                             R"({"views":[{"view":1,"format":"nonsense","root_pa":1,"root_level":1,"attached":0}]})"}) {
    Json object = good_object();
    object.merge_patch(Json::parse(change));
    expect_refused(object_from_json, object);
  }
  Json crowded = good_object();
  for (int i = 0; i < 100; ++i) crowded["views"].push_back(crowded["views"][0]);
  expect_refused(object_from_json, crowded);
}

TEST(AgentReplies, TellRunsInsideTheRangeAskedFor)
{
  constexpr Range asked{0x1000, 0x9000};
  const auto runs = runs_from_json(Json::parse(R"({"runs":[[4096,8192,3],[8192,36864]]})"), "runs", asked);
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].rights, rights_rw);
  EXPECT_EQ(runs[1].range.end, 0x9000u);
  const auto read = [&](const Json& json) { return runs_from_json(json, "runs", asked); };
  for (const char* bad : {R"({})", R"([])", R"({"runs":7})", R"({"runs":[7]})", R"({"runs":[[4096]]})",
                          R"({"runs":[[4096,8192,3,4]]})", R"({"runs":[["a",8192]]})", R"({"runs":[[-4096,8192]]})",
                          R"({"runs":[[0,8192]]})", R"({"runs":[[4096,40960]]})", R"({"runs":[[8192,8192]]})",
                          R"({"runs":[[4097,8192]]})", R"({"runs":[[4096,8192,8]]})"})
    expect_refused(read, Json::parse(bad));
  const auto next = [&](const Json& json) { return next_from_json(json, asked); };
  EXPECT_EQ(next(Json::parse(R"({"next":36864})")), 0x9000u);
  for (const char* bad : {R"({})", R"({"next":4096})", R"({"next":40960})", R"({"next":"x"})"})
    expect_refused(next, Json::parse(bad));
}

TEST(AgentReplies, NameOutcomesOfAccesses)
{
  const auto reply = access_from_json(Json::parse(R"({"result":"filled","walker":"engine","value":77})"));
  EXPECT_EQ(reply.outcome, session::AccessOutcome::filled);
  EXPECT_EQ(reply.value, 77u);
  EXPECT_NE(reply.walker.find("engine"), std::string::npos);
  EXPECT_EQ(access_from_json(Json::parse(R"({"result":"hit","walker":"svm","value":1})")).walker,
            "AMD-V nested paging");
  EXPECT_EQ(access_from_json(Json::parse(R"({"result":"hit","walker":"engine","value":1,"why":"it is used"})")).walker,
            "the engine's walker in the module; no virtual CPU: it is used");
  EXPECT_EQ(access_from_json(Json::parse(R"({"result":"hit","walker":"vtd","value":1})")).walker,
            "Intel VT-d, for a DMA of the edu device");
  EXPECT_EQ(
      access_from_json(Json::parse(R"({"result":"hit","walker":"engine","value":1,"why_no_device":"it is not there"})"))
          .walker,
      "the engine's walker in the module; no device behind an IOMMU: it is not there");
  expect_refused(access_from_json, Json::parse(R"({"result":"hit","walker":"engine","value":1,"why":7})"));
  expect_refused(access_from_json, Json::parse(R"({"result":"perhaps","walker":"engine","value":77})"));
  expect_refused(access_from_json, Json::parse(R"({"result":"hit","walker":"ghost","value":77})"));
}

TEST(AgentReplies, SayHowAProgramEnded)
{
  const auto by_exit = program_from_json(Json::parse(R"({"exit_status":7,"stdout":"a","stderr":"b"})"));
  EXPECT_EQ(by_exit.exit_status, 7);
  EXPECT_EQ(by_exit.output, "a");
  EXPECT_EQ(by_exit.errors, "b");
  const auto by_signal = program_from_json(Json::parse(R"({"signal":11})"));
  EXPECT_EQ(by_signal.signal, 11);
  EXPECT_FALSE(by_signal.exit_status);
  expect_refused(program_from_json, Json::object());
  expect_refused(program_from_json, Json{{"exit_status", 256}});
}

TEST(AgentReplies, ListRulesOfInjection)
{
  const session::InjectRule rule{.number = 1,
                                 .point = SyncPoint::invalidate,
                                 .action = MORSEL_FAULT_DELAY,
                                 .tree = TreeId{2},
                                 .times = 3,
                                 .range = Range{4096, 8192},
                                 .actor = 77,
                                 .probability = 50,
                                 .seed = 5,
                                 .until = SyncPoint::flush};
  Json sent = json_of_rule(rule);
  sent["rule"] = 1u;
  sent["fired"] = 2u;
  const auto rules = rules_from_json(Json{{"rules", Json::array({sent})}});
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0].fired, 2u);
  EXPECT_EQ(rules[0].action, MORSEL_FAULT_DELAY);
  EXPECT_EQ(json_of_rule(rules[0]), json_of_rule(rule));
  expect_refused(rules_from_json, Json::parse(R"({"rules":[{"rule":1,"point":"nowhere"}]})"));
}

TEST(AgentEvents, AreToldInTheSessionsWords)
{
  const auto changed = event_from_json(Json::parse(R"({"event":"OBJECT_CHANGED","data":{"name":"o"}})"));
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->kind, session::Event::Kind::object_changed);
  EXPECT_EQ(changed->object, "o");
  EXPECT_FALSE(event_from_json(Json::parse(R"({"event":"SOMETHING"})")));
  EXPECT_TRUE(event_from_json(Json::parse(R"({"event":"OBJECT_CHANGED","data":[]})")));
}

TEST(Rights, AreLetters)
{
  EXPECT_EQ(rights_word(right_read), "r");
  EXPECT_EQ(rights_word(rights_rw), "rw");
  EXPECT_EQ(rights_word(rights_all), "rwx");
}

}  // namespace
}  // namespace morsel::testvm
