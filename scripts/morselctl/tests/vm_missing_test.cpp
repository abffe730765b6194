// SPDX-License-Identifier: GPL-2.0-or-later
//
// `vm up` on a machine that lacks something: what is missing, which package it is in, and nothing is left.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/session/server/runtime_folder.hpp"
#include "scripts/morselctl/tests/program.hpp"

namespace morsel::ctl {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class VmUp : public testing::Test {
 protected:
  void SetUp() override
  {
    std::string name = fs::temp_directory_path() / "morsel-missing-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  // With a runtime folder of its own: no other VM and no keeper of daemons is in it.
  Ended run(const std::vector<std::string>& words, const std::string& preparation) const
  {
    return run_morselctl({words, {}, {"XDG_RUNTIME_DIR=" + folder_.string()}, Terminal::no, preparation});
  }

  void expect_missing(const std::string& preparation, const std::string& what, const std::string& advice) const
  {
    const Ended up = run({"vm", "up", "missing", "--while", std::to_string(getpid())}, preparation);
    ASSERT_EQ(up.status, 77) << up.errors;
    EXPECT_NE(up.errors.find(what), std::string::npos) << up.errors;
    EXPECT_NE(up.errors.find(advice + "\n"), std::string::npos) << up.errors;
    EXPECT_EQ(Json::parse(run({"--json", "vm", "list"}, preparation).output).at("vms"), Json::array());

    const fs::path runtime = folder_ / "morselscope", lock = runtime / "missing.lock";
    const auto guardian_has_ended = session::take_lock(lock, session::Wait::yes);
    fs::remove(lock);
    EXPECT_TRUE(fs::is_empty(runtime)) << fs::directory_iterator(runtime)->path();
  }

 private:
  fs::path folder_;
};

TEST_F(VmUp, WithoutQemuNamesItsPackage)
{
  expect_missing(without("/usr/bin/qemu-system-x86_64"), "qemu-system-x86_64 is not installed",
                 "apt-get install qemu-system-x86");
}

TEST_F(VmUp, WithoutLibvirtNamesItsPackages)
{
  const std::string none_runs = "{ ! test -d /run/libvirt || mount -t tmpfs none /run/libvirt; }";
  expect_missing(without("/usr/sbin/libvirtd") + " && " + none_runs, "there is no libvirtd to start",
                 "apt-get install libvirt-daemon-system libvirt-clients");
}

}  // namespace
}  // namespace morsel::ctl
