// SPDX-License-Identifier: GPL-2.0-or-later
//
// The verdict on KVM: where it is what the machine is, and where a device opens that is no KVM.
#include "testvm/host/kvm_probe.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "engine/session/tests/own_mounts.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;

constexpr int no_namespaces = 77;

// A /dev in which kvm opens, and is zero.
bool mount_own_devices(const fs::path& folder)
{
  const fs::path devices = folder / "dev";
  fs::create_directory(devices);
  if (!session::has_own_mounts() || mount("dev", devices.c_str(), "tmpfs", 0, nullptr) != 0) return false;
  for (const auto& [name, device] : {std::pair("kvm", "/dev/zero"), std::pair("null", "/dev/null"),
                                     std::pair("random", "/dev/random"), std::pair("urandom", "/dev/urandom")}) {
    write_file(devices / name, "", 0600);
    if (mount(device, (devices / name).c_str(), nullptr, MS_BIND, nullptr) != 0) return false;
  }
  fs::create_symlink("/proc/self/fd", devices / "fd");
  return mount(devices.c_str(), "/dev", nullptr, MS_BIND | MS_REC, nullptr) == 0;
}

// In a process that has these devices, and no other one.
class KvmProbeOfAFalseDevice : public testing::Test {
 protected:
  void SetUp() override
  {
    std::string name = fs::temp_directory_path() / "morsel-kvm-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  void judge(const std::function<void()>& look) const
  {
    const pid_t child = fork();
    if (child == 0) {
      if (!mount_own_devices(folder_)) _exit(no_namespaces);
      EXPECT_TRUE(may_open_kvm({}).usable);
      look();
      _exit(HasFailure() ? 1 : 0);
    }
    const int status = wait_child(child);
    if (status == no_namespaces) GTEST_SKIP() << "no mount namespace can be had here";
    EXPECT_EQ(status, 0);
  }

  fs::path folder_;
};

TEST_F(KvmProbeOfAFalseDevice, IsNotFooled)
{
  judge([] {
    const KvmVerdict verdict = probe_kvm();
    EXPECT_FALSE(verdict.usable);
    EXPECT_TRUE(verdict.reason.starts_with("a guest does not run with KVM: ")) << verdict.reason;
    EXPECT_FALSE(verdict.reason.ends_with("it said nothing"));
  });
}

// QEMU as it is, with TCG in KVM's place: it is the guest that convinces.
TEST_F(KvmProbeOfAFalseDevice, BelievesAGuestThatHasRun)
{
  const auto qemu = find_program("qemu-system-x86_64");
  ASSERT_TRUE(qemu);
  const std::string start = "#!/bin/sh\nfor word; do\n  shift\n  case $word in\n";
  const std::string end = "  esac\n  set -- \"$@\" \"$word\"\ndone\nexec " + qemu->string() + " \"$@\"\n";
  write_file(folder_ / "qemu-system-x86_64",
             start + "    *accel=kvm) word=q35,accel=tcg ;;\n    host) word=max ;;\n" + end, 0700);
  judge([this] {
    setenv("PATH", (folder_.string() + ":" + std::getenv("PATH")).c_str(), 1);
    const KvmVerdict verdict = probe_kvm();
    EXPECT_TRUE(verdict.usable) << verdict.reason;
    EXPECT_EQ(verdict.reason, "a guest ran with KVM");
  });
}

// Whatever this machine has, the verdict says why.
TEST(KvmProbe, GivesAReason)
{
  const KvmVerdict verdict = probe_kvm();
  EXPECT_FALSE(verdict.reason.empty());
  const bool may_open = access("/dev/kvm", R_OK | W_OK) == 0;
  EXPECT_TRUE(may_open || !verdict.usable) << verdict.reason;
}

}  // namespace
}  // namespace morsel::testvm
