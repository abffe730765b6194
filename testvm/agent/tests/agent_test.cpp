// SPDX-License-Identifier: GPL-2.0-or-later
//
// The agent's protocol about objects, and what it makes of hostile lines.
#include <gtest/gtest.h>

#include <random>

#include "testvm/agent/tests/host.hpp"

namespace morsel::agent {
namespace {

TEST(Agent, GreetsWithTheModulesVersions)
{
  Host host;
  const Json greeting = host.receive_greeting();
  EXPECT_EQ(greeting["agent"], 1);
  EXPECT_EQ(greeting["abi"], MORSEL_ABI_VERSION);
  EXPECT_EQ(greeting["points"], MORSEL_POINT_COUNT);
  EXPECT_EQ(greeting["journal"], MORSEL_JOURNAL_VERSION);
  EXPECT_GT(greeting["memory_bytes"], 0u);
  EXPECT_GT(greeting["cpus"], 0);
  EXPECT_TRUE(greeting["la57"].is_boolean());
  EXPECT_EQ(host.done("greet")["morsel"], greeting);
}

TEST(Agent, GreetsWithAbi0WithoutAModule)
{
  Host host;
  host.done("module-unload");
  EXPECT_EQ(host.done("greet")["morsel"]["abi"], 0);
  EXPECT_EQ(host.refused("counters"), "ENODEV");
  EXPECT_EQ(host.refused("inject-list"), "ENODEV");
  EXPECT_EQ(host.refused("module-load", {{"params", "nonsense=1"}}), "EINVAL");
  EXPECT_EQ(host.done("module-load", {{"params", "granularity=2m"}})["morsel"]["abi"], MORSEL_ABI_VERSION);
}

TEST(Agent, EchoesIdsAsTheyCame)
{
  Host host;
  host.receive_greeting();
  EXPECT_EQ(host.done("echo"), Json::object());
  host.send("{\"execute\":\"greet\",\"id\":\"a text\"}\n");
  EXPECT_EQ(host.receive()["id"], "a text");
  host.send("{\"execute\":\"greet\"}\n");
  EXPECT_FALSE(host.receive().contains("id"));
}

TEST(Agent, MakesAndDescribesObjects)
{
  Host host;
  const Json made = host.done("object-create", {{"name", "a"}, {"bytes", 64 << 20}});
  EXPECT_EQ(made["root_level"], 1) << "the lowest that covers 64 MiB";
  EXPECT_EQ(host.done("object-create", {{"name", "b"}, {"bytes", 4096}, {"root_level", "pud"}})["root_level"], 2);
  EXPECT_EQ(host.done("object-create", {{"name", "c"}, {"bytes", 4096}})["root_level"], 0);
  EXPECT_EQ(host.done("object-info", {{"name", "a"}}), made);
  EXPECT_EQ(host.done("object-list")["objects"].size(), 3u);
  host.done("object-destroy", {{"name", "b"}});
  EXPECT_EQ(host.done("object-list")["objects"].size(), 2u);
  EXPECT_EQ(host.done("counters")["objects"], 2);
  EXPECT_EQ(host.refused("object-info", {{"name", "b"}}), "ENOENT");
}

TEST(Agent, SaysThatAnObjectOfThatNameExists)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});
  const Json error = host.ask("object-create", {{"name", "a"}, {"bytes", 8192}}).at("error");
  EXPECT_EQ(error.at("class"), "EEXIST");
  EXPECT_EQ(error.at("desc"), "there is an object 'a': destroy it first, or choose another name");
}

