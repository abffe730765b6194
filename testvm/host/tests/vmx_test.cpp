// SPDX-License-Identifier: GPL-2.0-or-later
//
// Virtual CPUs by Intel's VMX, and what it makes of EPT: in Bochs, which emulates it, with two CPUs.
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

TEST_F(VmxInBochs, RunsVirtualCpusOnViews) { run_suite("vcpu"); }

TEST_F(VmxInBochs, FlushesMovesAndStopsVirtualCpusWhileTheyRun) { run_suite("vcpu-running"); }

TEST_F(VmxInBochs, TakesTurnsWithKvm)
{
  run({"sh", "-c", "for module in /lib/kvm/*; do insmod $module || exit; done"});
  run_suite("vcpu-switch");
}

TEST_F(VmxInBochs, WalksViewsAsThePageAboutHardwareSays) { expect_part_of_hardware_page(hardware_matrix()); }

TEST_F(VmxInBochs, AgreesWithTheInspectorOnRandomTables) { compare_random_tables(5000); }

TEST_F(VmxInBochs, UnloadsWithACleanLog)
{
  EXPECT_EQ(what_the_module_holds(), "");
  request("module-unload");
  EXPECT_EQ(alarming_lines(), "");
}

}  // namespace
}  // namespace morsel::testvm
