// SPDX-License-Identifier: GPL-2.0-or-later
//
// GoogleTest's main, with libvirt running for all tests together; and three programs that tests start:
//   testvm_vm_test as-user KERNEL INITRAMFS   a VM of an ordinary user: runs something in it and ends
//   testvm_vm_test own NAME                   owns a VM until it is killed
//   testvm_vm_test up NAME                    what `morselctl vm up NAME` does
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <optional>
#include <string_view>

#include "testvm/host/libvirt_daemons.hpp"
#include "testvm/host/vm_connection.hpp"
#include "testvm/host/vm_control.hpp"
#include "testvm/host/vm_target.hpp"

namespace morsel::testvm {
namespace {

class LibvirtRuns : public testing::Environment {
 public:
  void SetUp() override { libvirt_.emplace(open_libvirt(default_uri(), holder_program())); }
  void TearDown() override { libvirt_.reset(); }

 private:
  std::optional<Libvirt> libvirt_;
};

int run_as_user(const char* kernel, const char* initramfs)
{
  VmConfig config;
  config.name = "users";
  config.kernel = kernel;
  config.initramfs = initramfs;
  const auto target = VmTarget::start(config);
  const auto result = target->run_program({"sh", "-c", "echo from-the-guest; exit 42"});
  std::printf("%s %s %s", target->vm().uri.c_str(), target->vm().domain.c_str(), result.output.c_str());
  return result.exit_status.value_or(1);
}

int run_as_owner(const char* name)
{
  const auto connection = VmConnection::start(config_of_build(name));
  std::puts("ready");
  std::fflush(stdout);
  for (;;) pause();
}

int bring_up(const char* name)
{
  vm_up(config_of_build(name));
  return 0;
}

}  // namespace
}  // namespace morsel::testvm

int main(int argc, char** argv)
{
  try {
    if (argc == 4 && std::string_view(argv[1]) == "as-user") return morsel::testvm::run_as_user(argv[2], argv[3]);
    if (argc == 3 && std::string_view(argv[1]) == "own") return morsel::testvm::run_as_owner(argv[2]);
    if (argc == 3 && std::string_view(argv[1]) == "up") return morsel::testvm::bring_up(argv[2]);
  } catch (const morsel::session::Failure& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return static_cast<int>(failure.code());
  }
  signal(SIGPIPE, SIG_IGN);  // a test kills libvirtd: connections to it end in errors, not in this program's death
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new morsel::testvm::LibvirtRuns);
  return RUN_ALL_TESTS();
}