TEST(Agent, ReportsPagesInPartsThatFitALine)
{
  Host host;
  constexpr std::uint64_t bytes = std::uint64_t{1} << 30;
  host.done("object-create", {{"name", "a"}, {"bytes", bytes}});
  const Json small = host.done("object-harvest", {{"name", "a"}, {"start", 4096}, {"end", 5 * 4096}});
  EXPECT_EQ(small["accessed"], Json::parse("[[4096,20480]]"));
  EXPECT_EQ(small["dirty"], Json::parse("[[4096,8192],[12288,16384]]"));
  EXPECT_EQ(small["next"], 5 * 4096);
  std::size_t runs = 0, parts = 0;
  for (std::uint64_t at = 0; at < bytes; ++parts) {
    const Json part = host.done("object-harvest", {{"name", "a"}, {"start", at}, {"end", bytes}});
    runs += part["dirty"].size();
    ASSERT_GT(part["next"].get<std::uint64_t>(), at);
    at = part["next"].get<std::uint64_t>();
  }
  EXPECT_EQ(runs, bytes / 8192);
  EXPECT_GT(parts, 1u);
  const Json ranges = host.done("object-ranges", {{"name", "a"}, {"start", 0}, {"end", bytes}});
  EXPECT_EQ(ranges["runs"].size(), std::size_t{MORSEL_RANGES_ROOM});
  EXPECT_EQ(ranges["runs"][1], Json::parse("[8192,12288,3]"));
  EXPECT_EQ(ranges["next"], 8192 * MORSEL_RANGES_ROOM);
  EXPECT_EQ(host.refused("object-harvest", {{"name", "a"}, {"start", 4096}, {"end", 4096}}), "EINVAL");
  EXPECT_EQ(host.refused("object-harvest", {{"name", "a"}, {"start", 8192}, {"end", 4096}}), "EINVAL");
  EXPECT_EQ(host.refused("object-ranges", {{"name", "a"}, {"start", 0}, {"end", bytes + 4096}}), "EINVAL");
}

TEST(Agent, PassesOnWhatChangesLeavesAndFrames)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 4 << 20}});
  EXPECT_EQ(host.done("object-migrate", {{"name", "a"}, {"start", 0}, {"end", 8192}})["changed_pages"], 2);
  host.done("object-split", {{"name", "a"}, {"start", 0}, {"end", 2 << 20}});
  EXPECT_EQ(host.refused("object-merge", {{"name", "a"}, {"start", 0}, {"end", 2 << 20}}), "EBUSY");
  EXPECT_EQ(host.refused("object-migrate", {{"name", "a"}, {"start", 1}, {"end", 8192}}), "EINVAL");
}

TEST(Agent, ListsMoreObjectsThanItsFirstBufferHolds)
{
  Host host;
  for (int i = 0; i < 200; ++i)
    host.done("object-create", {{"name", std::string(50, 'n') + std::to_string(i)}, {"bytes", 4096}});
  EXPECT_EQ(host.done("object-list")["objects"].size(), 200u);
}

TEST(Agent, SaysAfterTheReplyThatAnObjectChanged)
{
  Host host;
  host.receive_greeting();
  host.send(R"({"execute":"object-create","arguments":{"name":"a","bytes":8192},"id":1})"
            "\n");
  EXPECT_TRUE(host.receive().contains("return"));
  EXPECT_EQ(host.receive(), (Json{{"event", "OBJECT_CHANGED"}, {"data", {{"name", "a"}}}}));
  const Json populated = host.done("object-populate", {{"name", "a"}, {"start", 0}, {"end", 8192}, {"rights", "rw"}});
  EXPECT_EQ(populated["changed_pages"], 2);
  EXPECT_EQ(host.event("OBJECT_CHANGED")["name"], "a");
  EXPECT_EQ(host.done("object-unmap", {{"name", "a"}, {"start", 0}, {"end", 4096}})["changed_pages"], 1);
  EXPECT_EQ(host.event("OBJECT_CHANGED")["name"], "a");
  EXPECT_EQ(host.refused("object-unmap", {{"name", "a"}, {"start", 1}, {"end", 4096}}), "EINVAL");
  host.done("object-info", {{"name", "a"}});
  EXPECT_TRUE(host.events.empty()) << "neither a refusal nor a look changed it";
}

TEST(Agent, SaysThatAnObjectChangedAsFarAsMemoryReached)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 8192}});
  host.event("OBJECT_CHANGED");
  host.module.frames_left = 1;
  EXPECT_EQ(host.refused("object-populate", {{"name", "a"}, {"start", 0}, {"end", 8192}, {"rights", "rw"}}), "ENOMEM");
  EXPECT_EQ(host.event("OBJECT_CHANGED")["name"], "a");
  EXPECT_EQ(host.done("object-info", {{"name", "a"}})["frames"], 1);
}

TEST(Agent, HandlesViewsByFormatName)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});
  const Json view = host.done("view-add", {{"name", "a"}, {"format", "ept"}});
  EXPECT_EQ(view, (Json{{"view", 1}, {"format", "ept"}, {"root_pa", 0xabc000}, {"root_level", 3}, {"attached", 0}}));
  EXPECT_EQ(host.done("object-info", {{"name", "a"}})["views"][0], view);
  EXPECT_EQ(host.refused("view-add", {{"name", "a"}, {"format", "sparc"}}), "EINVAL");
  host.done("view-drop", {{"name", "a"}, {"view", 1}});
  EXPECT_TRUE(host.done("object-info", {{"name", "a"}})["views"].empty());
}

