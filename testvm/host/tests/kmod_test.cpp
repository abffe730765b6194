// SPDX-License-Identifier: GPL-2.0-or-later
//
// The kernel module in a real kernel: runs morsel-kmod-test (kmod/tests/) in one VM, suite by suite and under each
// granularity of attachment, then unloads the module and reads the kernel's log.
#include <atomic>
#include <future>

#include "testvm/host/tests/module_test.hpp"
#include "testvm/host/tests/vm_machine.hpp"

namespace morsel::testvm {
namespace {

class KernelModule : public ModuleTest {
 protected:
  static void SetUpTestSuite()
  {
    VmConfig config = test_config();
    config.memory_bytes = u64{3} << 30;
    start(config);
  }
};

TEST_F(KernelModule, MapsThePrimaryAtEachGranularity)
{
  for (const char* granularity : {"1g", "2m", "4k"}) run_suite("mapping", granularity);
}

TEST_F(KernelModule, KeepsRightsAtEachGranularity)
{
  for (const char* granularity : {"1g", "2m", "4k"}) run_suite("rights", granularity);
}

TEST_F(KernelModule, LetsTheCpuWalkViewsAtEachGranularity)
{
  for (const char* granularity : {"1g", "2m"}) run_suite("view", granularity);
}

TEST_F(KernelModule, ReshapesMovesAndHarvestsPagesAtEachGranularity)
{
  for (const char* granularity : {"1g", "2m"}) run_suite("pages", granularity);
}

TEST_F(KernelModule, RefusesWrongRequests) { run_suite("request"); }

TEST_F(KernelModule, HasAFileSystemOfObjects) { run_suite("fs"); }

TEST_F(KernelModule, SurvivesRandomRequestsOfEveryKind)
{
  run_suite("fuzz");
  EXPECT_EQ(what_the_module_holds(), "");
  EXPECT_EQ(alarming_lines(), "");
}

TEST_F(KernelModule, HoldsActorsAtItsGate) { run_suite("gate"); }

TEST_F(KernelModule, EndsWhoIsKilledWhileTheGateHoldsUpItsGracePeriod) { run_suite("grace"); }

TEST_F(KernelModule, InjectsFaultsAndShowsPoints) { run_suite("inject"); }

TEST_F(KernelModule, HoldsWhenManyProcessesAccessAndChangeAtOnce)
{
  for (const char* granularity : {"1g", "2m"}) run_suite("stress", granularity);
}

TEST_F(KernelModule, RefusesAnUnknownGranularity)
{
  const Json result = request("run", {{"argv", {"sh", "-c", "echo 3m > /sys/module/morsel/parameters/granularity"}}});
  EXPECT_EQ(result.value("exit_status", -1), 1) << result.dump();
}

TEST_F(KernelModule, CannotBeUnloadedWhileAnObjectIsOpen)
{
  run({"sh", "-c", "exec 3<> /morsel/held; umount /morsel && exit 1; rmmod morsel && exit 2; rm /morsel/held"});
}

// Says when a request or a process waits at a point of the gate.
class NextStop {
 public:
  explicit NextStop(VmConnection& machine) : machine_(machine)
  {
    machine.listen([this](const Json& event) {
      if (event["event"] == "STOPPED" && object_at(event, "data").value("actor", 0) != 0 && !told_.exchange(true))
        stopped_.set_value();
    });
  }
  ~NextStop() { machine_.listen({}); }
  void wait() { ASSERT_EQ(stopped_.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready); }

