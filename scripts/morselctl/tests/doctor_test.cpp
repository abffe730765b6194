// SPDX-License-Identifier: GPL-2.0-or-later
//
// What 'doctor' says of a machine that lacks something.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "scripts/morselctl/tests/program.hpp"

namespace morsel::ctl {
namespace {

using Json = nlohmann::json;

std::map<std::string, Json> findings(const std::vector<std::string>& environment, const std::string& preparation = {})
{
  const Ended e = run_morselctl({{"--json", "doctor"}, {}, environment, Terminal::no, preparation});
  EXPECT_EQ(e.status, 0) << e.errors;
  const Json reply = Json::parse(e.output);
  std::map<std::string, Json> found;
  for (const Json& f : reply.at("findings")) found[f.at("what")] = f;
  return found;
}

TEST(Doctor, LooksAtEverythingAndAdvisesWhereSomethingIsMissing)
{
  const auto found = findings({});
  for (const char* what : {"QEMU", "KVM", "nested paging", "libvirt", "Bochs", "busybox", "guest kernel", "display",
                           "memory", "disk"}) {
    ASSERT_TRUE(found.contains(what)) << what;
    const Json& f = found.at(what);
    EXPECT_FALSE(f.at("found").get<std::string>().empty()) << what;
    EXPECT_TRUE(f.at("works") == "yes" || !f.at("advice").get<std::string>().empty()) << f;
  }
}

TEST(Doctor, NamesThePackageOfAProgramThatIsMissing)
{
  const Json qemu = findings({}, without("/usr/bin/qemu-system-x86_64")).at("QEMU");
  EXPECT_EQ(qemu.at("works"), "no");
  EXPECT_EQ(qemu.at("found"), "not installed");
  EXPECT_EQ(qemu.at("advice"), "apt-get install qemu-system-x86");
}

TEST(Doctor, SeesADisplayOnlyWhereThereIsOne)
{
  const Json none = findings({"DISPLAY=", "WAYLAND_DISPLAY="}).at("display");
  EXPECT_EQ(none.at("works"), "partly");
  EXPECT_EQ(none.at("found").get<std::string>().find("none"), 0u);
  const Json x = findings({"DISPLAY=:77", "WAYLAND_DISPLAY="}).at("display");
  EXPECT_EQ(x.at("works"), "yes");
  EXPECT_EQ(x.at("found"), "X, :77");
}

}  // namespace
}  // namespace morsel::ctl
