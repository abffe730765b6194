// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a test VM is to be, and what a running one is. Both travel as JSON between the holder and whoever uses the VM.
#pragma once
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/types.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {

using Json = nlohmann::json;

enum class MachineKind : u8 { qemu, bochs };
enum class Accelerator : u8 { automatic, tcg, kvm };  // automatic: KVM where it really works, else TCG
// Of the guest's own kernel. Only its decompressor turns 5-level paging on (the PVH entry never does), so that such a
// VM boots the compressed kernel, which takes seconds longer.
enum class Paging : u8 { four_levels, five_levels };
// A virtual IOMMU, which the guest's kernel leaves to the module, and devices behind it: `edu`, and an NVMe drive.
enum class Iommu : u8 { none, intel };
enum class Module : u8 { required, optional };  // whether an image without morsel.ko is refused
enum class With : u8 { nothing, qemu };         // what an image has beyond the usual
enum class Lifetime : u8 {
  as_owner,   // the VM ends with the connection of whoever started it
  until_end,  // it stays until it is ended, or its holder dies
};

struct VmConfig {
  std::string name = "test";
  MachineKind machine = MachineKind::qemu;
  std::filesystem::path kernel;             // uncompressed, with a PVH entry
  std::filesystem::path compressed_kernel;  // bzImage of the same; only needed for five_levels
  std::filesystem::path initramfs;
  std::string kernel_arguments;  // appended to the command line
  u32 cpus = 2;
  u64 memory_bytes = u64{512} << 20;  // multiple of 2 MiB
  Accelerator accelerator = Accelerator::automatic;
  Paging paging = Paging::four_levels;
  Iommu iommu = Iommu::none;
  Module module = Module::required;
  Lifetime lifetime = Lifetime::as_owner;
  pid_t while_process = 0;            // not 0: the VM ends with this process, if nothing ends it before
  Milliseconds start_limit{180'000};  // a guard against hangs, not an expectation
};

// The kernel to boot.
const std::filesystem::path& boot_kernel(const VmConfig& config);

// kernel, initramfs (built if it is not current) of the build folder that this program belongs to. `modules` of the
// kernel are loaded besides those that every guest needs. A guest with QEMU gets memory for it, and for guests of its
// own.
VmConfig config_of_build(const std::string& name, const std::vector<std::string>& modules = {},
                         With with = With::nothing);

Json to_json(const VmConfig& config);
VmConfig config_from_json(const Json& json);

struct VmInfo {
  std::string name;
  std::string domain, uri;         // libvirt's; empty for Bochs
  std::string machine;             // "QEMU", "Bochs"
  std::string machine_version;     // "7.2.22"
  std::string accelerator;         // "KVM", "TCG", "interpreter"
  std::string accelerator_reason;  // why not KVM
  std::string kernel;              // the guest's release
  std::filesystem::path ram;       // its memory, as a file to map
  std::filesystem::path console;
  std::filesystem::path kernel_image;
  std::filesystem::path drive;  // behind the IOMMU; empty: there is none
  u64 memory_bytes = 0;
  u32 cpus = 0;
  pid_t holder = 0, process = 0;
  u64 start_us = 0;  // from the request for the machine to the agent's greeting
};

Json to_json(const VmInfo& info);
VmInfo info_from_json(const Json& json);  // throws Failure(target_lost) if it is not one

}  // namespace morsel::testvm