 private:
  VmConnection& machine_;
  std::atomic<bool> told_ = false;
  std::promise<void> stopped_;
};

TEST_F(KernelModule, UnloadingLetsARequestGoThatWaitsAtTheGate)
{
  request("object-create", {{"name", "gated"}, {"bytes", 4096}});
  request("gate-stop");
  NextStop stop(*machine);
  auto populate = std::async(std::launch::async, [] {
    return request("object-populate", {{"name", "gated"}, {"start", 0}, {"end", 4096}, {"rights", "rw"}});
  });
  stop.wait();
  request("module-unload");
  EXPECT_EQ(populate.get()["changed_pages"], 1);
  request("module-load");
  EXPECT_EQ(request("object-list")["objects"], Json::array());
  EXPECT_EQ(alarming_lines(), "");
}

// It is let go, and keeps the module: it has an object mapped.
TEST_F(KernelModule, UnloadingLetsAProcessGoThatWaitsAtTheGate)
{
  request("object-create", {{"name", "gated"}, {"bytes", 4096}});
  request("gate-stop");
  NextStop stop(*machine);
  const Json run{{"argv", {"morsel-touch", "--stay", "/morsel/gated", "write:0=1"}}, {"detach", true}};
  const Json pid = request("run", run)["pid"];
  stop.wait();
  std::promise<void> stays;
  machine->listen([&](const Json& event) {
    if (text_at(object_at(event, "data"), "text").find("\"stay\"") != std::string::npos) stays.set_value();
  });
  try {
    request("module-unload");
    ADD_FAILURE() << "it was unloaded under a mapping";
  } catch (const session::Failure& failure) {
    const std::string who = "morsel-touch (pid " + pid.dump() + ") has 'gated' mapped";
    EXPECT_NE(std::string(failure.what()).find(who), std::string::npos) << failure.what();
  }
  EXPECT_EQ(stays.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  machine->listen({});
  EXPECT_EQ(request("object-info", {{"name", "gated"}})["frames"], 1);
  request("kill", {{"pid", pid}});
  request("wait", {{"pid", pid}});
  request("module-unload");
  request("module-load");
  EXPECT_EQ(alarming_lines(), "");
}

// After everything above: unloads with nothing left, loads again, and the kernel has not complained.
TEST_F(KernelModule, UnloadsAndLoadsAgainWithACleanLog)
{
  EXPECT_EQ(what_the_module_holds(), "");
  request("module-unload");
  request("module-load", {{"params", "granularity=2m"}});
  run({"morsel-kmod-test", "mapping"});
  EXPECT_EQ(alarming_lines(), "");
}

// Of virtual CPUs, and of what hardware does, QEMU's emulated CPU is the judge, also where others would be faster: it
// has SVM and nested paging on every host, and does the same on each, as docs/hardware.md says.
class HardwareJudges : public ModuleTest {
 protected:
  static void SetUpTestSuite()
  {
    VmConfig config = test_config();
    config.accelerator = Accelerator::tcg;
    config.memory_bytes = u64{3} << 30;
    start(config);
  }
};

TEST_F(HardwareJudges, RunsVirtualCpusOnViewsAndOnThePrimary)
{
  for (const char* suite : {"vcpu", "vcpu-wrong", "vcpu-running", "vcpu-switch", "vcpu-primary"}) run_suite(suite);
}

TEST_F(HardwareJudges, WalksViewsAsThePageAboutHardwareSays) { expect_parts_of_hardware_page(hardware_matrix()); }

// Of each format: the second stage's, and AMD64 as the guest's own tables.
TEST_F(HardwareJudges, AgreesWithTheInspectorOnRandomTables) { compare_random_tables(5000); }

TEST_F(HardwareJudges, UnloadingLetsAVirtualCpuGoThatWaitsAtTheGateInAFill)
{
  request("object-create", {{"name", "gated"}, {"bytes", 4096}});
  request("object-populate", {{"name", "gated"}, {"start", 0}, {"end", 4096}, {"rights", "rw"}});
  const Json view = request("view-add", {{"name", "gated"}, {"format", "npt"}})["view"];
  request("gate-stop");
  NextStop stop(*machine);
  auto access = std::async(std::launch::async, [&] {
    return request("access", {{"name", "gated"}, {"view", view}, {"offset", 0}, {"rights", "r"}, {"touch", true}});
  });
  stop.wait();
  request("module-unload");
  const Json reply = access.get();
  EXPECT_EQ(reply["walker"], "svm") << reply;
  EXPECT_EQ(reply["result"], "filled") << reply;
  request("module-load");
  EXPECT_EQ(alarming_lines(), "");
}

TEST_F(HardwareJudges, UnloadsWithACleanLog)
{
  EXPECT_EQ(what_the_module_holds(), "");
  request("module-unload");
  EXPECT_EQ(alarming_lines(), "");
}

// kvm-amd loads, too.
class KernelModuleBesideKvm : public KernelModule {
 protected:
  static void SetUpTestSuite()
  {
    VmConfig config = test_config({"kvm-amd"});
    config.accelerator = Accelerator::tcg;
    machine = VmConnection::start(config);
  }
};

TEST_F(KernelModuleBesideKvm, TakesTurnsWithIt)
{
  run_suite("kvm");
  request("module-unload");
  EXPECT_EQ(alarming_lines(), "");
}

}  // namespace
}  // namespace morsel::testvm
