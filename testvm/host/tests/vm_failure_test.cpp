// SPDX-License-Identifier: GPL-2.0-or-later
//
// Everything that can go wrong with a VM: each is reported in words, and nothing of the VM is left.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "testvm/host/libvirt.hpp"
#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_connection.hpp"
#include "testvm/host/vm_control.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

// What the request, or the start, throws.
template <class F>
Failure failure_of(F&& work)
{
  try {
    work();
  } catch (const Failure& failure) {
    return failure;
  }
  ADD_FAILURE() << "it did not fail";
  return {Exit::done, "", ""};
}

void expect_says(const Failure& failure, const std::string& words)
{
  EXPECT_NE(std::string(failure.what()).find(words), std::string::npos) << failure.what();
}

// An endless program in the guest: its request is open while the VM is lost.
void wait_in_guest(VmConnection& connection)
{
  connection.run({{"argv", {"tail", "-f", "/dev/null"}}}, {});
}

TEST(LostVm, KilledHolderTakesEverythingWithIt)
{
  const auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  kill(vm.holder, SIGKILL);
  const Failure failure = failure_of([&] { wait_in_guest(*connection); });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  EXPECT_EQ(remains_of(vm), "");
}

TEST(LostVm, KilledOwnerTakesEverythingWithIt)
{
  const std::string name = test_config().name;
  const SocketPair pair = make_socket_pair("test");
  ChildSetup setup;
  setup.argv = {"/proc/" + std::to_string(getpid()) + "/exe", "own", name};
  setup.output = pair.theirs.get();
  setup.parent_death_signal = SIGKILL;
  const pid_t owner = start_child(setup);
  ASSERT_EQ(read_line(pair.ours.get(), Milliseconds(180'000)), "ready");
  const VmInfo vm = VmConnection::attach(name)->info();
  kill(owner, SIGKILL);
  EXPECT_EQ(wait_child(owner), 128 + SIGKILL);
  EXPECT_TRUE(process_ends(vm.holder));
  EXPECT_EQ(remains_of(vm), "");
}

// Killed before the guest has greeted: an owner, and `vm up`, whose VM would have stayed.
void expect_that_nothing_is_left_of_a_start_by(const char* starter)
{
  VmInfo vm;
  vm.name = test_config().name;
  vm.domain = "morsel-" + vm.name;
  vm.uri = default_uri();
  ChildSetup setup;
  setup.argv = {"/proc/" + std::to_string(getpid()) + "/exe", starter, vm.name};
  setup.parent_death_signal = SIGKILL;
  const pid_t process = start_child(setup);
  EXPECT_TRUE(domain_comes(vm));
  kill(process, SIGKILL);
  EXPECT_EQ(wait_child(process), 128 + SIGKILL);
  EXPECT_EQ(remains_of(vm), "");
}

TEST(LostVm, OwnerKilledDuringTheStartTakesEverythingWithIt) { expect_that_nothing_is_left_of_a_start_by("own"); }

TEST(LostVm, VmUpKilledDuringTheStartTakesEverythingWithIt) { expect_that_nothing_is_left_of_a_start_by("up"); }

// What scripts/start relies on when it is killed.
TEST(LostVm, EndsWithTheProcessThatItWasBoundTo)
{
  ChildSetup setup;
  setup.argv = {"/usr/bin/tail", "-f", "/dev/null"};
  setup.parent_death_signal = SIGKILL;
  const pid_t process = start_child(setup);
  VmConfig config = test_config();
  config.while_process = process;
  const VmInfo vm = vm_up(config);
  const auto connection = VmConnection::attach(vm.name);
  kill(process, SIGKILL);
  wait_child(process);
  const Failure failure = failure_of([&] { wait_in_guest(*connection); });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "the process " + std::to_string(process) + ", with which it was to end, has ended");
  EXPECT_TRUE(process_ends(vm.holder));
  EXPECT_EQ(remains_of(vm), "");
}

TEST(LostVm, KilledGuardianTakesEverythingWithIt)
{
  const auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  kill(parent_of(vm.holder), SIGKILL);
  EXPECT_EQ(failure_of([&] { wait_in_guest(*connection); }).code(), Exit::target_lost);
  EXPECT_TRUE(process_ends(vm.holder));
  EXPECT_FALSE(domain_exists(vm));
  vm_list();  // without a guardian the files stay, until somebody looks
  EXPECT_EQ(remains_of(vm), "");
}

TEST(LostVm, HolderAndGuardianKilledAtOnceLeaveTheNameFree)
{
  const VmConfig config = test_config();
  auto connection = VmConnection::start(config);
  const VmInfo vm = connection->info();
  const pid_t guardian = parent_of(vm.holder);
  kill(guardian, SIGSTOP);
  kill(vm.holder, SIGKILL);
  kill(guardian, SIGKILL);
  EXPECT_TRUE(process_ends(guardian));
  connection = VmConnection::start(config);  // libvirt may still be about to end the old one
  EXPECT_TRUE(process_ends(vm.process));
  EXPECT_NO_THROW(connection->request("greet"));
}

TEST(LostVm, KilledQemuIsReportedWithTheConsole)
{
  const auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  connection->request("run", {{"argv", {"sh", "-c", "echo last-line-of-the-console > /dev/console"}}});
  kill(vm.process, SIGKILL);
  const Failure failure = failure_of([&] { wait_in_guest(*connection); });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "last-line-of-the-console");
  EXPECT_EQ(remains_of(vm), "");
}

TEST(LostVm, DomainDestroyedBySomebodyElseIsReported)
{
  const auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  const Connection libvirt = try_connect(vm.uri);
  ASSERT_TRUE(libvirt);
  const Domain domain(virDomainLookupByName(libvirt.get(), vm.domain.c_str()));
  ASSERT_TRUE(domain);
  EXPECT_EQ(virDomainDestroy(domain.get()), 0);
  const Failure failure = failure_of([&] { wait_in_guest(*connection); });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "somebody else destroyed the domain");
  EXPECT_EQ(remains_of(vm), "");
}