TEST(Agent, TurnsAnAccessIntoTheInterfacesStructure)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 8192}});
  const Json reply = host.done("access", {{"name", "a"},
                                          {"view", 2},
                                          {"offset", 4096},
                                          {"rights", "w"},
                                          {"populate", true},
                                          {"touch", true},
                                          {"value", 77}});
  EXPECT_EQ(reply, (Json{{"result", "filled"}, {"walker", "engine"}, {"value", 0xfeed}}));
  EXPECT_EQ(host.module.last_access.size, sizeof(morsel_access));
  EXPECT_EQ(host.module.last_access.view, 2u);
  EXPECT_EQ(host.module.last_access.offset, 4096u);
  EXPECT_EQ(host.module.last_access.rights, MORSEL_WRITE);
  EXPECT_EQ(host.module.last_access.flags, MORSEL_ACCESS_POPULATE | MORSEL_ACCESS_TOUCH);
  EXPECT_EQ(host.module.last_access.value, 77u);
}

TEST(Agent, SaysWhyNoHardwareWalked)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 8192}});
  const Json access{{"name", "a"}, {"view", 2}, {"offset", 0}, {"rights", "r"}, {"populate", true}, {"touch", true}};
  EXPECT_FALSE(host.done("access", access).contains("why"));  // there is none for the format
  host.module.vcpu_error = EBUSY;
  EXPECT_EQ(host.done("access", access)["why"], "another hypervisor");
  EXPECT_FALSE(host.done("access", access).contains("why_no_device"));
  host.module.device_error = ENOENT;
  EXPECT_EQ(host.done("access", access)["why_no_device"], "no device");
}

TEST(Agent, AnAccessToAHoleThatIsNotToBePopulatedIsDenied)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 8192}});
  const Json reply = host.done("access", {{"name", "a"}, {"view", 2}, {"offset", 0}, {"rights", "r"}});
  EXPECT_EQ(reply["result"], "denied");
}

TEST(Agent, KeepsInjectionRules)
{
  Host host;
  const Json first{{"point", "invalidate"}, {"action", "delay"}, {"view", 1},        {"nth", 3},   {"times", 2},
                   {"interval", 4},         {"probability", 50}, {"seed", 5},        {"bits", 0},  {"actor", 6},
                   {"start", 4096},         {"end", 8192},       {"until", "flush"}, {"name", "a"}};
  EXPECT_EQ(host.refused("inject-add", first), "ENOENT");
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});
  EXPECT_EQ(host.done("inject-add", first)["rule"], 1);
  EXPECT_EQ(host.done("inject-add", {{"point", "alloc"}, {"action", "fail"}})["rule"], 2);
  const Json rules = host.done("inject-list")["rules"];
  ASSERT_EQ(rules.size(), 2u);
  Json expected = first;
  expected["rule"] = 1;
  expected["fired"] = 0;
  EXPECT_EQ(rules[0], expected);
  for (const char* any : {"view", "actor", "start", "end", "until", "name"})
    EXPECT_FALSE(rules[1].contains(any)) << any;
  EXPECT_EQ(rules[1]["probability"], 100);
  host.done("inject-clear");
  EXPECT_TRUE(host.done("inject-list")["rules"].empty());
}

TEST(Agent, TellsWhichRulesHaveFired)
{
  Host host;
  host.done("object-create", {{"name", "o"}, {"bytes", 4096}});
  EXPECT_EQ(host.receive()["event"], "OBJECT_CHANGED");
  host.module.fire(9, 9);  // before anybody was interested
  host.done("inject-add", {{"point", "flush"}, {"action", "drop"}});
  host.module.fire(1, 77);
  host.done("inject-clear");
  const Json event = host.receive();
  EXPECT_EQ(event["event"], "FAULT_FIRED");
  EXPECT_EQ(event["data"], (Json{{"rule", 1}, {"actor", 77}, {"point", "flush"}, {"view", 0}, {"name", "o"}}));
}

