// SPDX-License-Identifier: GPL-2.0-or-later
//
// Start, use and end of VMs, in every way in which things go well.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_connection.hpp"
#include "testvm/host/vm_control.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

bool listed(const std::string& name)
{
  const auto vms = vm_list();
  return std::any_of(vms.begin(), vms.end(), [&](const VmInfo& vm) { return vm.name == name; });
}

TEST(Vm, GreetsAndLeavesNothingWhenItsOwnerGoes)
{
  auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  EXPECT_TRUE(domain_exists(vm));
  EXPECT_TRUE(listed(vm.name));
  EXPECT_FALSE(vm.kernel.empty());
  EXPECT_GT(vm.start_us, 0u);
  EXPECT_EQ(connection->request("greet")["morsel"]["kernel"], vm.kernel);
  connection.reset();
  EXPECT_FALSE(listed(vm.name));
  EXPECT_EQ(remains_of(vm), "");
}

TEST(Vm, StaysAfterUpAndGoesWithDown)
{
  const VmInfo vm = vm_up(test_config());
  EXPECT_TRUE(listed(vm.name));
  {
    const auto first = VmConnection::attach(vm.name), second = VmConnection::attach(vm.name);
    EXPECT_EQ(first->info().process, vm.process);
    EXPECT_EQ(second->request("greet")["morsel"]["kernel"], vm.kernel);
  }
  EXPECT_TRUE(domain_exists(vm));
  vm_down(vm.name);
  EXPECT_EQ(remains_of(vm), "");
  EXPECT_THROW(vm_down(vm.name), Failure);
  EXPECT_THROW(VmConnection::attach(vm.name), Failure);
}

TEST(Vm, OfANameThatRunsIsRefusedAndTheFirstLivesOn)
{
  const VmConfig config = test_config();
  const auto first = VmConnection::start(config);
  try {
    VmConnection::start(config);
    FAIL() << "a second VM of the same name was started";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::usage);
    EXPECT_NE(std::string(failure.what()).find("a VM of that name runs already"), std::string::npos) << failure.what();
    EXPECT_NE(failure.advice().find("vm down"), std::string::npos);
  }
  EXPECT_NO_THROW(first->request("greet"));
}

// A checkout in root's home: QEMU, which runs as another user, cannot reach the files there.
TEST(Vm, StartsFromFilesThatQemuCannotReach)
{
  if (geteuid() != 0) GTEST_SKIP() << "QEMU runs as this user, who can reach the files";
  namespace fs = std::filesystem;
  char folder[] = "/tmp/morsel-private-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  VmConfig config = test_config();
  for (fs::path* file : {&config.kernel, &config.initramfs}) {
    const fs::path copy = fs::path(folder) / file->filename();
    fs::copy_file(*file, copy);
    *file = copy;
  }
  auto connection = VmConnection::start(config);
  const VmInfo vm = connection->info();
  const fs::path stage = read_file(VmPaths(vm.name).stage_note);
  EXPECT_TRUE(fs::exists(stage / config.kernel.filename())) << stage;
  connection.reset();
  EXPECT_FALSE(fs::exists(stage)) << stage;
  EXPECT_EQ(remains_of(vm), "");
  fs::remove_all(folder);
}

TEST(Vm, AnswersSeveralClientsEachItsOwn)
{
  const auto owner = VmConnection::start(test_config());
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int client = 0; client < 4; ++client)
    threads.emplace_back([&, client] {
      const auto connection = VmConnection::attach(owner->info().name);
      for (int i = 0; i < 5; ++i) {
        const std::string text = std::to_string(client) + "." + std::to_string(i);
        right += connection->request("run", {{"argv", {"echo", text}}})["stdout"] == text + "\n";
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 20);
}

TEST(Vm, AnswersOthersWhileAProgramRuns)
{
  const auto connection = VmConnection::start(test_config());
  const Json started = connection->request("run", {{"argv", {"tail", "-f", "/dev/null"}}, {"detach", true}});
  Json ended;
  std::thread waiter([&] { ended = connection->request("wait", {{"pid", started["pid"]}}); });
  EXPECT_NO_THROW(connection->request("greet"));
  connection->request("kill", {{"pid", started["pid"]}, {"signal", "SIGTERM"}});
  waiter.join();
  EXPECT_EQ(ended.value("signal", 0), SIGTERM) << ended.dump();
}

TEST(Vm, TellsEventsToEveryClient)
{
  const auto owner = VmConnection::start(test_config());
  const auto other = VmConnection::attach(owner->info().name);
  std::mutex mutex;
  std::condition_variable changed;
  int heard = 0;
  for (const auto& connection : {owner.get(), other.get()})
    connection->listen([&](const Json& event) {
      const std::lock_guard lock(mutex);
      heard += event["event"] == "OBJECT_CHANGED";
      changed.notify_all();
    });
  owner->request("object-create", {{"name", "heard"}, {"bytes", 1 << 21}});
  std::unique_lock lock(mutex);
  EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return heard >= 2; })) << heard;
  lock.unlock();
  owner->listen({});
  other->listen({});
}

TEST(Vm, TellsWhatADetachedProgramWrites)
{
  const auto connection = VmConnection::start(test_config());
  std::mutex mutex;
  std::condition_variable changed;
  std::string written, complaints;
  connection->listen([&](const Json& event) {
    const std::lock_guard lock(mutex);
    if (event["event"] == "PROGRAM_OUTPUT") written += event["data"].value("text", "");
    if (event["event"] == "AGENT_COMPLAINT") complaints += event["data"].value("text", "");
    changed.notify_all();
  });
  connection->request("run", {{"argv", {"echo", "from a detached program"}}, {"detach", true}});
  std::unique_lock lock(mutex);
  EXPECT_TRUE(
      changed.wait_for(lock, std::chrono::seconds(60), [&] { return !written.empty() || !complaints.empty(); }));
  EXPECT_EQ(written, "from a detached program\n");
  EXPECT_EQ(complaints, "");
  lock.unlock();
  connection->listen({});
}

TEST(Vm, WritesAConsoleThatCanBeFollowedToItsEnd)
{
  auto connection = VmConnection::start(test_config());
  const std::string name = connection->info().name;
  std::string followed;
  std::mutex mutex;
  std::condition_variable changed;
  std::thread follower([&] {
    follow_vm_console(name, [&](std::string_view text) {
      const std::lock_guard lock(mutex);
      followed += text;
      changed.notify_all();
    });
  });
  connection->request("run", {{"argv", {"sh", "-c", "echo mark-on-the-console > /dev/console"}}});
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] {
      return followed.find("mark-on-the-console") != std::string::npos;
    })) << followed;
  }
  EXPECT_NE(vm_console(name).find("mark-on-the-console"), std::string::npos);
  connection.reset();
  follower.join();
}

}  // namespace
}  // namespace morsel::testvm
