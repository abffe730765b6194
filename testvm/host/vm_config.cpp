// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/vm_config.hpp"

#include "engine/session/failure.hpp"
#include "testvm/image/image.hpp"
#include "testvm/image/qemu.hpp"

namespace morsel::testvm {

using session::Exit;
using session::Failure;

namespace {
constexpr u64 memory_with_qemu = u64{2} << 30;  // its files lie in memory, too
}  // namespace

NLOHMANN_JSON_SERIALIZE_ENUM(MachineKind, {{MachineKind::qemu, "qemu"}, {MachineKind::bochs, "bochs"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Accelerator, {{Accelerator::automatic, "automatic"},
                                           {Accelerator::tcg, "tcg"},
                                           {Accelerator::kvm, "kvm"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Paging, {{Paging::four_levels, "four_levels"}, {Paging::five_levels, "five_levels"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Iommu, {{Iommu::none, "none"}, {Iommu::intel, "intel"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Module, {{Module::required, "required"}, {Module::optional, "optional"}})
NLOHMANN_JSON_SERIALIZE_ENUM(Lifetime, {{Lifetime::as_owner, "as_owner"}, {Lifetime::until_end, "until_end"}})

VmConfig config_of_build(const std::string& name, const std::vector<std::string>& modules, With with)
{
  const auto build = find_build_folder();
  VmConfig config;
  config.name = name;
  const GuestKernel kernel = guest_kernel_of(build);
  config.kernel = kernel.vmlinux;
  config.compressed_kernel = build / "kernel" / "tree" / "boot" / ("vmlinuz-" + kernel.release);
  ImageInputs inputs = inputs_of_build(build, modules);
  if (with == With::qemu) {
    add_qemu(inputs, build);
    config.memory_bytes = memory_with_qemu;
  }
  config.initramfs = build_image(inputs);
  return config;
}

const std::filesystem::path& boot_kernel(const VmConfig& config)
{
  return config.paging == Paging::five_levels ? config.compressed_kernel : config.kernel;
}

Json to_json(const VmConfig& c)
{
  return {{"name", c.name},
          {"machine", c.machine},
          {"kernel", c.kernel.string()},
          {"compressed_kernel", c.compressed_kernel.string()},
          {"initramfs", c.initramfs.string()},
          {"kernel_arguments", c.kernel_arguments},
          {"cpus", c.cpus},
          {"memory_bytes", c.memory_bytes},
          {"accelerator", c.accelerator},
          {"paging", c.paging},
          {"iommu", c.iommu},
          {"module", c.module},
          {"lifetime", c.lifetime},
          {"while_process", c.while_process},
          {"start_limit_ms", c.start_limit.count()}};
}

VmConfig config_from_json(const Json& json)
{
  try {
    VmConfig c;
    c.name = json.at("name").get<std::string>();
    c.machine = json.at("machine").get<MachineKind>();
    c.kernel = json.at("kernel").get<std::string>();
    c.compressed_kernel = json.at("compressed_kernel").get<std::string>();
    c.initramfs = json.at("initramfs").get<std::string>();
    c.kernel_arguments = json.at("kernel_arguments").get<std::string>();
    c.cpus = json.at("cpus").get<u32>();
    c.memory_bytes = json.at("memory_bytes").get<u64>();
    c.accelerator = json.at("accelerator").get<Accelerator>();
    c.paging = json.at("paging").get<Paging>();
    c.iommu = json.at("iommu").get<Iommu>();
    c.module = json.at("module").get<Module>();
    c.lifetime = json.at("lifetime").get<Lifetime>();
    c.while_process = json.at("while_process").get<pid_t>();
    c.start_limit = Milliseconds(json.at("start_limit_ms").get<std::int64_t>());
    return c;
  } catch (const Json::exception& error) {
    throw Failure(Exit::usage, "reading a VM's configuration", error.what());
  }
}

Json to_json(const VmInfo& i)
{
  return {{"name", i.name},
          {"domain", i.domain},
          {"uri", i.uri},
          {"machine", i.machine},
          {"machine_version", i.machine_version},
          {"accelerator", i.accelerator},
          {"accelerator_reason", i.accelerator_reason},
          {"kernel", i.kernel},
          {"ram", i.ram.string()},
          {"console", i.console.string()},
          {"kernel_image", i.kernel_image.string()},
          {"drive", i.drive.string()},
          {"memory_bytes", i.memory_bytes},
          {"cpus", i.cpus},
          {"holder", i.holder},
          {"process", i.process},
          {"start_us", i.start_us}};
}

VmInfo info_from_json(const Json& json)
{
  try {
    VmInfo i;
    i.name = json.at("name").get<std::string>();
    i.domain = json.at("domain").get<std::string>();
    i.uri = json.at("uri").get<std::string>();
    i.machine = json.at("machine").get<std::string>();
    i.machine_version = json.at("machine_version").get<std::string>();
    i.accelerator = json.at("accelerator").get<std::string>();
    i.accelerator_reason = json.at("accelerator_reason").get<std::string>();
    i.kernel = json.at("kernel").get<std::string>();
    i.ram = json.at("ram").get<std::string>();
    i.console = json.at("console").get<std::string>();
    i.kernel_image = json.at("kernel_image").get<std::string>();
    i.drive = json.at("drive").get<std::string>();
    i.memory_bytes = json.at("memory_bytes").get<u64>();
    i.cpus = json.at("cpus").get<u32>();
    i.holder = json.at("holder").get<pid_t>();
    i.process = json.at("process").get<pid_t>();
    i.start_us = json.at("start_us").get<u64>();
    return i;
  } catch (const Json::exception& error) {
    throw Failure(Exit::target_lost, "reading what the VM's holder says of it", error.what(),
                  "the holder is of another version: end the VM and start it again");
  }
}

}  // namespace morsel::testvm