TEST(Agent, RefusesArgumentsThatCannotBe)
{
  Host host;
  const Json longest(std::string(MORSEL_NAME_BYTES - 1, 'a')), too_long(std::string(MORSEL_NAME_BYTES, 'a'));
  for (const Json& name : {Json(""), Json("."), Json(".."), Json("a/b"), Json("../etc"), Json("a\nb"),
                           Json(std::string("a\0b", 3)), too_long, Json(1), Json(nullptr), Json::array()})
    EXPECT_EQ(host.refused("object-create", {{"name", name}, {"bytes", 4096}}), "EINVAL") << name;
  host.done("object-create", {{"name", longest}, {"bytes", 4096}});
  for (const Json& bytes : {Json(-1), Json(1.5), Json("4096"), Json(nullptr), Json(true), Json::object()})
    EXPECT_EQ(host.refused("object-create", {{"name", "a"}, {"bytes", bytes}}), "EINVAL") << bytes;
  EXPECT_EQ(host.refused("object-create", {{"name", "a"}}), "EINVAL");
  EXPECT_EQ(host.refused("object-create", {{"name", "a"}, {"bytes", 4096}, {"colour", "red"}}), "EINVAL");
  EXPECT_EQ(host.refused("view-drop", {{"name", longest}, {"view", std::uint64_t{1} << 32}}), "EINVAL");
  for (const char* rights : {"rr", "q", "rwxr", "R"})
    EXPECT_EQ(host.refused("access", {{"name", longest}, {"view", 0}, {"offset", 0}, {"rights", rights}}), "EINVAL");
  EXPECT_EQ(host.refused("dance"), "ENOSYS");
}

