// SPDX-License-Identifier: GPL-2.0-or-later
//
// The VM as a session's target: what the module does is seen in the guest's memory from here.
#include "testvm/host/vm_target.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <future>

#include "testvm/host/tests/vm_machine.hpp"

namespace morsel::testvm {
namespace {

using session::AccessOutcome;
using session::Exit;
using session::Failure;

// Physical address of the frame under `offset` by the bits of an AMD64 tree (SDM vol. 3, 4.5), read by hand.
u64 frame_by_hand(const inspect::PhysicalMemory& memory, PhysAddr root, Level root_level, u64 offset)
{
  constexpr u64 address_bits = 0x000f'ffff'ffff'f000, present = 1, large = 0x80;
  u64 table = root.value;
  for (int level = root_level; level >= 0; --level) {
    const u64 index = offset >> (12 + 9 * level) & 511;
    const u64* words = memory.words({table}, 512);
    if (!words || !(words[index] & present)) return 0;
    if (level > 0 && (words[index] & large))
      return (words[index] & address_bits) + (offset & ((u64{1} << (12 + 9 * level)) - 1));
    table = words[index] & address_bits;
  }
  return table + (offset & 4095);
}

class VmTargetTest : public testing::Test {
 protected:
  // QEMU's emulated CPU has SVM and nested paging on every host.
  static void SetUpTestSuite()
  {
    VmConfig config = test_config();
    config.accelerator = Accelerator::tcg;
    target = VmTarget::start(config);
  }
  static void TearDownTestSuite() { target.reset(); }
  void TearDown() override
  {
    target->clear_injected();
    for (const auto& object : target->objects()) target->destroy_object(object.name);
    const session::Counters left = target->counters();
    EXPECT_EQ(left.objects + left.views + left.tables + left.frames + left.bad_entries, 0u);
  }
  static std::unique_ptr<VmTarget> target;
};
std::unique_ptr<VmTarget> VmTargetTest::target;

TEST_F(VmTargetTest, SaysWhatItIs)
{
  const auto info = target->info();
  EXPECT_EQ(info.kind, "vm");
  EXPECT_NE(info.machine.find("Linux 6.1"), std::string::npos) << info.machine;
  EXPECT_EQ(info.memory_bytes, target->memory().bytes());
}

TEST_F(VmTargetTest, ShowsTheObjectsBytesInTheGuestsMemory)
{
  constexpr u64 offset = 5 * mebibyte + 0x7008, value = 0x0123456789abcdef;
  target->create_object("o", 64 * mebibyte, {});
  session::AccessRequest write{.object = "o", .offset = offset, .right = right_write, .value = value};
  EXPECT_EQ(target->access(write).outcome, AccessOutcome::populated);
  const auto object = target->object("o");
  const u64 frame = frame_by_hand(target->memory(), object.root, object.root_level, offset);
  ASSERT_NE(frame, 0u);
  ASSERT_NE(target->memory().words({frame}, 1), nullptr);
  EXPECT_EQ(u64{*target->memory().words({frame}, 1)}, value);
}

TEST_F(VmTargetTest, CountsThePagesOfRanges)
{
  target->create_object("o", 64 * mebibyte, {});
  EXPECT_EQ(target->populate("o", {0, 4 * mebibyte}, rights_rw, 0), 1024u);
  EXPECT_EQ(target->unmap("o", {mebibyte, 2 * mebibyte}), 256u);
  EXPECT_GT(target->protect("o", {0, mebibyte}, right_read), 0u);
  const auto object = target->object("o");
  EXPECT_EQ(object.bytes, 64 * mebibyte);
  EXPECT_GE(object.tables, 3u);
}

TEST_F(VmTargetTest, SplitsMergesMigratesAndHarvests)
{
  target->create_object("o", 64 * mebibyte, {});
  target->populate("o", {0, 4 * mebibyte}, rights_rw, 1);
  const auto view = target->add_view("o", FormatId::npt);
  target->harvest("o", {0, 64 * mebibyte});
  const session::AccessRequest write{
      .object = "o", .view = view.number, .offset = 0x5000, .right = right_write, .value = 77};
  target->split("o", {0, 2 * mebibyte}, 0);
  target->access(write);
  EXPECT_EQ(target->dirty("o", {0, 4 * mebibyte}).size(), 1u);
  const auto harvest = target->harvest("o", {0, 64 * mebibyte});
  ASSERT_EQ(harvest.dirty.size(), 1u);
  EXPECT_EQ(harvest.dirty[0].start, 0x5000u);
  EXPECT_EQ(harvest.dirty[0].end, 0x6000u);
  EXPECT_TRUE(target->harvest("o", {0, 64 * mebibyte}).dirty.empty());
  EXPECT_EQ(target->merge("o", {0, 4 * mebibyte}, 1), 1u);
  EXPECT_EQ(target->migrate("o", {0, 4 * mebibyte}), 1024u);
  const auto runs = target->populated("o", {0, 64 * mebibyte});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].range.end, 4 * mebibyte);
  EXPECT_EQ(runs[0].rights, rights_rw);
  const session::AccessRequest read{.object = "o", .view = view.number, .offset = 0x5000};
  EXPECT_EQ(target->access(read).value, 77u);
  EXPECT_THROW(target->clone_object("o", "p"), session::Failure);
}

