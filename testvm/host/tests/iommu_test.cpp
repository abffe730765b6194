// SPDX-License-Identifier: GPL-2.0-or-later
//
// Views that an IOMMU walks: a VM with QEMU's intel-iommu, an edu device and an NVMe drive behind it, which the module
// drives; the kernel's own driver is off.
#include <algorithm>
#include <fstream>

#include "testvm/host/tests/module_test.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

// A drive is only taken when its driver_override says so (kmod/iommu_pci.c).
constexpr const char* take_drive =
    "for device in /sys/bus/pci/devices/*; do"
    "  test \"$(cat $device/class)\" = 0x010802 || continue;"
    "  echo morsel > $device/driver_override && echo ${device##*/} > /sys/bus/pci/drivers_probe;"
    "done";

class IommuVm : public ModuleTest {
 protected:
  static void SetUpTestSuite()
  {
    VmConfig config = test_config();
    config.iommu = Iommu::intel;
    start(config);
    take_the_drive();
  }
  static void take_the_drive() { run({"sh", "-c", take_drive}); }
};

TEST_F(IommuVm, WalksViewsForADevice) { run({"morsel-kmod-test", "device"}); }

TEST_F(IommuVm, LetsADriveReadAndWriteObjects) { run({"morsel-kmod-test", "drive"}); }

// A copy of the edu device takes a tenth of a second.
TEST_F(IommuVm, SurvivesRandomRequestsOfEveryKind)
{
  run({"env", "MORSEL_REQUESTS=6000", "morsel-kmod-test", "fuzz"});
  EXPECT_EQ(what_the_module_holds(), "");
  EXPECT_EQ(alarming_lines(), "");
}

// Seen from outside of the guest: words that count from 1000, at the block where that test puts them.
TEST_F(IommuVm, PutsAnObjectsPagesOnTheDrive)
{
  run({"morsel-kmod-test", "drive", "nothing_is_copied"});
  constexpr std::size_t words = (std::size_t{128} << 10) / sizeof(u64), block = 100;
  std::vector<u64> found(words);
  std::ifstream drive(machine->info().drive, std::ios::binary);
  drive.seekg(block * 512);
  drive.read(reinterpret_cast<char*>(found.data()), static_cast<std::streamsize>(words * sizeof(u64)));
  ASSERT_TRUE(drive) << machine->info().drive;
  for (std::size_t i = 0; i < words; ++i) ASSERT_EQ(found[i], 1000 + i) << i;
}

TEST_F(IommuVm, WalksViewsAsThePageAboutHardwareSays) { expect_parts_of_hardware_page(hardware_matrix({"--vtd"})); }

TEST_F(IommuVm, AgreesWithTheInspectorOnRandomTables) { compare_random_tables(10000, "--vtd-oracle"); }

// Bound again, everything works as before; and after all of it nothing is left, and the kernel has not complained.
TEST_F(IommuVm, UnloadsAndLoadsAgainWithACleanLog)
{
  EXPECT_EQ(what_the_module_holds(), "");
  request("module-unload");
  run({"sh", "-c", "! grep morsel /proc/iomem"});
  request("module-load", {{"params", ""}});
  take_the_drive();
  run({"morsel-kmod-test", "drive", "nothing_is_copied"});
  EXPECT_EQ(alarming_lines(), "");
}

// The kernel's log has to say so.
TEST_F(IommuVm, KeepsADeviceOffTheBusThatHasStoppedAnswering)
{
  run({"morsel-kmod-test", "dead-device"});
  const std::string lines = alarming_lines();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1) << lines;
  EXPECT_NE(lines.find("it does not end its DMA: it is taken off the bus"), std::string::npos) << lines;
}

// An access of a session is a DMA, and where the kernel drives the IOMMU itself, the engine's walker does it.
TEST(IommuTarget, SaysWhoWalkedForAnAccess)
{
  VmConfig config = test_config();
  config.iommu = Iommu::intel;
  const auto ask = [](VmTarget& target) {
    target.create_object("o", u64{64} << 20, {});
    const auto view = target.add_view("o", FormatId::vtd_second_stage);
    session::AccessRequest request{
        .object = "o", .view = view.number, .offset = 0x5000, .right = right_write, .value = 77};
    std::string walker = target.access(request).walker;
    request.right = right_read;
    EXPECT_EQ(target.access(request).value, 77u);
    request = {.object = "o", .view = view.number, .offset = 0x9000, .populate = false};
    EXPECT_EQ(target.access(request).outcome, session::AccessOutcome::denied);
    return walker;
  };
  EXPECT_EQ(ask(*VmTarget::start(config)).rfind("Intel VT-d, for a DMA of the edu device, QEMU ", 0), 0u);
  config = test_config();
  config.iommu = Iommu::intel;
  config.kernel_arguments = "intel_iommu=on";
  EXPECT_NE(ask(*VmTarget::start(config))
                .find("engine's walker in the module; no device behind an IOMMU: the kernel's "
                      "own driver has the IOMMU"),
            std::string::npos);
}

}  // namespace
}  // namespace morsel::testvm
