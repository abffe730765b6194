// SPDX-License-Identifier: GPL-2.0-or-later
//
// Virtual CPUs by Intel's VMX, and what it makes of EPT: in Bochs, which emulates it, with two CPUs.
#include <cstdlib>

#include "testvm/host/tests/module_test.hpp"
#include "testvm/host/tests/vm_machine.hpp"

namespace morsel::testvm {
namespace {

class VmxInBochs : public ModuleTest {
 protected:
  static void SetUpTestSuite()
  {
    VmConfig config = config_with_kvm_intel();
    config.machine = MachineKind::bochs;
    start(config);
  }
};

TEST_F(VmxInBochs, RunsVirtualCpusOnViews)
{
  for (const char* suite : {"vcpu", "vcpu-wrong"}) run_suite(suite);
}

TEST_F(VmxInBochs, FlushesMovesAndStopsVirtualCpusWhileTheyRun)
{
  std::vector<std::string> tests{"a_flush_reaches_a_running_guest", "two_guests_share_a_view",
                                 "a_running_vcpu_is_busy",          "a_guest_moves_between_cpus",
                                 "a_cpu_goes_and_comes_back",       "interrupts_come_through_a_running_guest"};
  // Two minutes of Bochs, which waits for a thousand grace periods.
  if (std::getenv("MORSEL_CAMPAIGN")) tests.emplace_back("no_write_is_lost_while_pages_move");
  for (const std::string& test : tests) run({"morsel-kmod-test", "vcpu-running", test});
}

TEST_F(VmxInBochs, TakesTurnsWithKvm)
{
  run({"sh", "-c", "for module in /lib/kvm/*; do insmod $module || exit; done"});
  run_suite("vcpu-switch");
}

TEST_F(VmxInBochs, WalksViewsAsThePageAboutHardwareSays) { expect_parts_of_hardware_page(hardware_matrix()); }

TEST_F(VmxInBochs, AgreesWithTheInspectorOnRandomTables) { compare_random_tables(5000); }

TEST_F(VmxInBochs, UnloadsWithACleanLog)
{
  EXPECT_EQ(what_the_module_holds(), "");
  request("module-unload");
  EXPECT_EQ(alarming_lines(), "");
}

}  // namespace
}  // namespace morsel::testvm
