// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/tests/vm_machine.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "testvm/host/event_loop.hpp"
#include "testvm/host/libvirt.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/image/image.hpp"
#include "testvm/image/kernel_modules.hpp"

namespace morsel::testvm {

namespace fs = std::filesystem;

namespace {

// A daemon that was started again drops the domains whose QEMU is gone without an event: so look again, too.
bool wait_for_domain(const VmInfo& vm, bool wanted)
{
  static EventLoop loop;
  const Connection connection = try_connect(vm.uri);
  if (!connection) return !wanted;
  const auto changed = [](virConnectPtr, virDomainPtr, int, int, void*) {
    loop.end();
    return 0;
  };
  const auto generic = reinterpret_cast<virConnectDomainEventGenericCallback>(
      reinterpret_cast<void (*)()>(static_cast<virConnectDomainEventCallback>(changed)));
  const int watch = virConnectDomainEventRegisterAny(connection.get(), nullptr, VIR_DOMAIN_EVENT_ID_LIFECYCLE, generic,
                                                     nullptr, nullptr);
  bool waited_too_long = false;
  const EventLoop::Timer guard(Milliseconds(60'000), [&] {
    waited_too_long = true;
    loop.end();
  });
  const auto known = [&] { return Domain(virDomainLookupByName(connection.get(), vm.domain.c_str())) != nullptr; };
  while (known() != wanted && !waited_too_long) {
    const EventLoop::Timer again(Milliseconds(200), [] { loop.end(); });
    loop.run();
  }
  virConnectDomainEventDeregisterAny(connection.get(), watch);
  return !waited_too_long;
}

}  // namespace

bool domain_comes(const VmInfo& vm) { return wait_for_domain(vm, true); }

bool domain_goes(const VmInfo& vm) { return wait_for_domain(vm, false); }

VmConfig test_config(const std::vector<std::string>& modules, With with)
{
  static int number = 0;
  return config_of_build("test-" + std::to_string(getpid()) + "-" + std::to_string(++number), modules, with);
}

VmConfig config_without_module()
{
  VmConfig config = test_config();
  ImageInputs inputs = inputs_of_build(find_build_folder());
  inputs.kernel_module.reset();
  inputs.output = inputs.output.parent_path() / "without-module.cpio";
  config.initramfs = build_image(inputs);
  return config;
}

VmConfig config_with_kvm_intel()
{
  VmConfig config = test_config();
  ImageInputs inputs = inputs_of_build(find_build_folder());
  int number = 0;
  for (const fs::path& file : load_order(inputs.modules, {"kvm_intel"}))
    inputs.extra.push_back({file, "/lib/kvm/" + std::to_string(++number) + "-" + file.filename().string(), 0644});
  inputs.output = inputs.output.parent_path() / "with-kvm-intel.cpio";
  config.initramfs = build_image(inputs);
  return config;
}

bool domain_exists(const VmInfo& vm)
{
  const Connection connection = try_connect(vm.uri);
  return connection && Domain(virDomainLookupByName(connection.get(), vm.domain.c_str()));
}

bool process_ends(pid_t pid)
{
  const auto process = open_process(pid);
  return !process || wait_readable(process->get(), Milliseconds(60'000));
}

std::string remains_of(const VmInfo& vm)
{
  const VmPaths paths(vm.name);
  const auto lock = take_lock(paths.lock, Wait::yes);
  unlink(paths.lock.c_str());
  std::string remains;
  for (const fs::path& path : {paths.socket, paths.folder})
    if (fs::exists(path)) remains += path.string() + " ";
  if (!process_ends(vm.process)) remains += "QEMU ";
  if (!domain_goes(vm)) remains += vm.domain;
  return remains;
}

pid_t daemon_of_keeper()
{
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string number = entry.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string arguments = read_file(entry.path() / "cmdline");
    const pid_t pid = std::stoi(number);
    struct stat status {};
    if (stat(entry.path().c_str(), &status) != 0 || status.st_uid != geteuid()) continue;
    if (arguments.substr(0, arguments.find('\0')).ends_with("/libvirtd") &&
        read_file("/proc/" + std::to_string(parent_of(pid)) + "/cmdline").find("keep-daemons") != std::string::npos)
      return pid;
  }
  return 0;
}

pid_t parent_of(pid_t pid)
{
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  return 0;
}

}  // namespace morsel::testvm