TEST(Agent, AnswersEveryBrokenLineAndGoesOn)
{
  Host host;
  host.receive_greeting();
  const std::string deep(100'000, '[');
  for (const std::string& line :
       {std::string("{"), std::string("nonsense"), std::string("[]"), std::string("1"), std::string("{}"),
        std::string(R"({"execute":1})"), std::string(R"({"execute":""})"),
        std::string(R"({"execute":"greet","arguments":[]})"), std::string(R"({"execute":"greet","id":[1]})"),
        std::string(R"({"execute":"greet","id":{}})"), std::string(R"({"execute":"greet","surplus":1})"),
        std::string("\xff\xfe"), std::string("{\"execute\":\"\xc0\x80\"}"), std::string("\0\0", 2), deep}) {
    host.send(line + "\n");
    const Json reply = host.receive();
    ASSERT_TRUE(reply.contains("error")) << line.substr(0, 80) << " -> " << reply.dump();
    EXPECT_EQ(reply["error"]["class"], "EBADMSG") << line.substr(0, 80);
  }
  host.send("\n  \r\n\t\n");
  EXPECT_TRUE(host.done("greet").contains("morsel")) << "empty lines are no requests";
}

TEST(Agent, DropsALineThatIsTooLongAndGoesOn)
{
  Host host;
  host.receive_greeting();
  for (int round = 0; round < 3; ++round) {
    const std::string piece(1 << 20, 'x');
    for (int i = 0; i < 3; ++i) host.send(piece);
    host.send("\n");
    EXPECT_EQ(host.receive()["error"]["class"], "EMSGSIZE");
    EXPECT_TRUE(host.done("greet").contains("morsel"));
  }
}

TEST(Agent, TakesLinesInAnyPieces)
{
  Host host;
  host.receive_greeting();
  for (const char c : std::string("{\"execute\":\"greet\",\"id\":7}\n{\"execute\":\"greet\",\"id\":8}\n"))
    host.send(std::string(1, c));
  EXPECT_EQ(host.receive()["id"], 7);
  EXPECT_EQ(host.receive()["id"], 8);
}

// Requests with random damage: each line gets exactly one reply, and afterwards the agent still serves. The seed is
// printed with a failure.
TEST(Agent, SurvivesRandomDamage)
{
  const auto seed = testing::UnitTest::GetInstance()->random_seed();
  SCOPED_TRACE("--gtest_random_seed=" + std::to_string(seed));
  std::mt19937 random(static_cast<unsigned>(seed));
  const std::vector<std::string> good = {
      R"({"execute":"object-create","arguments":{"name":"a","bytes":4096},"id":1})",
      R"({"execute":"object-populate","arguments":{"name":"a","start":0,"end":4096,"rights":"rw"},"id":2})",
      R"({"execute":"access","arguments":{"name":"a","view":1,"offset":0,"rights":"r","touch":true},"id":3})",
      R"({"execute":"inject-add","arguments":{"point":"flush","action":"drop","nth":1,"times":2},"id":4})",
      R"({"execute":"wait","arguments":{"pid":1},"id":5})",
      R"({"execute":"kill","arguments":{"pid":1,"signal":9},"id":6})"};
  Host host;
  host.receive_greeting();
  for (int round = 0; round < 2000; ++round) {
    std::string line = good[random() % good.size()];
    for (unsigned damage = random() % 4; damage > 0; --damage) {
      const std::size_t at = random() % line.size();
      switch (random() % 3) {
        case 0: line[at] = static_cast<char>(random()); break;
        case 1: line.insert(at, line.substr(random() % line.size(), random() % 16)); break;
        default: line.erase(at, 1 + random() % 8); break;
      }
      if (line.empty()) line = "x";
    }
    for (char& c : line)
      if (c == '\n') c = 'n';
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    host.send(line + "\n");
    Json reply;
    do {
      reply = host.receive();
    } while (reply.contains("event"));
    ASSERT_TRUE(reply.contains("return") || reply.contains("error")) << line;
  }
  EXPECT_TRUE(host.done("greet").contains("morsel"));
}

TEST(Agent, SaysWhyItEnded)
{
  Host closed;
  EXPECT_EQ(closed.finish(), End::channel_closed);
  Host off;
  EXPECT_EQ(off.done("power-off"), Json::object());
  EXPECT_EQ(off.finish(), End::power_off);
}

TEST(Agent, AnswersWhatWasAskedBeforeTheChannelWasClosed)
{
  Host host;
  host.receive_greeting();
  host.send("{\"execute\":\"greet\",\"id\":1}\n{\"execute\":\"greet\",\"id\":2}\n");
  EXPECT_EQ(host.receive()["id"], 1);
  EXPECT_EQ(host.receive()["id"], 2);
}

TEST(Agent, ControlsAGateThatNobodyComesTo)
{
  Host host;
  EXPECT_EQ(host.done("gate-actors")["stopped"], false);
  EXPECT_EQ(host.refused("gate-step", {{"actor", 1}}), "EINVAL") << "the gate is open";
  EXPECT_TRUE(host.done("gate-stop")["actors"].empty());
  EXPECT_EQ(host.event("STOPPED")["actor"], 0);
  EXPECT_EQ(host.done("gate-actors")["stopped"], true);
  EXPECT_EQ(host.refused("gate-step", {{"actor", 1}}), "ESRCH");
  EXPECT_EQ(host.refused("gate-until", {{"point", "nowhere"}}), "EINVAL");
  EXPECT_EQ(host.refused("gate-until", {{"point", "publish"}, {"name", "nothing"}}), "ENOENT");
  EXPECT_FALSE(host.done("gate-until", {{"point", "publish"}}).contains("actor"));
  EXPECT_EQ(host.done("gate-actors")["stopped"], true) << "nobody has met the condition";
  host.done("gate-run");
  host.event("RESUMED");
  EXPECT_EQ(host.done("gate-actors")["stopped"], false);
}

TEST(Agent, TellsWhatWorksAndAnswersMeanwhile)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});
  host.module.hold(true);  // as the gate would
  host.send(R"({"execute":"object-populate","arguments":{"name":"a","start":0,"end":4096,"rights":"rw"},"id":"slow"})"
            "\n");
  Json actors = Json::array();
  while (actors.empty()) actors = host.done("gate-actors")["actors"];  // its thread is about to begin
  EXPECT_EQ(actors[0]["who"], "populate 0..0x1000 of a");
  EXPECT_EQ(actors[0]["state"], "running");
  EXPECT_EQ(host.refused("gate-stop", {{"limit_ms", 50}}), "ETIMEDOUT") << "it has begun and comes to no point";
  host.module.hold(false);
  Json reply;
  while (!reply.contains("return")) reply = host.receive();
  EXPECT_EQ(reply["id"], "slow");
  EXPECT_EQ(reply["return"]["changed_pages"], 1);
}