// Only a libvirtd of ours: the keeper is its parent, and its name is the holder's program's.
TEST(LostVm, KilledLibvirtTakesItsVmsAndIsStartedAgain)
{
  const auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  const pid_t daemon = daemon_of_keeper();
  if (daemon == 0) GTEST_SKIP() << "this machine's own libvirt runs";
  if (vm_list().size() > 1) GTEST_SKIP() << "another VM runs, and would be lost";
  kill(daemon, SIGKILL);
  const Failure failure = failure_of([&] { wait_in_guest(*connection); });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "libvirt's daemon ended");
  EXPECT_EQ(remains_of(vm), "");
  EXPECT_NO_THROW(VmConnection::start(test_config())->request("greet"));
}

TEST(LostVm, PanicIsReportedWithTheConsole)
{
  const auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  const Failure failure = failure_of([&] {
    connection->run({{"argv", {"sh", "-c", "echo c > /proc/sysrq-trigger"}}}, {});
  });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "Kernel panic - not syncing: sysrq triggered crash");
  EXPECT_EQ(failure_of([&] { connection->request("greet"); }).code(), Exit::target_lost);
  EXPECT_EQ(remains_of(vm), "");
}

TEST(LostVm, PowerOffFromWithinIsReported)
{
  const auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  const Failure failure = failure_of([&] {
    connection->request("power-off");
    wait_in_guest(*connection);
  });
  expect_says(failure, "the guest powered itself off");
  expect_says(failure, "Power down");  // the kernel's last line on the console
  EXPECT_EQ(remains_of(vm), "");
}

