// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/tests/vm_machine.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

#include "testvm/host/event_loop.hpp"
#include "testvm/host/libvirt.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/image/image.hpp"

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

VmConfig test_config()
{
  static int number = 0;
  return config_of_build("test-" + std::to_string(getpid()) + "-" + std::to_string(++number));
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

void run_in_guest(VmConnection& machine, const std::vector<std::string>& words)
{
  constexpr Milliseconds hang_guard{900'000};
  Json environment = Json::array();
  for (const std::string name : {"MORSEL_STRESS", "MORSEL_SEED"})  // the length of the stress, what is random
    if (const char* value = std::getenv(name.c_str())) environment.push_back(name + "=" + value);
  const Json result = machine.request("run", {{"argv", words}, {"env", environment}}, hang_guard);
  const std::string output = result.value("stdout", "") + result.value("stderr", "");
  EXPECT_EQ(result.value("exit_status", -1), 0) << output << result.dump();
  std::printf("%s", output.c_str());
}

std::string alarming_lines(VmConnection& machine)
{
  static const std::regex alarm(
      "BUG|WARNING|Oops|Call Trace|RIP:|Bad page|bad pmd|bad pud|corrupt|refcount_t|INFO: task|stall|"
      "non-zero|morsel: (the|[0-9a-f]{4}:)");
  std::istringstream log(machine.request("kernel-log").at("text").get<std::string>());
  std::string found;
  for (std::string line; std::getline(log, line);)
    if (std::regex_search(line, alarm)) found += line + "\n";
  return found;
}

std::string part_of_hardware_page(const std::string& heading)
{
  const char* const path = std::getenv("MORSEL_HARDWARE_PAGE");
  std::ifstream file(path ? path : "");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  const auto start = page.find("\n" + heading);
  if (start == std::string::npos) return "there is no '" + heading + "'";
  const auto next = page.find("\n## ", start + 1);
  return page.substr(start + 1, next == std::string::npos ? next : next - start - 1);
}

pid_t daemon_of_keeper()
{
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string number = entry.path().filename();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string arguments = read_file(entry.path() / "cmdline");
    const pid_t pid = std::stoi(number);
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
