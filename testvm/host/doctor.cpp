// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/doctor.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "testvm/host/bochs_machine.hpp"
#include "testvm/host/kvm_probe.hpp"
#include "testvm/host/libvirt.hpp"
#include "testvm/host/os.hpp"
#include "testvm/image/image.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Failure;

constexpr Milliseconds program_limit{10'000};

// The value of a `name : value` or `name: value kB` line.
std::string line_value(const fs::path& file, const std::string& name)
{
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with(name)) {
      const auto start = line.find_first_not_of(" \t", line.find(':') + 1);
      return start == std::string::npos ? "" : line.substr(start);
    }
  return {};
}

std::string parameter(const std::string& module, const std::string& name)
{
  std::string value = read_file("/sys/module/" + module + "/parameters/" + name);
  while (value.ends_with('\n')) value.pop_back();
  return value;
}

std::string in_gibibytes(u64 bytes)
{
  const u64 tenths = bytes * 10 / gibibyte;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

DoctorFinding examine_qemu()
{
  const auto qemu = find_program("qemu-system-x86_64");
  if (!qemu) return {"QEMU", "not installed", Works::no, "apt-get install qemu-system-x86"};
  const auto version = output_of({qemu->string(), "--version"}, program_limit);
  if (!version) return {"QEMU", qemu->string() + " does not run", Works::no, "reinstall qemu-system-x86"};
  return {"QEMU", version->substr(0, version->find('\n')), Works::yes, ""};
}

DoctorFinding examine_kvm()
{
  const KvmVerdict verdict = probe_kvm();
  if (verdict.usable) return {"KVM", verdict.reason, Works::yes, ""};
  return {"KVM", verdict.reason + "; test VMs run by TCG, QEMU's own translation", Works::partly,
          "TCG is enough for everything here, and slower; for KVM use a machine, or a VM with nested virtualisation, "
          "whose /dev/kvm you may open"};
}

// Only the host's own: in TCG, QEMU's SVM walks NPT in software whatever the host has.
DoctorFinding examine_nested_paging()
{
  const std::string flags = " " + line_value("/proc/cpuinfo", "flags") + " ";
  const auto has = [&](const char* flag) { return flags.find(std::string(" ") + flag + " ") != std::string::npos; };
  std::string found = has("vmx")   ? (has("ept") ? "the CPU has VMX with EPT" : "the CPU has VMX without EPT")
                      : has("svm") ? (has("npt") ? "the CPU has SVM with NPT" : "the CPU has SVM without NPT")
                                   : "the CPU shows neither VMX nor SVM";
  for (const auto& [module, name] : std::map<std::string, std::string>{{"kvm_intel", "ept"}, {"kvm_amd", "npt"}})
    if (const std::string value = parameter(module, name); !value.empty())
      found += "; " + module + " has " + name + "=" + value + " and nested=" + parameter(module, "nested");
  const bool both = has("npt") || has("ept");
  return {"nested paging", found + (both ? "" : "; in TCG guests QEMU's SVM walks NPT, in Bochs its VMX walks EPT"),
          both ? Works::yes : Works::partly,
          both ? "" : "nothing to do: NPT is judged by QEMU's SVM, EPT by Bochs' VMX (vm up --machine bochs)"};
}

DoctorFinding examine_libvirt()
{
  quiet_libvirt();
  const std::string uri = default_uri();
  if (const Connection connection = try_connect(uri))
    return {"libvirt", uri + " answers, with QEMU " + hypervisor_version(connection.get()), Works::yes, ""};
  const std::string reason = libvirt_error();
  if (!find_program("libvirtd"))
    return {"libvirt", "libvirtd is not installed", Works::no, "apt-get install libvirt-daemon-system libvirt-clients"};
  return {"libvirt", "installed and not running (" + reason + "); test VMs start libvirtd and stop it again",
          Works::yes, ""};
}

DoctorFinding examine_bochs()
{
  if (const std::string missing = missing_for_bochs(); !missing.empty())
    return {"Bochs", missing, Works::partly, std::string(bochs_advice) + "; only VMs with --machine bochs need it"};
  return {"Bochs", "installed; VMs with --machine bochs run", Works::yes, ""};
}

DoctorFinding examine_busybox()
{
  const fs::path busybox = ImageInputs().busybox;
  try {
    check_busybox(busybox);
    return {"busybox", busybox.string() + ", static", Works::yes, ""};
  } catch (const Failure& failure) {
    return {"busybox", failure.found(), Works::no, failure.advice()};
  }
}

DoctorFinding examine_guest_kernel()
{
  try {
    const fs::path build = find_build_folder();
    const GuestKernel kernel = guest_kernel_of(build);
    const bool has_module = fs::exists(build / "kmod" / "morsel.ko");
    return {"guest kernel",
            "Linux " + kernel.release + (has_module ? ", morsel.ko is built" : ", morsel.ko is not built"),
            has_module ? Works::yes : Works::partly, has_module ? "" : "build the target `kmod` (scripts/start does)"};
  } catch (const Failure& failure) {
    return {"guest kernel", failure.found(), Works::partly, failure.advice()};
  }
}

DoctorFinding examine_display()
{
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  const std::string x = variable("DISPLAY"), wayland = variable("WAYLAND_DISPLAY");
  if (!wayland.empty()) return {"display", "Wayland, " + wayland, Works::yes, ""};
  if (!x.empty()) return {"display", "X, " + x, Works::yes, ""};
  const std::string found = find_program("Xvfb") ? "none; Xvfb is installed for tests" : "none, and no Xvfb";
  return {"display", found, Works::partly, "the window's picture can be had without one: morselscope --render FILE"};
}

DoctorFinding examine_memory()
{
  constexpr u64 wanted = gibibyte;
  const std::string text = line_value("/proc/meminfo", "MemAvailable");
  const u64 bytes = text.empty() ? 0 : std::stoull(text) * 1024;
  return {"memory", in_gibibytes(bytes) + " available", bytes >= wanted ? Works::yes : Works::partly,
          bytes >= wanted ? "" : "a test VM takes 512 MiB, benchmarks up to 4 GiB"};
}

DoctorFinding examine_disk()
{
  constexpr u64 wanted = 2 * gibibyte;
  std::error_code error;
  const fs::path folder = fs::current_path(error);
  struct statvfs status {};
  if (error || statvfs(folder.c_str(), &status) != 0) return {"disk", "not known: " + errno_text(), Works::partly, ""};
  const u64 bytes = u64{status.f_bavail} * status.f_frsize;
  return {"disk", in_gibibytes(bytes) + " free in " + folder.string(), bytes >= wanted ? Works::yes : Works::partly,
          bytes >= wanted ? "" : "a build with kernel and headers takes up to 2 GiB"};
}

}  // namespace

std::vector<DoctorFinding> run_doctor()
{
  return {examine_qemu(),    examine_kvm(),          examine_nested_paging(), examine_libvirt(), examine_bochs(),
          examine_busybox(), examine_guest_kernel(), examine_display(),       examine_memory(),  examine_disk()};
}

}  // namespace morsel::testvm
