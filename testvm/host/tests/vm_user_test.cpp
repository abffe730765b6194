// SPDX-License-Identifier: GPL-2.0-or-later
//
// An ordinary user: qemu:///session with daemons of that user's own, which we start and stop, or which the user has
// started, and those stay. Needs root to make an account for the test.
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "testvm/host/tests/vm_machine.hpp"
#include "testvm/host/vm_connection.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;

constexpr const char* account = "morsel-test";

int run(const std::vector<std::string>& argv)
{
  ChildSetup setup;
  setup.argv = argv;
  setup.argv[0] = find_program(argv[0]).value_or(argv[0]).string();
  return wait_child(start_child(setup));
}

// The account, and a folder of its own with all that it needs; both go with the object.
class Account {
 public:
  Account()
  {
    run({"userdel", "-r", account});  // from a test that was killed
    if (run({"useradd", "-m", "-s", "/bin/sh", account}) != 0) return;
    const passwd* user = getpwnam(account);
    char name[] = "/tmp/morsel-user-XXXXXX";
    if (!user || !mkdtemp(name)) return;
    folder_ = name;
    uid_ = user->pw_uid;
    gid_ = user->pw_gid;
    home_ = user->pw_dir;
    fs::create_directory(run_folder());
    chmod(run_folder().c_str(), 0700);
    chmod(folder_.c_str(), 0755);
    made_ = chown(run_folder().c_str(), uid_, gid_) == 0;
  }
  ~Account()
  {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
    run({"userdel", "-r", account});
  }
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  bool made() const { return made_; }
  uid_t uid() const { return uid_; }
  fs::path folder() const { return folder_; }
  fs::path run_folder() const { return folder_ / "run"; }
  fs::path take(const fs::path& file) const
  {
    fs::path copy = folder_ / file.filename();
    fs::copy_file(file, copy);
    chmod(copy.c_str(), 0755);
    return copy;
  }
  std::vector<std::string> command(std::vector<std::string> argv) const
  {
    std::vector<std::string> all = {find_program("setpriv").value_or("setpriv").string(),
                                    "--reuid=" + std::to_string(uid_),
                                    "--regid=" + std::to_string(gid_),
                                    "--init-groups",
                                    "/usr/bin/env",
                                    "-i",
                                    "PATH=/usr/bin:/bin",
                                    "HOME=" + home_,
                                    std::string("USER=") + account,
                                    "XDG_RUNTIME_DIR=" + run_folder().string()};
    all.insert(all.end(), argv.begin(), argv.end());
    return all;
  }

 private:
  fs::path folder_;
  std::string home_;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  bool made_ = false;
};

std::vector<pid_t> processes_of(uid_t uid)
{
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    struct stat status {};
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos || stat(entry.path().c_str(), &status) != 0) continue;
    // A zombie is gone: only its collector is late.
    if (status.st_uid == uid && !read_file(entry.path() / "cmdline").empty()) found.push_back(std::stoi(name));
  }
  return found;
}

// The keeper of that user's daemons stops them, and ends, by itself.
void wait_for_processes_of(uid_t uid)
{
  for (const pid_t pid : processes_of(uid))
    EXPECT_TRUE(process_ends(pid)) << read_file("/proc/" + std::to_string(pid) + "/cmdline");
  EXPECT_TRUE(processes_of(uid).empty());
}

std::vector<pid_t> processes_of(uid_t uid, const std::string& argument_part)
{
  std::vector<pid_t> found = processes_of(uid);
  std::erase_if(found, [&](pid_t pid) {
    return read_file("/proc/" + std::to_string(pid) + "/cmdline").find(argument_part) == std::string::npos;
  });
  return found;
}

void expect_no_files_of(const Account& user)
{
  const fs::path runtime = user.run_folder() / "morselscope";
  EXPECT_TRUE(fs::is_empty(runtime)) << fs::directory_iterator(runtime)->path();
}

void expect_that_a_vm_runs_for(const Account& user)
{
  const VmConfig config = test_config();
  const fs::path program = user.take("/proc/self/exe").parent_path() / "testvm_vm_test";
  fs::rename(user.folder() / "exe", program);
  user.take(holder_program());
  const fs::path kernel = user.take(config.kernel), initramfs = user.take(config.initramfs);

  const fs::path errors = user.folder() / "errors", output = user.folder() / "output";
  write_file(errors, "", 0600);
  write_file(output, "", 0600);
  std::string command = "exec";
  for (const std::string& word : user.command({program, "as-user", kernel, initramfs})) command += " '" + word + "'";
  EXPECT_EQ(run({"sh", "-c", command + " >" + output.string() + " 2>" + errors.string()}), 42) << read_file(errors);
  EXPECT_EQ(read_file(output), "qemu:///session morsel-users from-the-guest\n");
}

// The user's own daemon, in the background. It starts virtlogd for itself.
class OwnLibvirtd {
 public:
  explicit OwnLibvirtd(const Account& user) : user_(user)
  {
    const auto program = find_program("libvirtd");
    if (!program || run(user.command({*program, "-d"})) != 0) return;  // it returns when it can be connected to
    const auto found = processes_of(user.uid(), "libvirtd");
    if (found.size() == 1) pid_ = found[0];
  }
  ~OwnLibvirtd()
  {
    for (const char* name : {"libvirtd", "virtlogd"})
      for (const pid_t pid : processes_of(user_.uid(), name)) kill(pid, SIGTERM);
    wait_for_processes_of(user_.uid());
  }
  OwnLibvirtd(const OwnLibvirtd&) = delete;
  OwnLibvirtd& operator=(const OwnLibvirtd&) = delete;

  pid_t pid() const { return pid_; }

 private:
  const Account& user_;
  pid_t pid_ = 0;
};

TEST(OrdinaryUser, RunsAVmInASessionOfTheirOwnAndNothingStays)
{
  if (geteuid() != 0) GTEST_SKIP() << "making an account needs root";
  const Account user;
  ASSERT_TRUE(user.made()) << "the account '" << account << "' could not be made";
  expect_that_a_vm_runs_for(user);
  wait_for_processes_of(user.uid());
  expect_no_files_of(user);
}

TEST(OrdinaryUser, KeepsTheLibvirtdThatTheyHaveStarted)
{
  if (geteuid() != 0) GTEST_SKIP() << "making an account needs root";
  const Account user;
  ASSERT_TRUE(user.made()) << "the account '" << account << "' could not be made";
  const OwnLibvirtd daemon(user);
  ASSERT_NE(daemon.pid(), 0);
  expect_that_a_vm_runs_for(user);
  for (const pid_t holder : processes_of(user.uid(), "morsel-vm-holder")) EXPECT_TRUE(process_ends(holder));
  EXPECT_EQ(processes_of(user.uid(), "libvirtd"), std::vector<pid_t>{daemon.pid()});
  expect_no_files_of(user);
}

}  // namespace
}  // namespace morsel::testvm
