// SPDX-License-Identifier: GPL-2.0-or-later
//
// Unmodified QEMU in a VM, with the memory of its own guest in an object (docs/qemu.md).
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/types.hpp"
#include "testvm/guest/qemu/mailbox.h"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {
namespace {

constexpr Milliseconds hang_guard{600'000};
constexpr const char* object = "inner";

// What one QEMU cost, from the table that morsel-qemu prints.
struct Costs {
  u64 start = 0, writes = 0, reads = 0, process = 0, attached = 0;
};

// Rows by "memory state": | morsel | kept | 1 | 2 | 3 | 4 | 5 |
std::map<std::string, Costs> parse_table(const std::string& text)
{
  std::map<std::string, Costs> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    std::string bar, memory, state;
    Costs costs;
    if (cells >> bar >> memory >> bar >> state >> bar >> costs.start >> bar >> costs.writes >> bar >> costs.reads >>
        bar >> costs.process >> bar >> costs.attached)
      rows[memory + " " + state] = costs;
  }
  return rows;
}

// morsel-qemu's table: memory that is there already costs a fault a page with a memfd, and an attachment with an
// object.
void expect_fewer_faults(VmConnection& machine, const std::string& accelerator, u64 pages)
{
  const std::vector<std::string> words = {"morsel-qemu", "--accel", accelerator, "--pages", std::to_string(pages)};
  const Json result = machine.request("run", {{"argv", words}}, hang_guard);
  const std::string output = result.value("stdout", "");
  ASSERT_EQ(result.value("exit_status", -1), 0) << result.dump();
  std::printf("%s", output.c_str());
  EXPECT_NE(output.find("firmware: SeaBIOS (version"), std::string::npos) << output;
  const auto rows = parse_table(output);
  ASSERT_EQ(rows.size(), 4u) << output;
  const Costs &memfd = rows.at("memfd kept"), &morsel = rows.at("morsel kept");
  EXPECT_GE(memfd.writes, pages);
  EXPECT_LT(morsel.writes, pages / 100);
  for (const char* name : {"morsel new", "morsel kept"}) {
    EXPECT_LT(rows.at(name).process, memfd.process / 100) << name;
    EXPECT_GE(rows.at(name).attached, 2u) << name << ": QEMU and the process";
  }
  for (const char* name : {"memfd new", "memfd kept"}) EXPECT_EQ(rows.at(name).attached, 0u) << name;
}

// Asks again and again until it is so, or for so long that something hangs.
template <class Condition>
void ask_until(Condition&& holds)
{
  const auto guard = std::chrono::steady_clock::now() + hang_guard;
  while (!holds() && std::chrono::steady_clock::now() < guard) {
  }
}

void expect_nothing_left(VmConnection& machine)
{
  Json counters;
  ask_until([&] {  // the kernel forgets a process a little after it has ended
    counters = machine.request("counters");
    return counters.at("contexts") == 0;
  });
  for (const char* name :
       {"objects", "views", "tables", "frames", "attachments", "contexts", "bad_entries", "own_pages"})
    EXPECT_EQ(counters.at(name), 0) << name << ": " << counters.dump();
  machine.request("module-unload");
  EXPECT_EQ(alarming_lines(machine), "");
}

class QemuInGuest : public testing::Test {
 protected:
  static void SetUpTestSuite() { machine = VmConnection::start(test_config({}, With::qemu)); }
  static void TearDownTestSuite() { machine.reset(); }

  static Json request(const std::string& command, const Json& arguments = Json::object())
  {
    return machine->request(command, arguments, hang_guard);
  }
  static std::unique_ptr<VmConnection> machine;
};
std::unique_ptr<VmConnection> QemuInGuest::machine;

TEST_F(QemuInGuest, TalksThroughAnObjectAndFaultsLessThanOnAMemfd) { expect_fewer_faults(*machine, "tcg", 65536); }

// A program that runs beside the test, and what it says.
class Beside {
 public:
  Beside(VmConnection& connection, const std::vector<std::string>& argv) : connection_(connection)
  {
    connection_.listen([this](const Json& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
      changed_.notify_all();
    });
    pid_ = connection_.request("run", {{"argv", argv}, {"detach", true}}).at("pid");
  }
  ~Beside() { connection_.listen({}); }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  const Json& pid() const { return pid_; }

  // What it has said when it has said `wanted`, or has ended.
  std::string wait_for(const std::string& wanted)
  {
    std::unique_lock lock(mutex_);
    std::string said;
    changed_.wait_for(lock, hang_guard, [&] {
      said.clear();
      bool ended = false;
      for (const Json& event : events_) {
        ended = ended || event["event"] == "TARGET_LOST";
        if (event["data"].value("pid", Json()) != pid_) continue;
        ended = ended || event["event"] == "PROGRAM_ENDED";
        if (event["event"] == "PROGRAM_OUTPUT") said += event["data"].value("text", "");
      }
      return ended || said.find(wanted) != std::string::npos;
    });
    return said;
  }