TEST(Agent, AStopEndsAnUntil)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});
  host.module.hold(true);  // somebody works, and does not meet the condition
  host.send(R"({"execute":"object-populate","arguments":{"name":"a","start":0,"end":4096,"rights":"rw"},"id":"slow"})"
            "\n");
  while (host.done("gate-actors")["actors"].empty()) {
  }
  host.send(R"({"execute":"gate-until","arguments":{"point":"publish","limit_ms":3600000},"id":"until"})"
            "\n"
            R"({"execute":"gate-stop","arguments":{"limit_ms":3600000},"id":"stop"})"
            "\n");
  Json reply = Json::object();
  while (reply.value("id", Json()) != "until") reply = host.receive();
  EXPECT_EQ(reply["return"], (Json{{"stopped", true}, {"programs", Json::array()}}));
  host.module.hold(false);
  while (reply.value("id", Json()) != "stop") reply = host.receive();
  EXPECT_TRUE(reply.contains("return"));
}

TEST(Agent, UnloadsTheModuleWhenNobodyWorksAnyMore)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});
  host.module.hold(true);
  const Json populate{{"name", "a"}, {"start", 0}, {"end", 4096}, {"rights", "rw"}};
  host.send(Json{{"execute", "object-populate"}, {"arguments", populate}, {"id", 1001}}.dump() + "\n");
  host.send("{\"execute\":\"module-unload\",\"id\":1002}\n");
  host.done("greet");  // it answers meanwhile
  host.module.hold(false);
  EXPECT_EQ(host.receive_reply(1001)["return"]["changed_pages"], 1);
  EXPECT_EQ(host.receive_reply(1002)["error"]["class"], "EBUSY") << "it has an object, and so it was tried now";
  host.done("object-destroy", {{"name", "a"}});
  host.done("module-unload");
}

TEST(Agent, GivesUpUnloadingWhileSomebodyWorks)
{
  Host host;
  host.done("object-create", {{"name", "a"}, {"bytes", 4096}});
  host.module.hold(true);
  const Json populate{{"name", "a"}, {"start", 0}, {"end", 4096}, {"rights", "rw"}};
  host.send(Json{{"execute", "object-populate"}, {"arguments", populate}, {"id", 1001}}.dump() + "\n");
  const Json reply = host.ask("module-unload", {{"limit_ms", 20}});
  EXPECT_EQ(reply["error"]["class"], "ETIMEDOUT") << reply;
  EXPECT_NE(reply["error"]["desc"].get<std::string>().find("populate 0..0x1000 of a is still at work"),
            std::string::npos)
      << reply;
  host.module.hold(false);
  EXPECT_EQ(host.receive_reply(1001)["return"]["changed_pages"], 1);
  EXPECT_EQ(host.done("counters")["objects"], 1) << "it is loaded";
}

TEST(Agent, AnUntilWaitsForTheProgramsOfItsClientOnly)
{
  Host host;
  const auto start = [&](int client) {
    const Json sleeper{{"argv", {"sleep", "1000"}}, {"detach", true}, {"client", client}};
    return host.done("run", sleeper)["pid"].get<int>();
  };
  const auto until = [](int limit_ms) { return Json{{"point", "publish"}, {"client", 7}, {"limit_ms", limit_ms}}; };
  start(8);
  EXPECT_EQ(host.done("gate-until", until(60'000)), Json::object());
  const int pid = start(7);
  const std::string name = "sleep (pid " + std::to_string(pid) + ")";
  const Json late = host.ask("gate-until", until(50));
  EXPECT_NE(late["error"]["desc"].get<std::string>().find(name), std::string::npos) << late;
  const auto send = [&](const char* command, const Json& arguments, int id) {
    host.send(Json{{"execute", command}, {"arguments", arguments}, {"id", id}}.dump() + "\n");
  };
  send("gate-until", until(60'000), 1001);
  send("gate-stop", Json::object(), 1002);
  EXPECT_EQ(host.receive_reply(1001)["return"]["programs"], Json::array({name}));
  EXPECT_TRUE(host.receive_reply(1002).contains("return"));
  send("gate-until", until(60'000), 1003);
  send("kill", {{"pid", pid}}, 1004);
  EXPECT_TRUE(host.receive_reply(1004).contains("return"));
  EXPECT_EQ(host.receive_reply(1003)["return"], Json::object());
}

TEST(Agent, TellsOnceThatTheGateWasClosed)
{
  Host host;
  host.done("gate-stop");
  host.done("gate-stop");
  host.done("gate-until", {{"point", "publish"}});  // opens it, and closes it because there is nobody
  host.done("gate-run");
  host.event("RESUMED");
  std::size_t told = 0;
  for (const Json& event : host.events) told += event["event"] == "STOPPED";
  EXPECT_EQ(told, 2u);
}

}  // namespace
}  // namespace morsel::agent
