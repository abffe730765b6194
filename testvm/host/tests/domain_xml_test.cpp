// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/domain_xml.hpp"

#include <gtest/gtest.h>

#include <pugixml.hpp>

namespace morsel::testvm {
namespace {

VmConfig example()
{
  VmConfig config;
  config.name = "a&b<c";
  config.kernel = "/k/vmlinux";
  config.initramfs = "/i/initramfs";
  config.kernel_arguments = "quote=\"'<&>";
  config.cpus = 3;
  config.memory_bytes = u64{1} << 30;
  return config;
}

struct Parsed {
  explicit Parsed(const VmConfig& config, Accelerator accelerator = Accelerator::tcg, const std::string& user = {})
  {
    const DomainFiles files{config.kernel, config.initramfs, "/run/console", "/run/agent", "/run/dri\"ve"};
    EXPECT_TRUE(document.load_string(domain_xml(config, accelerator, files, user).c_str()));
  }
  std::string text(const char* path) { return document.select_node(path).node().child_value(); }
  std::string attribute(const char* path) { return document.select_node(path).attribute().value(); }
  std::size_t count(const char* path) { return document.select_nodes(path).size(); }
  pugi::xml_document document;
};

TEST(DomainXml, KeepsTheGuestsMemoryWhereTheHostCanMapIt)
{
  Parsed xml(example());
  EXPECT_EQ(xml.attribute("/domain/memoryBacking/source/@type"), "memfd");
  EXPECT_EQ(xml.attribute("/domain/memoryBacking/access/@mode"), "shared");
  EXPECT_EQ(xml.text("/domain/memory"), "1073741824");
  EXPECT_EQ(xml.attribute("/domain/memory/@unit"), "b");
}

TEST(DomainXml, BootsTheKernelDirectlyWithWordsOfAnyCharacters)
{
  Parsed xml(example());
  EXPECT_EQ(xml.text("/domain/name"), "morsel-a&b<c");
  EXPECT_EQ(xml.text("/domain/os/kernel"), "/k/vmlinux");
  EXPECT_EQ(xml.text("/domain/os/initrd"), "/i/initramfs");
  EXPECT_EQ(xml.text("/domain/os/cmdline"), "console=ttyS0 quiet panic=-1 no_timer_check irqaffinity=0 quote=\"'<&>");
  EXPECT_EQ(xml.text("/domain/vcpu"), "3");
}

TEST(DomainXml, HasNoDevicesBeyondTheJob)
{
  Parsed xml(example());
  EXPECT_EQ(xml.attribute("/domain/devices/channel/target/@name"), agent_port_name);
  EXPECT_EQ(xml.attribute("/domain/devices/channel/source/@path"), "/run/agent");
  EXPECT_EQ(xml.attribute("/domain/devices/serial/source/@path"), "/run/console");
  EXPECT_EQ(xml.attribute("/domain/devices/memballoon/@model"), "none");
  EXPECT_EQ(xml.attribute("/domain/devices/controller[@type='usb']/@model"), "none");
  for (const char* unwanted : {"interface", "graphics", "video", "disk", "sound"})
    EXPECT_EQ(xml.count((std::string("/domain/devices/") + unwanted).c_str()), 0u) << unwanted;
}

TEST(DomainXml, EndsTheDomainWhateverEndsTheGuest)
{
  Parsed xml(example());
  for (const char* event : {"on_poweroff", "on_reboot", "on_crash"})
    EXPECT_EQ(xml.text((std::string("/domain/") + event).c_str()), "destroy");
}

TEST(DomainXml, HasFivePagingLevelsOnlyIfAskedFor)
{
  VmConfig config = example();
  EXPECT_EQ(Parsed(config).attribute("/domain/cpu/feature[@name='la57']/@policy"), "disable");
  config.paging = Paging::five_levels;
  EXPECT_EQ(Parsed(config).count("/domain/cpu/feature"), 0u);
}

TEST(DomainXml, HasAnIommuWithDevicesBehindItOnlyIfAskedFor)
{
  VmConfig config = example();
  EXPECT_EQ(Parsed(config).count("/domain/devices/iommu"), 0u);
  EXPECT_EQ(Parsed(config).count("/domain/qemu:commandline"), 0u);
  config.iommu = Iommu::intel;
  Parsed intel(config);
  EXPECT_EQ(intel.attribute("/domain/devices/iommu/@model"), "intel");
  EXPECT_EQ(intel.attribute("/domain/devices/iommu/driver/@aw_bits"), "48");
  EXPECT_EQ(intel.count("//qemu:arg[starts-with(@value, 'edu,')]"), 1u);
  EXPECT_EQ(intel.count("//qemu:arg[starts-with(@value, 'nvme,')]"), 1u);
  const Json drive = Json::parse(intel.attribute("//qemu:arg[starts-with(@value, '{')]/@value"));
  EXPECT_EQ(drive.at("filename"), "/run/dri\"ve");
  EXPECT_NE(intel.text("/domain/os/cmdline").find(" intel_iommu=off intremap=off"), std::string::npos);
}

TEST(DomainXml, NamesTheAccelerator)
{
  EXPECT_EQ(Parsed(example(), Accelerator::tcg).attribute("/domain/@type"), "qemu");
  EXPECT_EQ(Parsed(example(), Accelerator::tcg).attribute("/domain/cpu/@mode"), "maximum");
  EXPECT_EQ(Parsed(example(), Accelerator::kvm).attribute("/domain/@type"), "kvm");
  EXPECT_EQ(Parsed(example(), Accelerator::kvm).attribute("/domain/cpu/@mode"), "host-passthrough");
}

TEST(DomainXml, LeavesTheOwnersOfFilesAlone)
{
  Parsed xml(example(), Accelerator::tcg, "+64055:+107");
  EXPECT_EQ(xml.attribute("/domain/seclabel/@relabel"), "no");
  EXPECT_EQ(xml.text("/domain/seclabel/label"), "+64055:+107");
  EXPECT_EQ(Parsed(example()).count("/domain/seclabel"), 0u);
}

TEST(DomainXml, ReadsTheUserOfQemuFromTheCapabilities)
{
  EXPECT_EQ(qemu_user_of("<capabilities><host><secmodel><model>none</model></secmodel><secmodel><model>dac</model>"
                         "<baselabel type='kvm'>+1:+2</baselabel><baselabel type='qemu'>+64055:+107</baselabel>"
                         "</secmodel></host></capabilities>"),
            "+64055:+107");
  EXPECT_EQ(qemu_user_of("<capabilities><host/></capabilities>"), "");
  EXPECT_EQ(qemu_user_of("not xml"), "");
}

}  // namespace
}  // namespace morsel::testvm