 private:
  VmConnection& connection_;
  Json pid_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Json> events_;
};

// The inner guest's mailbox, through a view of the object.
class Mailbox {
 public:
  Mailbox(VmConnection& connection, u64 view) : connection_(connection), view_(view) {}

  u64 read(u64 offset) { return access(offset, {{"rights", "r"}}); }
  void write(u64 offset, u64 value) { access(offset, {{"rights", "w"}, {"value", value}}); }
  const std::string& walker() const { return walker_; }

  void post(u64 request, u64 command, u64 first, u64 end, u64 value)
  {
    write(MORSEL_MAILBOX_COMMAND, command);
    write(MORSEL_MAILBOX_FIRST, first);
    write(MORSEL_MAILBOX_END, end);
    write(MORSEL_MAILBOX_VALUE, value);
    write(MORSEL_MAILBOX_REQUEST, request);
  }

 private:
  u64 access(u64 offset, Json arguments)
  {
    arguments.update({{"name", object}, {"view", view_}, {"offset", MORSEL_MAILBOX + offset}, {"touch", true}});
    const Json reply = connection_.request("access", arguments, hang_guard);
    walker_ = reply.value("walker", "");
    return reply.value("value", u64{0});
  }

  VmConnection& connection_;
  u64 view_;
  std::string walker_;
};

// Everything that the inner guest and the test say to each other goes through an NPT view of the inner guest's memory.
TEST_F(QemuInGuest, HasItsGuestsMemoryInTheObject)
{
  Beside emulator(*machine, {"morsel-qemu", "--stay", object});
  ASSERT_NE(emulator.wait_for("listens").find("listens at 0x200000 of inner; SeaBIOS"), std::string::npos);
  const Json info = request("object-info", {{"name", object}});
  EXPECT_GE(info.at("attached"), 1) << info.dump();
  EXPECT_GT(info.at("frames"), 100) << info.dump();

  const Json view = request("view-add", {{"name", object}, {"format", "npt"}}).at("view");
  Mailbox mailbox(*machine, view.get<u64>());
  EXPECT_EQ(mailbox.read(MORSEL_MAILBOX_READY), u64{MORSEL_MAILBOX_SIGN});
  if (machine->info().accelerator == "TCG") {
    EXPECT_EQ(mailbox.walker(), "svm");
  }
  const u64 counter = mailbox.read(MORSEL_MAILBOX_COUNTER);
  EXPECT_GT(mailbox.read(MORSEL_MAILBOX_COUNTER), counter) << "the inner guest does not run";

  // A page that the inner guest has not touched: it comes into the primary by the view's violation.
  constexpr u64 page = u64{64} << 20;
  request("access", {{"name", object},
                     {"view", view},
                     {"offset", page},
                     {"rights", "w"},
                     {"value", 4711},
                     {"populate", true},
                     {"touch", true}});
  mailbox.post(1, MORSEL_COMMAND_SUM, page, page + 4096, 0);
  ask_until([&] { return mailbox.read(MORSEL_MAILBOX_ANSWER) == 1; });
  EXPECT_EQ(mailbox.read(MORSEL_MAILBOX_RESULT), 4711u);

  mailbox.post(2, MORSEL_COMMAND_END, 0, 0, 3);
  EXPECT_NE(emulator.wait_for("QEMU ended").find("QEMU ended with status 7"), std::string::npos);
}

TEST_F(QemuInGuest, EndsWithWhoRunsItAndRefusesWhatCannotBe)
{
  const auto status = [](const std::vector<std::string>& words) {
    return request("run", {{"argv", words}}).value("exit_status", -1);
  };
  EXPECT_EQ(status({"morsel-qemu", "--pages"}), 2);
  EXPECT_EQ(status({"morsel-qemu", "--memory", "32M"}), 2);
  EXPECT_EQ(status({"morsel-qemu", "--stay", "no/folder"}), 2);
  EXPECT_EQ(status({"morsel-qemu", "--accel", "kvm"}), 3) << "there is no /dev/kvm in this guest";

  Beside emulator(*machine, {"morsel-qemu", "--stay", object});
  ASSERT_NE(emulator.wait_for("listens").find("listens"), std::string::npos);
  request("kill", {{"pid", emulator.pid()}});
  request("wait", {{"pid", emulator.pid()}});
  EXPECT_EQ(request("run", {{"argv", {"rm", std::string("/morsel/") + object}}}).value("exit_status", -1), 0);
}

TEST_F(QemuInGuest, LeavesNothingAndNoComplaintOfTheKernel) { expect_nothing_left(*machine); }

// By the guest's kvm-amd, on the AMD-V that TCG emulates for every guest.
TEST(QemuWithKvmInGuest, TalksThroughAnObjectAndFaultsLessThanOnAMemfd)
{
  VmConfig config = test_config({"kvm-amd"}, With::qemu);
  config.accelerator = Accelerator::tcg;
  const auto machine = VmConnection::start(config);
  expect_fewer_faults(*machine, "kvm", 16384);  // each costs a violation more, and the machine below is TCG
  expect_nothing_left(*machine);
}

}  // namespace
}  // namespace morsel::testvm
