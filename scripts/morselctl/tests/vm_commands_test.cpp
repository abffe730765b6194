// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselctl on a real VM: one machine for all tests, started and ended by the commands themselves.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <filesystem>
#include <future>
#include <utility>

#include "scripts/morselctl/tests/machine.hpp"
#include "testvm/host/tests/guest_words.hpp"

namespace morsel::ctl {
namespace {

const MachineUnderTest machine("morselctl-test");

// The memory of the machine's guest; an empty path if it has none.
std::filesystem::path ram_of(pid_t qemu)
{
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(qemu) + "/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with("/memfd:memory-backend"))
      return entry.path();
  }
  return {};
}

class VmCommands : public ::testing::Test {
 protected:
  static void SetUpTestSuite()
  {
    const Ended e = morselctl({"vm", "up", machine.name()});
    started = e.status == 0;
    EXPECT_TRUE(started) << e.output << e.errors;
  }
  void SetUp() override { ASSERT_TRUE(started); }
  static void TearDownTestSuite() { morselctl({"vm", "down", machine.name()}); }

 private:
  static inline bool started = false;
};

TEST_F(VmCommands, TheTourHoldsOnTheRealKernel)
{
  const Json tour = machine.facts({"tour"});
  EXPECT_EQ(tour.at("holds"), true) << machine.run({"tour"}).output;
  ASSERT_EQ(tour.at("stations").size(), 6u);
  EXPECT_NE(tour.at("target").get<std::string>().find("Linux"), std::string::npos);
  const Json& runs = tour.at("stations").at(5).at("diff").at("views").at(0).at("runs");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs.at(0).at("state"), "stale");
  const Json counters = machine.facts({"counters"});
  for (const char* name :
       {"objects", "views", "tables", "frames", "attachments", "contexts", "bad_entries", "own_pages"})
    EXPECT_EQ(counters.at(name), 0) << name;
}

TEST_F(VmCommands, ViewsOfEveryFormatFollowThePrimary)
{
  machine.facts({"object", "create", "a", "4M"});
  machine.facts({"object", "populate", "a", "2M..4M", "--leaf", "2M"});
  for (const char* format : {"amd64", "npt", "ept", "ept_l5", "vtd_second_stage", "amd_iommu_v1", "arm64_stage2",
                             "riscv_sv39", "riscv_sv48x4"}) {
    EXPECT_EQ(machine.facts({"view", "add", "a", format}).at("format"), format);
    EXPECT_EQ(machine.facts({"access", "a", format, "0x200008", "write", "--value", "0x1234"}).at("outcome"), "filled")
        << format;
    EXPECT_EQ(machine.facts({"access", "a", format, "0x200008", "read"}).at("value"), "0x1234") << format;
    EXPECT_EQ(machine.facts({"walk", "a", format, "0x200008"}).at("end"), "translated") << format;
  }
  EXPECT_EQ(machine.facts({"diff", "a"}).at("clean"), true);
  EXPECT_EQ(machine.facts({"object", "unmap", "a", "2M+4K"}).at("changed_pages"), 1);
  const Json diff = machine.facts({"diff", "a"});
  EXPECT_EQ(diff.at("clean"), true);
  for (const Json& view : diff.at("views")) EXPECT_EQ(view.at("pages").at("stale"), 0);
  machine.facts({"object", "destroy", "a"});
}

