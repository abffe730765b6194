// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselctl on a VM in Bochs: one machine for all tests of the first suite, in their order; the last one ends it.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "engine/abi/morsel_points.h"
#include "engine/session/session.hpp"
#include "scripts/morselctl/tests/machine.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/tests/kernel_log.hpp"
#include "testvm/host/vm_connection.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::ctl {
namespace {

using testvm::VmConnection;

const MachineUnderTest machine("morselctl-bochs-test");

Ended vm_up(Words more = {})
{
  Words words{"vm", "up", machine.name(), "--machine", "bochs"};
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
  const testvm::VmPaths paths(machine.name());
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
  const Json vm = machine.listed();
  ASSERT_FALSE(vm.is_null());
  EXPECT_EQ(vm.at("machine"), "Bochs");
  EXPECT_EQ(vm.at("accelerator"), "interpreter");
  EXPECT_EQ(vm.at("cpus"), 1);
  EXPECT_TRUE(vm.at("kernel").get<std::string>().starts_with("6.1")) << vm;
  const Ended flags = machine.run({"run", "grep", "-c", "^flags.* vmx.* ept", "/proc/cpuinfo"});
  EXPECT_EQ(flags.output, "1\n") << flags.errors;
}

TEST_F(BochsVm, AnEptViewIsFilledOnAccessAndFollowsThePrimary)
{
  machine.facts({"object", "create", "a", "64M"});
  EXPECT_EQ(machine.facts({"object", "populate", "a", "0..1M"}).at("changed_pages"), 256);
  machine.facts({"view", "add", "a", "ept"});
  EXPECT_EQ(machine.facts({"access", "a", "ept", "0x3008", "write", "--value", "0x1234"}).at("outcome"), "filled");
  const Json read = machine.facts({"access", "a", "ept", "0x3008", "read"});
  EXPECT_EQ(read.at("value"), "0x1234");
  EXPECT_EQ(read.at("walker"), "VMX with EPT, Bochs interpreter");
  EXPECT_EQ(machine.facts({"walk", "a", "ept", "0x3008"}).at("end"), "translated");
  EXPECT_NE(machine.run({"tree", "a"}).output.find("ept"), std::string::npos);
  Json diff = machine.facts({"diff", "a"});
  EXPECT_EQ(diff.at("clean"), true);
  EXPECT_EQ(diff.at("views").at(0).at("pages").at("same"), 1) << diff;
  EXPECT_EQ(machine.facts({"object", "unmap", "a", "0x3000+4K"}).at("changed_pages"), 1);
  EXPECT_NE(machine.facts({"walk", "a", "ept", "0x3008"}).at("end"), "translated");
  EXPECT_EQ(machine.facts({"diff", "a"}).at("clean"), true);
  machine.facts({"object", "destroy", "a"});
}

TEST_F(BochsVm, AnNptViewIsWalkedByTheEngineWhichSaysWhy)
{
  machine.facts({"object", "create", "n", "4M"});
  machine.facts({"view", "add", "n", "npt"});
  const Json access = machine.facts({"access", "n", "npt", "0x3008", "write", "--value", "7"});
  EXPECT_EQ(access.at("outcome"), "populated");
  EXPECT_NE(access.at("walker").get<std::string>().find("no virtual CPU: the CPU has no SVM"), std::string::npos)
      << access;
  machine.facts({"object", "destroy", "n"});
}

// The walker of an access, the vCPU in the journal, and presets whose consequence is the hardware's.
TEST_F(BochsVm, ShowsASessionWhatHardwareDoes)
{
  session::Session session(std::make_unique<testvm::VmTarget>(VmConnection::attach(machine.name())));
  const auto run = [&](const std::string& line) { return session.execute_line(line).facts; };
  for (const char* line : {"object create s 4M", "object populate s 0..64K", "view add s ept"}) run(line);
  session.target().journal()->record(true);
  const Json access = run("access s ept 0x1000 read");
  session.target().journal()->record(false);
  EXPECT_EQ(access["walker"].get<std::string>().rfind("VMX with EPT, Bochs", 0), 0u) << access;
  bool published = false;
  const auto journal = session.target().journal()->read();
  for (const auto& record : journal.records)
    published |= record.point == MORSEL_POINT_publish && record.actor_kind == MORSEL_ACTOR_VCPU;
  EXPECT_TRUE(published) << journal.records.size() << " records, none of a vCPU that fills";

  run("object protect s 0x2000 r");
  EXPECT_EQ(run("access s ept 0x2000 write --value 43")["outcome"], "denied");
  run("view drop s ept");
  run("view add s ept");
  run("inject preset rights-widened s ept");
  run("access s ept 0x2000 read");
  run("access s ept 0x2000 write --value 43");
  EXPECT_EQ(run("access s primary 0x2000 read")["value"], "0x2b");
  run("inject preset reserved-bit s ept");
  EXPECT_THROW(run("access s ept 0x3000 read"), session::Failure) << "no fill mends it";
  run("inject clear");
  run("object destroy s");
}

TEST_F(BochsVm, AProcessSeesWhatTheViewWrote) { expect_that_a_process_sees_what_a_view_wrote(machine); }

TEST_F(BochsVm, TheTourHolds)
{
  const Json tour = machine.facts({"tour"});
  EXPECT_EQ(tour.at("holds"), true) << tour;
}

TEST_F(BochsVm, LongRepliesAndRequestsPassItsSerialLineWhole)
{
  std::string text;
  for (int i = 0; i < 500; ++i) text += "word-" + std::to_string(i) + " ";
  const Ended e = machine.run({"run", "echo", text});
  EXPECT_EQ(e.output, text + "\n") << e.errors;
}

TEST_F(BochsVm, ItsConsoleIsKept)
{
  machine.run({"run", "sh", "-c", "echo a-line-on-the-console > /dev/console"});
  // The first serial line is slow: the line comes in the end.
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  bool found = false;
  while (!found && std::chrono::steady_clock::now() < end)
    found = morselctl({"vm", "console", machine.name()}).output.find("a-line-on-the-console") != std::string::npos;
  EXPECT_TRUE(found);
}

// Bochs draws the guest's screen into a terminal that nobody reads. The pauses are the guest's time, of which Bochs
// needs some to draw again: without them forty pictures would be one. Nothing is waited for by them.
TEST_F(BochsVm, WhatItsScreenShowsDoesNotStopIt)
{
  const Ended e =
      machine.run({"run", "sh", "-c", "for i in $(seq 40); do seq $i $((i+200)) > /dev/tty1; usleep 250000; done"});
  EXPECT_EQ(e.status, 0) << e.errors;
}

TEST_F(BochsVm, TheModuleUnloadsAndTheKernelHasNoComplaint)
{
  const auto connection = VmConnection::attach(machine.name());
  connection->request("module-unload");
  const std::string log = connection->request("kernel-log").at("text");
  EXPECT_EQ(testvm::alarming_lines(*connection), "");
  EXPECT_NE(log.find("Linux version 6.1"), std::string::npos);
}

TEST_F(BochsVm, ARestartOfTheGuestEndsIt)
{
  const Json vm = machine.listed();
  const Ended e = machine.run({"run", "reboot", "-f"});
  EXPECT_EQ(e.status, 125);
  EXPECT_NE(e.errors.find("the guest powered itself off or restarted"), std::string::npos) << e.errors;
  EXPECT_TRUE(ends(vm.at("machine_pid").get<pid_t>()));
  EXPECT_EQ(remains(), "");
}

TEST(BochsVmEnd, KilledWithItsHolderItLeavesNothing)
{
  ASSERT_EQ(vm_up({"--memory", "256M"}).status, 0);
  const Json vm = machine.listed();
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
