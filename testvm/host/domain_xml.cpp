// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/domain_xml.hpp"

#include <pugixml.hpp>
#include <sstream>

namespace morsel::testvm {
namespace {

pugi::xml_node add(pugi::xml_node parent, const char* name, const std::string& text = {})
{
  pugi::xml_node node = parent.append_child(name);
  if (!text.empty()) node.text().set(text.c_str());
  return node;
}

void set(pugi::xml_node node, const char* name, const std::string& value)
{
  node.append_attribute(name).set_value(value.c_str());
}

void add_machine(pugi::xml_node domain, const VmConfig& config, Accelerator accelerator, const DomainFiles& files)
{
  pugi::xml_node os = add(domain, "os");
  pugi::xml_node type = add(os, "type", "hvm");
  set(type, "arch", "x86_64");
  set(type, "machine", "q35");
  add(os, "kernel", files.kernel.string());
  add(os, "initrd", files.initramfs.string());
  add(os, "cmdline", kernel_command_line(config));
  add(add(domain, "features"), "acpi");

  pugi::xml_node cpu = add(domain, "cpu");
  set(cpu, "mode", accelerator == Accelerator::kvm ? "host-passthrough" : "maximum");
  // QEMU's greatest CPU has 5-level paging, which the kernel then uses.
  if (config.paging == Paging::four_levels) {
    pugi::xml_node la57 = add(cpu, "feature");
    set(la57, "policy", "disable");
    set(la57, "name", "la57");
  }
}

// 48 bits are what tables of four levels translate.
void add_iommu(pugi::xml_node devices)
{
  pugi::xml_node iommu = add(devices, "iommu");
  set(iommu, "model", "intel");
  set(add(iommu, "driver"), "aw_bits", "48");
}

// What libvirt has no words for. Slots from 0x18 on: libvirt gives its own devices the lower ones.
void add_qemu_arguments(pugi::xml_node domain, const DomainFiles& files)
{
  set(domain, "xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
  pugi::xml_node line = add(domain, "qemu:commandline");
  const auto argument = [&](const std::string& text) { set(add(line, "qemu:arg"), "value", text); };
  argument("-device");
  argument("edu,bus=pcie.0,addr=0x18,dma_mask=0xffffffffffff");
  argument("-blockdev");
  argument(Json{{"driver", "file"}, {"filename", files.drive.string()}, {"node-name", "morsel-drive"}}.dump());
  argument("-device");
  argument("nvme,bus=pcie.0,addr=0x19,drive=morsel-drive,serial=morsel");
}

void add_devices(pugi::xml_node domain, const VmConfig& config, const DomainFiles& files)
{
  pugi::xml_node devices = add(domain, "devices");
  if (config.iommu == Iommu::intel) add_iommu(devices);
  pugi::xml_node usb = add(devices, "controller");
  set(usb, "type", "usb");
  set(usb, "model", "none");
  set(add(devices, "memballoon"), "model", "none");

  pugi::xml_node serial = add(devices, "serial");
  set(serial, "type", "file");
  set(add(serial, "source"), "path", files.console.string());

  pugi::xml_node channel = add(devices, "channel");
  set(channel, "type", "unix");
  pugi::xml_node source = add(channel, "source");
  set(source, "mode", "bind");
  set(source, "path", files.channel.string());
  pugi::xml_node target = add(channel, "target");
  set(target, "type", "virtio");
  set(target, "name", agent_port_name);
}

}  // namespace

std::string qemu_user_of(const std::string& capabilities_xml)
{
  pugi::xml_document document;
  if (!document.load_string(capabilities_xml.c_str())) return {};
  for (pugi::xml_node model : document.select_node("/capabilities/host").node().children("secmodel")) {
    if (std::string(model.child_value("model")) != "dac") continue;
    for (pugi::xml_node label : model.children("baselabel"))
      if (std::string(label.attribute("type").value()) == "qemu") return label.child_value();
  }
  return {};
}

std::string domain_name(const VmConfig& config) { return "morsel-" + config.name; }

std::string kernel_command_line(const VmConfig& config)
{
  // A panic ends the guest at once: panic=-1 restarts it, and a restart ends the domain.
  // On a busy host the kernel's test of its timer counts too few interrupts of it, and panics: no_timer_check, as Linux
  // does by itself where it knows that it is a guest of KVM. irqaffinity: see testvm/agent/cpus.hpp.
  std::string line = "console=ttyS0 quiet panic=-1 no_timer_check irqaffinity=0";
  if (config.iommu == Iommu::intel) line += " intel_iommu=off intremap=off";
  if (!config.kernel_arguments.empty()) line += " " + config.kernel_arguments;
  return line;
}

std::string domain_xml(const VmConfig& config, Accelerator accelerator, const DomainFiles& files,
                       const std::string& qemu_user)
{
  pugi::xml_document document;
  pugi::xml_node domain = document.append_child("domain");
  set(domain, "type", accelerator == Accelerator::kvm ? "kvm" : "qemu");
  add(domain, "name", domain_name(config));
  pugi::xml_node memory = add(domain, "memory", std::to_string(config.memory_bytes));
  set(memory, "unit", "b");
  pugi::xml_node backing = add(domain, "memoryBacking");
  set(add(backing, "source"), "type", "memfd");
  set(add(backing, "access"), "mode", "shared");
  add(domain, "vcpu", std::to_string(config.cpus));
  add_machine(domain, config, accelerator, files);
  add(domain, "on_poweroff", "destroy");
  add(domain, "on_reboot", "destroy");
  add(domain, "on_crash", "destroy");
  add_devices(domain, config, files);
  if (!qemu_user.empty()) {
    pugi::xml_node label = add(domain, "seclabel");
    set(label, "type", "static");
    set(label, "model", "dac");
    set(label, "relabel", "no");
    add(label, "label", qemu_user);
  }
  if (config.iommu != Iommu::none) add_qemu_arguments(domain, files);
  std::ostringstream text;
  document.save(text, "  ");
  return text.str();
}

}  // namespace morsel::testvm
