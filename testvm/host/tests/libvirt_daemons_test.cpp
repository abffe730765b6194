// SPDX-License-Identifier: GPL-2.0-or-later
//
// libvirt's daemons: where nobody else starts them, they come with a VM and go with it; others are left alone.
// A program of its own: the other ones keep the daemons from their first test to their last.
//
// As root, on a machine of its own as far as processes, /run and network go: whatever runs on this one, nobody notices,
// and nothing can stay.
#include "testvm/host/libvirt_daemons.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "testvm/host/runtime_folder.hpp"
#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_control.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of_daemons()
{
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(runtime_folder()))
    if (entry.path().stem().string().starts_with("daemons")) names.push_back(entry.path().filename());
  return names;
}

std::vector<pid_t> children_of(pid_t pid)
{
  const std::string number = std::to_string(pid);
  std::ifstream list("/proc/" + number + "/task/" + number + "/children");
  std::vector<pid_t> children;
  for (pid_t child; list >> child;) children.push_back(child);
  return children;
}

bool apart = false;  // whether this machine is the tests' own

bool mount_own_machine()
{
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0 &&
         mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") == 0 &&
         setenv("XDG_RUNTIME_DIR", "/run", 1) == 0;
}

// Its first process ends with this one, and everything in it with the first.
int run_all_tests_apart()
{
  const pid_t first = fork();
  if (first != 0) return first < 0 ? 1 : wait_child(first);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  apart = mount_own_machine();
  std::exit(apart ? RUN_ALL_TESTS() : 1);
}

pid_t libvirtd()
{
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string arguments = read_file(entry.path() / "cmdline");
    if (arguments.substr(0, arguments.find('\0')).ends_with("/libvirtd")) return std::stoi(entry.path().filename());
  }
  return 0;
}

TEST(LibvirtDaemons, ComeWithAVmAndGoWithIt)
{
  if (!vm_list().empty()) GTEST_SKIP() << "another VM runs, and needs the daemons";
  // Those of the test before this one may still be ending.
  ASSERT_TRUE(process_ends(parent_of(daemon_of_keeper())));
  quiet_libvirt();
  if (try_connect(default_uri())) GTEST_SKIP() << "this machine's own libvirt runs";

  auto connection = VmConnection::start(test_config());
  const VmInfo vm = connection->info();
  const pid_t daemon = daemon_of_keeper();
  ASSERT_NE(daemon, 0);
  const pid_t keeper = parent_of(daemon);
  const auto children = children_of(keeper);
  for (const pid_t pid : {daemon, vm.process}) EXPECT_EQ(std::count(children.begin(), children.end(), pid), 1) << pid;
  EXPECT_FALSE(files_of_daemons().empty());

  connection.reset();
  EXPECT_TRUE(process_ends(keeper));
  for (const pid_t pid : children) EXPECT_TRUE(process_ends(pid)) << pid;
  EXPECT_FALSE(try_connect(default_uri()));
  EXPECT_EQ(files_of_daemons(), std::vector<std::string>{});
}

TEST(LibvirtDaemons, OfSomebodyElseAreUsedAndLeftAlone)
{
  if (!apart) GTEST_SKIP() << "a libvirtd would be started on this machine; it needs root and namespaces";
  ChildSetup setup;
  setup.argv = {find_program("libvirtd").value_or("libvirtd").string(), "-d"};
  ASSERT_EQ(wait_child(start_child(setup)), 0);  // it can be connected to now
  const pid_t daemon = libvirtd();
  ASSERT_NE(daemon, 0);
  {
    const Libvirt libvirt = open_libvirt(default_uri(), holder_program());
    EXPECT_TRUE(libvirt.connection);
    EXPECT_FALSE(libvirt.lease.started_by_us());
    EXPECT_EQ(daemon_of_keeper(), 0);
  }
  EXPECT_EQ(libvirtd(), daemon);
  EXPECT_EQ(files_of_daemons(), std::vector<std::string>{});
  kill(daemon, SIGTERM);
  EXPECT_TRUE(process_ends(daemon));
}

// Who asks for a lease and fails lets go of it first, and of the lock then.
TEST(LibvirtDaemons, GoAlsoIfTheirLastUserWentWhileSomebodyHeldTheLock)
{
  if (!apart) GTEST_SKIP() << "a libvirtd would be started on this machine; it needs root and namespaces";
  const fs::path lock_file = runtime_folder() / "daemons.lock";
  auto lock = take_lock(lock_file, Wait::yes);
  const SocketPair pair = make_socket_pair("test");
  ChildSetup setup;
  setup.argv = {holder_program().string(), "keep-daemons", std::to_string(pair.theirs.get())};
  setup.kept = {pair.theirs.get()};
  ASSERT_EQ(wait_child(start_child(setup)), 0);
  ASSERT_TRUE(wait_readable(pair.ours.get(), Milliseconds(60'000)));  // it listens
  auto lease = connect_unix(runtime_folder() / "daemons.sock");
  ASSERT_TRUE(lease);
  EXPECT_EQ(read_line(lease->get(), Milliseconds(60'000)), "ready");
  const pid_t keeper = parent_of(libvirtd());

  const UniqueFd notes(inotify_init1(IN_CLOEXEC));
  ASSERT_GE(inotify_add_watch(notes.get(), lock_file.c_str(), IN_CLOSE_WRITE), 0);
  lease.reset();
  EXPECT_TRUE(wait_readable(notes.get(), Milliseconds(60'000)));  // the keeper has tried to take the lock
  lock.reset();
  EXPECT_TRUE(process_ends(keeper));
  EXPECT_EQ(libvirtd(), 0);
  EXPECT_EQ(files_of_daemons(), std::vector<std::string>{});
}

}  // namespace
}  // namespace morsel::testvm

int main(int argc, char** argv)
{
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() == 0 && unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) == 0)
    return morsel::testvm::run_all_tests_apart();
  return RUN_ALL_TESTS();
}
