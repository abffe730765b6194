// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/domain.hpp"

#include <fcntl.h>
#include <libvirt/virterror.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "testvm/host/domain_xml.hpp"
#include "testvm/host/foreign_guest.hpp"
#include "testvm/host/kvm_probe.hpp"
#include "testvm/host/qemu_user.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;

constexpr u64 ram_granule = u64{2} << 20;
constexpr off_t drive_bytes = off_t{16} << 20;

// An empty drive for QEMU's user, and for nobody else.
void make_drive(const fs::path& drive, const std::string& qemu_user)
{
  const UniqueFd file(open(drive.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file || ftruncate(file.get(), drive_bytes) != 0)
    throw Failure(Exit::target_lost, "making the drive " + drive.string(), errno_text());
  give_to(qemu_user, file.get(), drive);
}

DomainFiles files_for(const VmConfig& config, const VmPaths& paths, const std::string& qemu_user)
{
  DomainFiles files{boot_kernel(config), config.initramfs, paths.console, paths.channel, {}};
  fs::path made;
  const auto stage = [&] { return made.empty() ? made = make_stage(paths) : made; };
  files.kernel = reachable_for(qemu_user, files.kernel, stage);
  files.initramfs = reachable_for(qemu_user, config.initramfs, stage);
  if (config.iommu != Iommu::none) {
    files.drive = (qemu_user.empty() ? paths.folder : stage()) / "drive.raw";
    make_drive(files.drive, qemu_user);
  }
  return files;
}

// The reason, and for the reasons that people meet what to do about them.
[[noreturn]] void throw_start_failure(const VmConfig& config, const VmPaths& paths)
{
  const std::string tried = "starting the domain " + domain_name(config), found = libvirt_error();
  const virError* error = virGetLastError();
  if (error && (error->code == VIR_ERR_DOM_EXIST || error->code == VIR_ERR_OPERATION_FAILED) &&
      found.find("already") != std::string::npos)
    throw Failure(Exit::usage, tried, found, "end it with `virsh destroy " + domain_name(config) + "`, or use --name");
  const std::string lines = tail_of(paths.console, 5);
  throw Failure(
      Exit::target_lost, tried, found,
      lines.empty() ? "`morselctl doctor` says what this machine offers" : "the console's last lines:\n" + lines);
}

// A domain of this name that writes to our files was left by a holder that was killed together with its guardian: the
// name's lock is ours. Libvirt ends it by itself, but perhaps has not yet.
void end_leftover(virConnect* connection, const VmConfig& config, const VmPaths& paths)
{
  const Domain domain(virDomainLookupByName(connection, domain_name(config).c_str()));
  if (!domain) return;
  const std::unique_ptr<char, decltype(&std::free)> xml(virDomainGetXMLDesc(domain.get(), 0), std::free);
  if (xml && std::string_view(xml.get()).find(paths.console.native()) != std::string_view::npos)
    destroy_domain(domain.get());
}

}  // namespace

void check_domain_config(const VmConfig& config)
{
  const std::string tried = "starting the VM '" + config.name + "'";
  if (!find_program("qemu-system-x86_64"))
    throw Failure(Exit::skipped, tried, "qemu-system-x86_64 is not installed", "apt-get install qemu-system-x86");
  for (const fs::path& file : {boot_kernel(config), config.initramfs})
    if (access(file.c_str(), R_OK) != 0)
      throw Failure(Exit::usage, tried, "reading " + file.string() + ": " + errno_text(),
                    "build the kernel and the image first (scripts/start does)");
  if (config.memory_bytes < (u64{64} << 20) || config.memory_bytes % ram_granule != 0)
    throw Failure(Exit::usage, tried, std::to_string(config.memory_bytes) + " bytes of memory",
                  "use at least 64 MiB, in steps of 2 MiB");
  if (config.cpus == 0 || config.cpus > 64)
    throw Failure(Exit::usage, tried, std::to_string(config.cpus) + " CPUs", "use 1 to 64");
}

std::string uuid_of(virDomain* domain)
{
  char text[VIR_UUID_STRING_BUFLEN] = {};
  if (virDomainGetUUIDString(domain, text) != 0) throw_libvirt("asking libvirt for the domain's UUID");
  return text;
}

AcceleratorChoice choose_accelerator(const VmConfig& config, const std::string& qemu_user)
{
  if (config.accelerator != Accelerator::automatic) return {config.accelerator, "asked for"};
  if (const KvmVerdict open = may_open_kvm(qemu_user); !open.usable) return {Accelerator::tcg, open.reason};
  const KvmVerdict runs = probe_kvm();
  return {runs.usable ? Accelerator::kvm : Accelerator::tcg, runs.reason};
}

StartedDomain start_domain(virConnect* connection, const VmConfig& config, const VmPaths& paths)
{
  const std::string qemu_user = qemu_user_of(capabilities_of(connection));
  const AcceleratorChoice choice = choose_accelerator(config, qemu_user);
  const DomainFiles files = files_for(config, paths, qemu_user);

  end_leftover(connection, config, paths);
  StartedDomain started;
  const std::string xml = domain_xml(config, choice.accelerator, files, qemu_user);
  started.domain.reset(virDomainCreateXML(connection, xml.c_str(), VIR_DOMAIN_START_AUTODESTROY));
  if (!started.domain) throw_start_failure(config, paths);

  VmInfo& info = started.info;
  info.name = config.name;
  info.domain = domain_name(config);
  info.machine = "QEMU";
  info.accelerator = choice.accelerator == Accelerator::kvm ? "KVM" : "TCG";
  info.accelerator_reason = choice.reason;
  info.machine_version = hypervisor_version(connection);
  info.console = paths.console;
  info.kernel_image = boot_kernel(config);
  info.drive = files.drive;
  info.memory_bytes = config.memory_bytes;
  info.cpus = config.cpus;
  info.holder = getpid();
  info.process = find_qemu(started.domain.get());
  info.ram = find_guest_ram(info.process, config.memory_bytes);
  return started;
}

pid_t find_qemu(virDomain* domain)
{
  const std::string uuid = uuid_of(domain);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string number = entry.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string arguments = read_file(entry.path() / "cmdline");
    if (arguments.find("-uuid" + std::string(1, '\0') + uuid) != std::string::npos) return std::stoi(number);
  }
  return 0;
}

fs::path find_guest_ram(pid_t qemu, u64 bytes)
{
  for (const SharedFile& file : find_shared_files(qemu))
    if (file.bytes == bytes) return file.path;
  throw Failure(Exit::target_lost, "finding the guest's memory in process " + std::to_string(qemu),
                "it has mapped no shared file of " + std::to_string(bytes) + " bytes");
}

void destroy_domain(virDomain* domain)
{
  if (virDomainDestroy(domain) == 0) return;
  const virError* error = virGetLastError();
  const bool gone = error && (error->code == VIR_ERR_NO_DOMAIN || error->code == VIR_ERR_OPERATION_INVALID);
  if (!gone) throw_libvirt("ending the domain");
}

}  // namespace morsel::testvm