// QEMU stands still, and with it the guest.
TEST(LostVm, AGuestThatAnswersNoMoreIsReportedWithTheConsole)
{
  const auto connection = VmConnection::start(test_config());
  ASSERT_EQ(kill(connection->info().process, SIGSTOP), 0);
  const Failure failure = failure_of([&] { connection->request("counters", Json::object(), Milliseconds(2'000)); });
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "the guest has not answered for 2 s");
  expect_says(failure, "the console's last lines");
  EXPECT_EQ(kill(connection->info().process, SIGCONT), 0);
}

// A program may run for ever, but not in a guest that stands still; and that guest is ended like any other.
TEST(LostVm, AGuestThatStopsUnderAProgramIsReportedAndTornDown)
{
  auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  constexpr Milliseconds silence(3'000);
  auto program = std::async(std::launch::async, [&] {
    return failure_of([&] { connection->run({{"argv", {"tail", "-f", "/dev/null"}}}, {}, silence); });
  });
  ASSERT_EQ(kill(vm.process, SIGSTOP), 0);
  const Failure failure = program.get();
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "run in the VM");
  expect_says(failure, "the guest has not answered for 3 s");
  connection.reset();
  EXPECT_EQ(remains_of(vm), "");
}

// The start's failure, and that nothing is left of what was started.
Failure start_failure_of(const VmConfig& config)
{
  Failure failure = failure_of([&] { VmConnection::start(config); });
  VmInfo vm;
  vm.name = config.name;
  vm.domain = "morsel-" + config.name;
  vm.uri = default_uri();
  EXPECT_EQ(remains_of(vm), "");
  return failure;
}

TEST(FailedStart, WithoutInitIsReportedWithTheConsole)
{
  VmConfig config = test_config();
  config.kernel_arguments = "rdinit=/does/not/exist";
  const Failure failure = start_failure_of(config);
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "Kernel panic");
}

TEST(FailedStart, ThatHangsIsGivenUp)
{
  VmConfig config = test_config();
  config.kernel_arguments = "rdinit=/bin/busybox -- yes here-for-ever";  // says so for ever
  config.start_limit = Milliseconds(8'000);
  const Failure failure = start_failure_of(config);
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "has not greeted within 8 s");
  expect_says(failure, "here-for-ever");
}

TEST(FailedStart, OfAnImageWithoutTheModuleIsReported)
{
  const Failure failure = start_failure_of(config_without_module());
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "the image has no morsel.ko");
}

TEST(FailedStart, WithABadModuleParameterNamesWhatInitSays)
{
  VmConfig config = test_config();
  config.kernel_arguments = "morsel.granularity=3m";
  const Failure failure = start_failure_of(config);
  expect_says(failure, "MORSEL-INIT-FAILED");
  expect_says(failure, "granularity=3m");
}

TEST(FailedStart, OfAFileThatIsNoKernelIsReported)
{
  VmConfig config = test_config();
  config.kernel = config.initramfs;
  const Failure failure = start_failure_of(config);
  EXPECT_EQ(failure.code(), Exit::target_lost);
  expect_says(failure, "starting the domain");
}

TEST(FailedStart, WithBadValuesNamesThem)
{
  VmConfig config = test_config();
  config.memory_bytes = (u64{512} << 20) + 1;
  expect_says(start_failure_of(config), "536870913 bytes of memory");
  config = test_config();
  config.cpus = 0;
  EXPECT_EQ(start_failure_of(config).code(), Exit::usage);
  config = test_config();
  config.kernel = "/does/not/exist";
  expect_says(start_failure_of(config), "/does/not/exist");
  config = test_config();
  config.while_process = 1 << 22;  // one more than there can be
  expect_says(start_failure_of(config), "the process 4194304, with which it is to end, does not run");
  config = test_config();
  config.name = "no/name";
  EXPECT_EQ(failure_of([&] { VmConnection::start(config); }).code(), Exit::usage);
}

// Garbage from a client reaches neither the agent nor other clients.
TEST(HostileClient, GetsErrorsAndNobodyElseNotices)
{
  const auto owner = VmConnection::start(test_config());
  const VmPaths paths(owner->info().name);
  auto hostile = connect_unix(paths.socket);
  ASSERT_TRUE(hostile);
  constexpr Milliseconds limit{60'000};
  ASSERT_TRUE(read_line(hostile->get(), limit));  // the greeting
  const auto expect_error = [&](const std::string& line, const char* error_class) {
    ASSERT_TRUE(write_all(hostile->get(), line + "\n"));
    std::optional<std::string> answer;
    do {
      answer = read_line(hostile->get(), limit);
      ASSERT_TRUE(answer) << line.substr(0, 100);
    } while (answer->find("\"event\"") != std::string::npos);
    EXPECT_EQ(parse_message(*answer)["error"]["class"], error_class) << *answer;
  };
  expect_error("nonsense", "EBADMSG");
  expect_error("[1]", "EBADMSG");
  expect_error("{\"execute\":5,\"id\":1}", "EBADMSG");
  expect_error("{\"a\":" + std::string(100'000, '['), "EBADMSG");
  expect_error(std::string(2 * max_line_bytes, 'x'), "EMSGSIZE");
  write_all(hostile->get(), "{\"execute\":\"gre");
  hostile.reset();
  EXPECT_NO_THROW(owner->request("greet"));
}

// As the kernel closes the socket of a morselctl that is killed.
TEST(KilledClient, TakesTheProgramsThatItWaitsFor)
{
  const auto owner = VmConnection::start(test_config());
  std::promise<Json> ended;
  owner->listen([&](const Json& event) {
    if (event["event"] == "PROGRAM_ENDED") ended.set_value(event["data"]);
  });
  auto client = connect_unix(VmPaths(owner->info().name).socket);
  ASSERT_TRUE(client);
  ASSERT_TRUE(read_line(client->get(), Milliseconds(60'000)));  // the greeting
  ASSERT_TRUE(write_all(client->get(),
                        "{\"execute\":\"run\",\"arguments\":{\"argv\":[\"tail\",\"-f\",\"/dev/null\"]}}\n"
                        "{\"execute\":\"greet\",\"id\":1}\n"));
  ASSERT_TRUE(read_line(client->get(), Milliseconds(60'000)));  // so the program was started
  client.reset();
  auto result = ended.get_future();
  ASSERT_EQ(result.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_EQ(result.get().value("signal", 0), SIGKILL);
  owner->listen({});
}

// One that asks and never reads is dropped; the holder keeps a bounded amount for it.
TEST(HostileClient, ThatNeverReadsIsDropped)
{
  const auto owner = VmConnection::start(test_config());
  const VmPaths paths(owner->info().name);
  const auto hostile = connect_unix(paths.socket);
  ASSERT_TRUE(hostile);
  const std::string line = "{\"execute\":\"kernel-log\",\"id\":\"" + std::string(1000, 'x') + "\"}\n";
  constexpr int too_many = 200'000;
  int sent = 0;
  while (sent < too_many && write_all(hostile->get(), line)) ++sent;
  EXPECT_LT(sent, too_many);
  EXPECT_NO_THROW(owner->request("greet"));
}

}  // namespace
}  // namespace morsel::testvm