TEST_F(VmTargetTest, FillsAViewOnAccessOnly)
{
  target->create_object("o", 64 * mebibyte, {});
  target->populate("o", {0, 2 * mebibyte}, rights_rw, 0);
  const auto view = target->add_view("o", FormatId::ept);
  EXPECT_EQ(view.format, FormatId::ept);
  const session::AccessRequest read{.object = "o", .view = view.number, .offset = 0x3000, .populate = false};
  EXPECT_EQ(target->access(read).outcome, AccessOutcome::filled);
  const auto again = target->access(read);
  EXPECT_EQ(again.outcome, AccessOutcome::hit);
  EXPECT_NE(again.walker.find("engine's walker"), std::string::npos);
  ASSERT_EQ(target->object("o").views.size(), 1u);
  target->drop_view("o", view.number);
  EXPECT_TRUE(target->object("o").views.empty());
}

TEST_F(VmTargetTest, LetsTheHardwareWalkAViewForIt)
{
  target->create_object("o", 64 * mebibyte, {});
  const auto view = target->add_view("o", FormatId::npt);
  session::AccessRequest request{
      .object = "o", .view = view.number, .offset = 0x5000, .right = right_write, .value = 77};
  const auto written = target->access(request);
  EXPECT_EQ(written.outcome, AccessOutcome::populated);
  EXPECT_EQ(written.walker.rfind("AMD-V nested paging, QEMU ", 0), 0u) << written.walker;
  request.right = right_read;
  EXPECT_EQ(target->access(request).value, 77u);
  request.right = right_exec;
  EXPECT_EQ(target->access(request).outcome, AccessOutcome::denied);
  request = {.object = "o", .view = view.number, .offset = 0x9000, .populate = false};
  EXPECT_EQ(target->access(request).outcome, AccessOutcome::denied);
  EXPECT_EQ(target->access(request).walker, written.walker);
}

TEST_F(VmTargetTest, AttachesThePrimaryToAVirtualCpuOnRequest)
{
  target->create_object("o", 64 * mebibyte, {});
  target->populate("o", {0, 2 * mebibyte}, rights_rw, 0);
  const auto foreign = target->add_view("o", FormatId::riscv_sv39);
  session::AccessRequest request{.object = "o", .offset = 0x5000, .right = right_write, .value = 77};
  EXPECT_EQ(target->access(request).walker, "the engine's walker in the module");
  request.vcpu = true;
  EXPECT_EQ(target->access(request).walker.rfind("AMD-V nested paging, QEMU ", 0), 0u);
  EXPECT_EQ(target->access(request).outcome, AccessOutcome::hit) << "nothing is filled";
  request.right = right_read;
  EXPECT_EQ(target->access(request).value, 77u);
  request.view = foreign.number;
  EXPECT_THROW(target->access(request), session::Failure);
}

TEST_F(VmTargetTest, KeepsRulesOfInjection)
{
  const u32 number = target->inject({.point = SyncPoint::invalidate, .tree = TreeId{1}, .nth = 2, .times = 3});
  const auto rules = target->injected();
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0].number, number);
  EXPECT_EQ(rules[0].point, SyncPoint::invalidate);
  EXPECT_EQ(rules[0].tree, TreeId{1});
  EXPECT_EQ(rules[0].nth, 2u);
  target->clear_injected();
  EXPECT_TRUE(target->injected().empty());
}

TEST_F(VmTargetTest, RefusesInWordsWhatTheModuleRefuses)
{
  const auto expect_usage = [](auto&& work) {
    try {
      work();
      ADD_FAILURE() << "it was taken";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::usage) << failure.what();
    }
  };
  target->create_object("o", 4 * mebibyte, {});
  expect_usage([&] { target->create_object("o", 4 * mebibyte, {}); });
  expect_usage([&] { target->create_object("o2", 4097, {}); });
  expect_usage([&] { target->create_object("../o3", 4096, {}); });
  expect_usage([&] { target->populate("o", {1, 4096}, rights_rw, 0); });
  expect_usage([&] { target->populate("o", {0, 8 * mebibyte}, rights_rw, 0); });
  expect_usage([&] { target->object("nothing"); });
}

