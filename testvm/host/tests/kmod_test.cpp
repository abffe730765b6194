// SPDX-License-Identifier: GPL-2.0-or-later
//
// The kernel module in a real kernel: runs morsel-kmod-test (kmod/tests/) in one VM, suite by suite and under each
// granularity of attachment, then unloads the module and reads the kernel's log.
#include <gtest/gtest.h>

#include <memory>

#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {
namespace {

constexpr Milliseconds hang_guard{900'000};

class KernelModule : public testing::Test {
 protected:
  static void SetUpTestSuite()
  {
    VmConfig config = test_config();
    config.memory_bytes = u64{3} << 30;
    machine = VmConnection::start(config);
  }
  static void TearDownTestSuite() { machine.reset(); }

  static Json request(const std::string& command, const Json& arguments = Json::object())
  {
    return machine->request(command, arguments, hang_guard);
  }

  static void run(const std::vector<std::string>& words) { run_in_guest(*machine, words); }
  static void run_suite(const std::string& suite, const std::string& granularity = "1g")
  {
    run({"sh", "-c", "echo " + granularity + " > /sys/module/morsel/parameters/granularity"});
    run({"morsel-kmod-test", suite});
  }

  // Why there is no virtual CPU in this machine's VMs; empty: there is one. Under TCG there always is.
  static std::string vcpu_lacks()
  {
    constexpr int none = 77;
    if (machine->info().accelerator == "TCG") return "";
    const Json result = request("run", {{"argv", {"morsel-hardware", "--oracle", "0"}}});
    return result.value("exit_status", -1) == none ? result.value("stderr", "") : "";
  }

  static std::unique_ptr<VmConnection> machine;
};
std::unique_ptr<VmConnection> KernelModule::machine;

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

TEST_F(KernelModule, HoldsActorsAtItsGate) { run_suite("gate"); }

TEST_F(KernelModule, EndsWhoIsKilledWhileTheGateHoldsUpItsGracePeriod) { run_suite("grace"); }

TEST_F(KernelModule, RunsVirtualCpusOnViews)
{
  if (const std::string lack = vcpu_lacks(); !lack.empty()) GTEST_SKIP() << lack;
  run_suite("vcpu");
  run_suite("vcpu-running");
}

// What the machine does with each kind of entry; under TCG it is always the same, and docs/hardware.md says it.
TEST_F(KernelModule, WalksViewsAsThePageAboutHardwareSays)
{
  if (const std::string lack = vcpu_lacks(); !lack.empty()) GTEST_SKIP() << lack;
  const Json result = request("run", {{"argv", {"morsel-hardware"}}});
  const std::string matrix = result.value("stdout", "");
  EXPECT_EQ(result.value("exit_status", -1), 0) << matrix << result.value("stderr", "");
  if (machine->info().accelerator != "TCG") return;
  EXPECT_EQ(part_of_hardware_page("## npt"), matrix) << "docs/hardware.md: put this in place of its part about npt";
}

// Of each format: NPT, and AMD64 as the guest's own tables.
TEST_F(KernelModule, AgreesWithTheInspectorOnRandomTables)
{
  if (const std::string lack = vcpu_lacks(); !lack.empty()) GTEST_SKIP() << lack;
  run({"morsel-hardware", "--oracle", "5000"});
}

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

// After everything above: unloads with nothing left, loads again, and the kernel has not complained.
TEST_F(KernelModule, UnloadsAndLoadsAgainWithACleanLog)
{
  const Json counters = request("counters");
  for (const char* name : {"objects", "views", "tables", "frames", "attachments", "contexts", "bad_entries"})
    EXPECT_EQ(counters.at(name), 0) << name << ": " << counters.dump();
  request("module-unload");
  request("module-load", {{"params", "granularity=2m"}});
  run({"morsel-kmod-test", "mapping"});
  EXPECT_EQ(alarming_lines(*machine), "");
}

}  // namespace
}  // namespace morsel::testvm
