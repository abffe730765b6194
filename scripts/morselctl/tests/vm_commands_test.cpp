// SPDX-License-Identifier: GPL-2.0-or-later
//
// morselctl on a real VM: one machine for all tests, started and ended by the commands themselves.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <utility>

#include "scripts/morselctl/tests/program.hpp"

namespace morsel::ctl {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr const char* vm_name = "morselctl-test";

Ended on_vm(Words words)
{
  words.insert(words.begin(), {"--vm", vm_name});
  return morselctl(std::move(words));
}

Json facts(Words words)
{
  words.insert(words.begin(), {"--vm", vm_name, "--json"});
  const Ended e = morselctl(std::move(words));
  return Json::parse(e.output);
}

Json this_vm()
{
  const Json list = facts({"vm", "list"});
  for (const Json& vm : list.at("vms"))
    if (vm.at("name") == vm_name) return vm;
  return {};
}

// The guest's memory, written from outside: a hostile guest may put there whatever it likes.
class GuestWords {
 public:
  explicit GuestWords(pid_t qemu)
  {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(qemu) + "/fd")) {
      std::error_code gone;
      if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with("/memfd:memory-backend"))
        file_.open(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    }
  }
  bool is_open() const { return file_.is_open(); }
  std::uint64_t read(std::uint64_t address)
  {
    std::uint64_t word = 0;
    file_.seekg(static_cast<std::streamoff>(address));
    file_.read(reinterpret_cast<char*>(&word), sizeof word);
    return word;
  }
  void write(std::uint64_t address, std::uint64_t word)
  {
    file_.seekp(static_cast<std::streamoff>(address));
    file_.write(reinterpret_cast<const char*>(&word), sizeof word).flush();
  }

 private:
  std::fstream file_;
};

class VmCommands : public ::testing::Test {
 protected:
  static void SetUpTestSuite()
  {
    const Ended e = morselctl({"vm", "up", vm_name});
    started = e.status == 0;
    EXPECT_TRUE(started) << e.output << e.errors;
  }
  void SetUp() override { ASSERT_TRUE(started); }
  static void TearDownTestSuite() { morselctl({"vm", "down", vm_name}); }

 private:
  static inline bool started = false;
};

TEST_F(VmCommands, TheTourHoldsOnTheRealKernel)
{
  const Json tour = facts({"tour"});
  EXPECT_EQ(tour.at("holds"), true) << on_vm({"tour"}).output;
  ASSERT_EQ(tour.at("stations").size(), 6u);
  EXPECT_NE(tour.at("target").get<std::string>().find("Linux"), std::string::npos);
  const Json& runs = tour.at("stations").at(5).at("diff").at("views").at(0).at("runs");
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs.at(0).at("state"), "stale");
  const Json counters = facts({"counters"});
  for (const char* name : {"objects", "views", "tables", "frames", "attachments", "contexts", "bad_entries"})
    EXPECT_EQ(counters.at(name), 0) << name;
}

TEST_F(VmCommands, ViewsOfEveryFormatFollowThePrimary)
{
  facts({"object", "create", "a", "4M"});
  facts({"object", "populate", "a", "2M..4M", "--leaf", "2M"});
  for (const char* format : {"amd64", "npt", "ept", "ept_l5", "vtd_second_stage", "amd_iommu_v1", "arm64_stage2",
                             "riscv_sv39", "riscv_sv48x4"}) {
    EXPECT_EQ(facts({"view", "add", "a", format}).at("format"), format);
    EXPECT_EQ(facts({"access", "a", format, "0x200008", "write", "--value", "0x1234"}).at("outcome"), "filled")
        << format;
    EXPECT_EQ(facts({"access", "a", format, "0x200008", "read"}).at("value"), "0x1234") << format;
    EXPECT_EQ(facts({"walk", "a", format, "0x200008"}).at("end"), "translated") << format;
  }
  EXPECT_EQ(facts({"diff", "a"}).at("clean"), true);
  EXPECT_EQ(facts({"object", "unmap", "a", "2M+4K"}).at("changed_pages"), 1);
  const Json diff = facts({"diff", "a"});
  EXPECT_EQ(diff.at("clean"), true);
  for (const Json& view : diff.at("views")) EXPECT_EQ(view.at("pages").at("stale"), 0);
  facts({"object", "destroy", "a"});
}

