// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselctl on a VM in Bochs: one machine for all tests of the first suite, in their order; the last one ends it.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <regex>

#include "scripts/morselctl/tests/program.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::ctl {
namespace {

using Json = nlohmann::json;
using testvm::VmConnection;
using Words = std::vector<std::string>;

constexpr const char* vm_name = "morselctl-bochs-test";

Ended on_vm(Words words)
{
  words.insert(words.begin(), {"--vm", vm_name});
  return morselctl(std::move(words));
}

Json facts(Words words)
{
  words.insert(words.begin(), {"--vm", vm_name, "--json"});
  const Ended e = morselctl(words);
  const Json json = Json::parse(e.output, nullptr, false);
  EXPECT_TRUE(json.is_object()) << words.back() << e.output << e.errors;
  return json.is_object() ? json : Json::object();
}

Json this_vm()
{
  const Json list = facts({"vm", "list"});
  for (const Json& vm : list.at("vms"))
    if (vm.at("name") == vm_name) return vm;
  return {};
}

Ended vm_up(Words more = {})
{
  Words words{"vm", "up", vm_name, "--machine", "bochs"};
  words.insert(words.end(), more.begin(), more.end());
  return morselctl(words);
}

bool ends(pid_t pid)
{
  const auto process = testvm::open_process(pid);
  return !process || testvm::wait_readable(process->get(), testvm::Milliseconds(60'000));
}

// Waits until holder and guardian have let go of the lock: then everything else must have gone.
std::string remains()
{
  const testvm::VmPaths paths(vm_name);
  const auto lock = testvm::take_lock(paths.lock, testvm::Wait::yes);
  unlink(paths.lock.c_str());
  std::string found;
  for (const auto& path : {paths.socket, paths.folder})
    if (std::filesystem::exists(path)) found += path.string() + " ";
  return found;
}

class BochsVm : public ::testing::Test {
 protected:
  static void SetUpTestSuite()
  {
    const Ended e = vm_up();
    started = e.status == 0;
    EXPECT_TRUE(started) << e.output << e.errors;
    std::printf("%s", e.output.c_str());
  }
  void SetUp() override { ASSERT_TRUE(started); }

 private:
  static inline bool started = false;
};

TEST_F(BochsVm, IsListedAsWhatItIs)
{
  const Json vm = this_vm();
  ASSERT_FALSE(vm.is_null());
  EXPECT_EQ(vm.at("machine"), "Bochs");
  EXPECT_EQ(vm.at("accelerator"), "interpreter");
  EXPECT_EQ(vm.at("cpus"), 1);
  EXPECT_TRUE(vm.at("kernel").get<std::string>().starts_with("6.1")) << vm;
  const Ended flags = on_vm({"run", "grep", "-c", "^flags.* vmx.* ept", "/proc/cpuinfo"});
  EXPECT_EQ(flags.output, "1\n") << flags.errors;
}

TEST_F(BochsVm, AnEptViewIsFilledOnAccessAndFollowsThePrimary)
{
  facts({"object", "create", "a", "64M"});
  EXPECT_EQ(facts({"object", "populate", "a", "0..1M"}).at("changed_pages"), 256);
  facts({"view", "add", "a", "ept"});
  EXPECT_EQ(facts({"access", "a", "ept", "0x3008", "write", "--value", "0x1234"}).at("outcome"), "filled");
  const Json read = facts({"access", "a", "ept", "0x3008", "read"});
  EXPECT_EQ(read.at("value"), "0x1234");
  EXPECT_EQ(read.at("walker"), "VMX with EPT, Bochs interpreter");
  EXPECT_EQ(facts({"walk", "a", "ept", "0x3008"}).at("end"), "translated");
  EXPECT_NE(on_vm({"tree", "a"}).output.find("ept"), std::string::npos);
  Json diff = facts({"diff", "a"});
  EXPECT_EQ(diff.at("clean"), true);
  EXPECT_EQ(diff.at("views").at(0).at("pages").at("same"), 1) << diff;
  EXPECT_EQ(facts({"object", "unmap", "a", "0x3000+4K"}).at("changed_pages"), 1);
  EXPECT_NE(facts({"walk", "a", "ept", "0x3008"}).at("end"), "translated");
  EXPECT_EQ(facts({"diff", "a"}).at("clean"), true);
  facts({"object", "destroy", "a"});
}

TEST_F(BochsVm, AProcessSeesWhatTheViewWrote)
{
  facts({"object", "create", "b", "4M"});
  facts({"view", "add", "b", "ept"});
  EXPECT_EQ(facts({"access", "b", "ept", "0x3000", "write", "--value", "77"}).at("outcome"), "populated");
  const Ended e = on_vm({"run", "morsel-touch", "/morsel/b", "check:0x3000=77", "write:0x4000=78"});
  EXPECT_EQ(e.status, 0) << e.output << e.errors;
  EXPECT_EQ(facts({"access", "b", "ept", "0x4000", "read"}).at("value"), "0x4e");
  facts({"object", "destroy", "b"});
}

TEST_F(BochsVm, TheTourHolds)
{
  const Json tour = facts({"tour"});
  EXPECT_EQ(tour.at("holds"), true) << tour;
}

TEST_F(BochsVm, LongRepliesAndRequestsPassItsSerialLineWhole)
{
  std::string text;
  for (int i = 0; i < 500; ++i) text += "word-" + std::to_string(i) + " ";
  const Ended e = on_vm({"run", "echo", text});
  EXPECT_EQ(e.output, text + "\n") << e.errors;
}

TEST_F(BochsVm, ItsConsoleIsKept)
{
  on_vm({"run", "sh", "-c", "echo a-line-on-the-console > /dev/console"});
  // The first serial line is slow: the line comes in the end.
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  bool found = false;
  while (!found && std::chrono::steady_clock::now() < end)
    found = morselctl({"vm", "console", vm_name}).output.find("a-line-on-the-console") != std::string::npos;
  EXPECT_TRUE(found);
}

// Bochs draws the guest's screen into a terminal that nobody reads. The pauses are the guest's time, of which Bochs
// needs some to draw again: without them forty pictures would be one. Nothing is waited for by them.
TEST_F(BochsVm, WhatItsScreenShowsDoesNotStopIt)
{
  const Ended e =
      on_vm({"run", "sh", "-c", "for i in $(seq 40); do seq $i $((i+200)) > /dev/tty1; usleep 250000; done"});
  EXPECT_EQ(e.status, 0) << e.errors;
}

TEST_F(BochsVm, TheModuleUnloadsAndTheKernelHasNoComplaint)
{
  const auto connection = VmConnection::attach(vm_name);
  connection->request("module-unload");
  const std::string log = connection->request("kernel-log").at("text");
  static const std::regex alarm("[^\\n]*(BUG|WARNING|Oops|Call Trace|Bad page|INFO: task|stall|non-zero)[^\\n]*");
  std::smatch found;
  EXPECT_FALSE(std::regex_search(log, found, alarm)) << found.str();
  EXPECT_NE(log.find("Linux version 6.1"), std::string::npos);
}

TEST_F(BochsVm, ARestartOfTheGuestEndsIt)
{
  const Json vm = this_vm();
  const Ended e = on_vm({"run", "reboot", "-f"});
  EXPECT_EQ(e.status, 125);
  EXPECT_NE(e.errors.find("the guest powered itself off or restarted"), std::string::npos) << e.errors;
  EXPECT_TRUE(ends(vm.at("machine_pid").get<pid_t>()));
  EXPECT_EQ(remains(), "");
}

TEST(BochsVmEnd, KilledWithItsHolderItLeavesNothing)
{
  ASSERT_EQ(vm_up({"--memory", "256M"}).status, 0);
  const Json vm = this_vm();
  ASSERT_EQ(kill(vm.at("holder_pid").get<pid_t>(), SIGKILL), 0);
  EXPECT_TRUE(ends(vm.at("machine_pid").get<pid_t>()));
  EXPECT_EQ(remains(), "");
}

TEST(BochsVmEnd, AGuestThatCannotStartIsShownWithItsConsole)
{
  const Ended e = vm_up({"--append", "panic_on_warn=1 rdinit=/no/such/init init=/no/such/init"});
  EXPECT_EQ(e.status, 125);
  EXPECT_NE(e.errors.find("Kernel panic"), std::string::npos) << e.errors;
  EXPECT_EQ(remains(), "");
}

TEST(BochsVmEnd, RefusesWhatBochsHasNot)
{
  for (const Words& words : {Words{"--la57"}, Words{"--accelerator", "kvm"}, Words{"--memory", "4G"},
                             Words{"--memory", "64M"}, Words{"--cpus", "64"}}) {
    const Ended e = vm_up(words);
    EXPECT_EQ(e.status, 2) << words.front() << e.output << e.errors;
    EXPECT_EQ(remains(), "");
  }
}

}  // namespace
}  // namespace morsel::ctl