TEST_F(VmCommands, AGuestProgramsOutputAndExitStatusPassThrough)
{
  const Ended e = machine.run({"run", "sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(e.status, 7);
  EXPECT_EQ(e.output, "out\n");
  EXPECT_EQ(e.errors, "err\n");
  EXPECT_EQ(machine.run({"run", "sh", "-c", "kill -9 $$"}).status, 128 + SIGKILL);
  EXPECT_EQ(machine.run({"run", "no-such-program"}).status, 2);
}

// The guest itself waits for the end of what nobody waits for any more.
TEST_F(VmCommands, AProgramEndsWithTheCommandThatRanIt)
{
  {
    const char* program = "echo $$ > /tmp/abandoned; exec tail -f /dev/null";
    Running command({{"--vm", machine.name(), "run", "sh", "-c", program}, {}, {}, Terminal::no});
    while (machine.run({"run", "test", "-s", "/tmp/abandoned"}).status != 0) {
    }
  }  // it is killed here
  const char* wait = "pid=$(cat /tmp/abandoned) && while test -e /proc/$pid; do :; done";
  EXPECT_EQ(machine.run({"run", "sh", "-c", wait}).status, 0);
}

TEST_F(VmCommands, AProcessSeesWhatTheViewWrote) { expect_that_a_process_sees_what_a_view_wrote(machine); }

TEST_F(VmCommands, TablesThatLieAreNamedAndNotFollowed)
{
  machine.facts({"object", "create", "liar", "4M"});
  machine.facts({"view", "add", "liar", "ept"});
  machine.facts({"access", "liar", "ept", "0x3000", "write"});
  const std::string root_text = machine.facts({"object", "show", "liar"}).at("views").at(0).at("root");
  const std::uint64_t root = std::stoull(root_text, nullptr, 16);
  testvm::GuestWords memory(ram_of(machine.listed().at("machine_pid").get<pid_t>()));
  ASSERT_TRUE(memory.is_open());
  const std::uint64_t honest = memory.read(root);
  ASSERT_NE(honest, 0u);

  const std::pair<std::uint64_t, std::string> lies[] = {{root | 7, "table reached twice"},
                                                        {0x7'ffff'f000 | 7, "table outside memory"}};
  for (const auto& [word, words] : lies) {
    memory.write(root, word);
    for (const char* command : {"tree", "diff"}) {
      const Ended e = machine.run({command, "liar"});
      EXPECT_LE(e.status, 1) << e.errors;
      EXPECT_NE(e.output.find(words), std::string::npos) << command << ": " << e.output;
    }
    const Ended walk = machine.run({"walk", "liar", "ept", "0x3000"});
    EXPECT_LE(walk.status, 1) << walk.output << walk.errors;
  }
  memory.write(root, honest);
  EXPECT_EQ(machine.facts({"diff", "liar"}).at("clean"), true);
  machine.facts({"object", "destroy", "liar"});
}

// By an EPTP or an nCR3 alone, out of a guest that somebody else might run: nobody in it is asked.
TEST_F(VmCommands, ANestedRootThatTheGuestHoldsCanBeReadFromOutside)
{
  machine.facts({"object", "create", "n", "4M"});
  const std::string domain = "morsel-" + machine.name();
  for (const std::string format : {"ept", "npt"}) {
    machine.facts({"view", "add", "n", format});
    machine.facts({"access", "n", format, "0x3000", "write"});
    const Json view = machine.facts({"object", "show", "n"}).at("views").back();
    const std::uint64_t root = std::stoull(view.at("root").get<std::string>(), nullptr, 16);
    const std::string pointer = std::to_string(format == "ept" ? root | 0x5e : root | 0x18);
    const Words from_outside{"--guest", domain, "--root", pointer, "--format", format, "--json"};
    const auto look = [&](Words words) {
      words.insert(words.begin(), from_outside.begin(), from_outside.end());
      const Ended e = morselctl(words);
      const Json facts = Json::parse(e.output, nullptr, false);
      EXPECT_TRUE(facts.is_object()) << e.output << e.errors;
      return facts.is_object() ? facts : Json::object();
    };
    const Json walk = look({"walk", "root", "primary", "0x3000"});
    EXPECT_EQ(walk.value("end", ""), "translated") << walk;
    EXPECT_EQ(walk.value("target", ""), machine.facts({"walk", "n", format, "0x3000"}).at("target")) << format;
    EXPECT_EQ(look({"walk", "root", "primary", "0x5000"}).value("end", ""), "not present");
  }
  machine.facts({"object", "destroy", "n"});
}

TEST_F(VmCommands, RefusalsOfTheKernelAreExplained)
{
  machine.facts({"object", "create", "c", "4M"});
  const Json again = machine.facts({"object", "create", "c", "4M"});
  EXPECT_EQ(again.at("error").at("exit"), 2) << again;
  EXPECT_FALSE(again.at("error").at("found").get<std::string>().empty());
  EXPECT_EQ(machine.facts({"object", "populate", "c", "0..8M"}).at("error").at("exit"), 2);
  machine.facts({"object", "destroy", "c"});
}

TEST_F(VmCommands, AWatchedCommandAnswersAgainWhenAnotherClientChangesTheMachine)
{
  Running watcher({{"--vm", machine.name(), "--json", "object", "list", "--watch"}, {}, {}, Terminal::no});
  EXPECT_TRUE(Json::parse(watcher.line()).at("objects").empty());
  machine.facts({"object", "create", "w", "4M"});
  EXPECT_EQ(Json::parse(watcher.line()).at("objects").at(0).at("name"), "w");
  machine.facts({"object", "destroy", "w"});
  EXPECT_TRUE(Json::parse(watcher.line()).at("objects").empty());
}

// The object's populating waits at the gate that the session has closed; who is left sees it come to its end.
TEST_F(VmCommands, AKilledSessionLetsGoWhoWaitsAtItsGate)
{
  const std::string name = std::string(machine.name()) + "-killed";
  machine.facts({"object", "create", "g", "4M"});
  Running watcher({{"--vm", machine.name(), "--json", "object", "show", "g", "--watch"}, {}, {}, Terminal::no});
  EXPECT_EQ(Json::parse(watcher.line()).at("frames"), 0);
  {
    Running session({{"--vm", machine.name(), "serve", name}, {}, {}, Terminal::no});
    ASSERT_NE(session.line(), "");
    EXPECT_EQ(morselctl({"--session", name, "stop"}).status, 0);
    const Ended begun = morselctl({"--session", name, "--json", "object", "populate", "g", "0..4K"});
    EXPECT_TRUE(Json::parse(begun.output).contains("waits_at")) << begun.output << begun.errors;
    EXPECT_EQ(machine.facts({"actors"}).at("stopped"), true);
  }  // it is killed here
  EXPECT_EQ(Json::parse(watcher.line()).at("frames"), 1);
  EXPECT_EQ(machine.facts({"actors"}).at("stopped"), false);
  machine.facts({"object", "destroy", "g"});
}

TEST_F(VmCommands, ASecondMachineOfTheSameNameIsRefused)
{
  const Ended e = morselctl({"vm", "up", machine.name()});
  EXPECT_EQ(e.status, 2);
  EXPECT_NE(e.errors.find(machine.name()), std::string::npos) << e.errors;
  EXPECT_EQ(machine.run({"target"}).status, 0);
}

TEST_F(VmCommands, TheConsoleAndTheKernelLogCanBeRead)
{
  EXPECT_NE(machine.run({"kernel-log"}).output.find("Linux version"), std::string::npos);
  EXPECT_EQ(morselctl({"vm", "console", machine.name()}).status, 0);
  EXPECT_EQ(morselctl({"doctor"}).status, 0);
}

// A command that waits for the guest learns it. Ends the machine; GoogleTest runs the tests of a suite in the order of
// the file.
TEST_F(VmCommands, ALostMachineIsSaidSo)
{
  const Json vm = machine.listed();
  ASSERT_FALSE(vm.is_null());
  std::future<Ended> waiting = std::async(std::launch::async, [] {
    return machine.run({"run", "sh", "-c", "echo > /tmp/waiting; exec sleep 1000"});
  });
  while (machine.run({"run", "test", "-e", "/tmp/waiting"}).status != 0) {
  }
  ASSERT_EQ(kill(vm.at("machine_pid").get<pid_t>(), SIGKILL), 0);
  const Ended e = waiting.get();
  EXPECT_EQ(e.status, 125);
  EXPECT_NE(e.errors.find(machine.name()), std::string::npos) << e.errors;
  EXPECT_NE(e.errors.find("lost"), std::string::npos) << e.errors;
  EXPECT_NE(machine.run({"target"}).status, 0);
}

}  // namespace
}  // namespace morsel::ctl