TEST_F(VmCommands, AGuestProgramsOutputAndExitStatusPassThrough)
{
  const Ended e = on_vm({"run", "sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(e.status, 7);
  EXPECT_EQ(e.output, "out\n");
  EXPECT_EQ(e.errors, "err\n");
  EXPECT_EQ(on_vm({"run", "sh", "-c", "kill -9 $$"}).status, 128 + SIGKILL);
  EXPECT_EQ(on_vm({"run", "no-such-program"}).status, 2);
}

TEST_F(VmCommands, AProcessSeesWhatTheViewWrote)
{
  facts({"object", "create", "b", "4M"});
  facts({"view", "add", "b", "ept"});
  EXPECT_EQ(facts({"access", "b", "ept", "0x3000", "write", "--value", "77"}).at("outcome"), "populated");
  const Ended e = on_vm({"run", "morsel-touch", "/morsel/b", "check:0x3000=77", "write:0x4000=78"});
  EXPECT_EQ(e.status, 0) << e.output << e.errors;
  EXPECT_EQ(facts({"access", "b", "ept", "0x4000", "read"}).at("value"), "0x4e");
  facts({"object", "destroy", "b"});
}

TEST_F(VmCommands, TablesThatLieAreNamedAndNotFollowed)
{
  facts({"object", "create", "liar", "4M"});
  facts({"view", "add", "liar", "ept"});
  facts({"access", "liar", "ept", "0x3000", "write"});
  const std::string root_text = facts({"object", "show", "liar"}).at("views").at(0).at("root");
  const std::uint64_t root = std::stoull(root_text, nullptr, 16);
  GuestWords memory(this_vm().at("machine_pid").get<pid_t>());
  ASSERT_TRUE(memory.is_open());
  const std::uint64_t honest = memory.read(root);
  ASSERT_NE(honest, 0u);

  const std::pair<std::uint64_t, std::string> lies[] = {{root | 7, "table reached twice"},
                                                        {0x7'ffff'f000 | 7, "table outside memory"}};
  for (const auto& [word, words] : lies) {
    memory.write(root, word);
    for (const char* command : {"tree", "diff"}) {
      const Ended e = on_vm({command, "liar"});
      EXPECT_LE(e.status, 1) << e.errors;
      EXPECT_NE(e.output.find(words), std::string::npos) << command << ": " << e.output;
    }
    const Ended walk = on_vm({"walk", "liar", "ept", "0x3000"});
    EXPECT_LE(walk.status, 1) << walk.output << walk.errors;
  }
  memory.write(root, honest);
  EXPECT_EQ(facts({"diff", "liar"}).at("clean"), true);
  facts({"object", "destroy", "liar"});
}

TEST_F(VmCommands, RefusalsOfTheKernelAreExplained)
{
  facts({"object", "create", "c", "4M"});
  const Json again = facts({"object", "create", "c", "4M"});
  EXPECT_EQ(again.at("error").at("exit"), 2) << again;
  EXPECT_FALSE(again.at("error").at("found").get<std::string>().empty());
  EXPECT_EQ(facts({"object", "populate", "c", "0..8M"}).at("error").at("exit"), 2);
  facts({"object", "destroy", "c"});
}

TEST_F(VmCommands, ASecondMachineOfTheSameNameIsRefused)
{
  const Ended e = morselctl({"vm", "up", vm_name});
  EXPECT_EQ(e.status, 2);
  EXPECT_NE(e.errors.find(vm_name), std::string::npos) << e.errors;
  EXPECT_EQ(on_vm({"target"}).status, 0);
}

TEST_F(VmCommands, TheConsoleAndTheKernelLogCanBeRead)
{
  EXPECT_NE(on_vm({"kernel-log"}).output.find("Linux version"), std::string::npos);
  EXPECT_EQ(morselctl({"vm", "console", vm_name}).status, 0);
  EXPECT_EQ(morselctl({"doctor"}).status, 0);
}

// A command that waits for the guest learns it. Ends the machine; GoogleTest runs the tests of a suite in the order of
// the file.
TEST_F(VmCommands, ALostMachineIsSaidSo)
{
  const Json vm = this_vm();
  ASSERT_FALSE(vm.is_null());
  std::future<Ended> waiting = std::async(std::launch::async, [] {
    return on_vm({"run", "sh", "-c", "echo > /tmp/waiting; exec sleep 1000"});
  });
  while (on_vm({"run", "test", "-e", "/tmp/waiting"}).status != 0) {
  }
  ASSERT_EQ(kill(vm.at("machine_pid").get<pid_t>(), SIGKILL), 0);
  const Ended e = waiting.get();
  EXPECT_EQ(e.status, 125);
  EXPECT_NE(e.errors.find(vm_name), std::string::npos) << e.errors;
  EXPECT_NE(e.errors.find("lost"), std::string::npos) << e.errors;
  EXPECT_NE(on_vm({"target"}).status, 0);
}

}  // namespace
}  // namespace morsel::ctl