TEST_F(VmTargetTest, PassesOnHowProgramsEnd)
{
  const auto result = target->run_program({"sh", "-c", "echo out; echo err >&2; exit 7"});
  EXPECT_EQ(result.exit_status, 7);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.errors, "err\n");
  EXPECT_EQ(target->run_program({"sh", "-c", "kill -SEGV $$"}).signal, SIGSEGV);
  EXPECT_THROW(target->run_program({"/no/such/program"}), Failure);
}

TEST_F(VmTargetTest, KillsAProgramThatNobodyWaitsForAnyMore)
{
  std::stop_source told;
  auto program =
      std::async(std::launch::async, [&] { return target->run_until({"sleep", "100000"}, told.get_token()); });
  told.request_stop();
  EXPECT_EQ(program.get().signal, SIGKILL);
  EXPECT_EQ(target->run_until({"true"}, {}).exit_status, 0);
}

TEST_F(VmTargetTest, EndsProgramsThatStay)
{
  const u32 pid = target->start_program({"tail", "-f", "/dev/null"});
  const auto result = target->end_program(pid);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_THROW(target->end_program(pid + 1000), Failure);
}

TEST_F(VmTargetTest, ReadsTheKernelsLog)
{
  EXPECT_NE(target->kernel_log().find("Linux version 6.1"), std::string::npos);
}

// From 2816 MiB on, a part of the memory lies above 4 GiB: frames of both parts must be where they are looked for.
TEST(VmTargetMemory, IsRightOnBothSidesOf4GiB)
{
  VmConfig config = test_config();
  config.memory_bytes = 3 * gibibyte;
  const auto target = VmTarget::start(config);
  EXPECT_EQ(target->memory().segments().size(), 2u);
  target->create_object("o", gibibyte, {});
  u64 below = 0, above = 0;
  // 1 GiB fills the part above 4 GiB (1 GiB less what the kernel holds there) and goes on below.
  target->populate("o", {0, gibibyte}, rights_rw, 0);
  const auto object = target->object("o");
  for (u64 offset = 0; offset < gibibyte; offset += gibibyte / 64) {
    const u64 value = offset ^ 0x5aa5'0000'1234'0000;
    target->access({.object = "o", .offset = offset, .right = right_write, .value = value});
    const u64 frame = frame_by_hand(target->memory(), object.root, object.root_level, offset);
    ASSERT_NE(frame, 0u);
    ASSERT_NE(target->memory().words({frame}, 1), nullptr);
    EXPECT_EQ(u64{*target->memory().words({frame}, 1)}, value) << std::hex << frame;
    ++(frame < 4 * gibibyte ? below : above);
  }
  EXPECT_GT(below, 0u);
  EXPECT_GT(above, 0u);
}

// 5-level paging only if asked for: the inspector's facts must fit the guest's own tables.
TEST(VmTargetPaging, HasFiveLevelsOnlyIfAskedFor)
{
  VmConfig config = test_config();
  config.paging = Paging::five_levels;
  auto connection = VmConnection::start(config);
  EXPECT_EQ(connection->request("greet")["morsel"]["la57"], true);
  // The nested walk would have five levels as well: no virtual CPU, and the access is done nevertheless.
  VmTarget five(std::move(connection));
  five.create_object("o", 4 * mebibyte, {});
  const auto view = five.add_view("o", FormatId::npt);
  const std::string walker = five.access({.object = "o", .view = view.number}).walker;
  EXPECT_NE(walker.find("engine's walker in the module; no virtual CPU: the kernel has 5-level paging"),
            std::string::npos)
      << walker;
  try {
    five.access({.object = "o", .vcpu = true});
    FAIL() << "the primary was walked by a virtual CPU";
  } catch (const Failure& refused) {
    EXPECT_NE(refused.found().find("the kernel has 5-level paging"), std::string::npos) << refused.found();
  }
  EXPECT_EQ(VmConnection::start(test_config())->request("greet")["morsel"]["la57"], false);
}

// The kernel believes that the CPU lacks them.
TEST(VmTargetFeatures, WithoutThoseOfAVirtualCpuThereIsNoneAndTheAccessIsDoneNevertheless)
{
  for (const auto& [feature, reason] :
       {std::pair("svm", "the CPU has no SVM"), std::pair("npt", "the CPU's SVM has no nested paging")}) {
    VmConfig config = test_config();
    config.accelerator = Accelerator::tcg;
    config.kernel_arguments = "clearcpuid=" + std::string(feature);
    const auto target = VmTarget::start(config);
    target->create_object("o", 4 * mebibyte, {});
    const auto view = target->add_view("o", FormatId::npt);
    const auto access = target->access({.object = "o", .view = view.number, .right = right_write, .value = 7});
    EXPECT_EQ(access.outcome, AccessOutcome::populated);
    EXPECT_NE(access.walker.find("engine's walker in the module; no virtual CPU: " + std::string(reason)),
              std::string::npos)
        << access.walker;
  }
}

}  // namespace
}  // namespace morsel::testvm
