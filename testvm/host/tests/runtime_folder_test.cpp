// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/runtime_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Failure;

// XDG_RUNTIME_DIR is a new folder for each test.
class RuntimeFolder : public testing::Test {
 protected:
  void SetUp() override
  {
    char name[] = "/tmp/morsel-runtime-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    base_ = name;
    if (const char* old = std::getenv("XDG_RUNTIME_DIR")) old_ = old;
    setenv("XDG_RUNTIME_DIR", name, 1);
  }
  void TearDown() override
  {
    if (old_)
      setenv("XDG_RUNTIME_DIR", old_->c_str(), 1);
    else
      unsetenv("XDG_RUNTIME_DIR");
    fs::remove_all(base_);
  }
  fs::path base_;
  std::optional<std::string> old_;
};

TEST_F(RuntimeFolder, IsOursAlone)
{
  const fs::path folder = runtime_folder();
  EXPECT_EQ(folder, base_ / "morselscope");
  struct stat status {};
  ASSERT_EQ(stat(folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
}

TEST_F(RuntimeFolder, IsRefusedIfOthersMayEnterIt)
{
  chmod(runtime_folder().c_str(), 0755);
  EXPECT_THROW(runtime_folder(), Failure);
}

TEST_F(RuntimeFolder, IsRefusedIfItIsALink)
{
  fs::create_directory(base_ / "elsewhere");
  chmod((base_ / "elsewhere").c_str(), 0700);
  fs::create_directory_symlink(base_ / "elsewhere", base_ / "morselscope");
  EXPECT_THROW(runtime_folder(), Failure);
}

TEST_F(RuntimeFolder, TakesOnlyPlainNames)
{
  for (const char* good : {"a", "A-1", "tour", "x.y_z", "0123456789012345678901234567890123456789"})
    EXPECT_NO_THROW(check_vm_name(good)) << good;
  for (const char* bad :
       {"", ".", "..", "a/b", "-x", ".x", "a b", "ä", "a\n", "daemons", "01234567890123456789012345678901234567890"})
    EXPECT_THROW(check_vm_name(bad), Failure) << bad;
}

TEST_F(RuntimeFolder, LocksOnce)
{
  const fs::path file = runtime_folder() / "x.lock";
  auto first = take_lock(file, Wait::no);
  ASSERT_TRUE(first);
  EXPECT_FALSE(take_lock(file, Wait::no));
  first.reset();
  EXPECT_TRUE(take_lock(file, Wait::no));
}

// The owner removes the file before it lets go: a waiter must not end up with a lock on a file without a name.
TEST_F(RuntimeFolder, WaitsForALockThatGoesAwayWithItsFile)
{
  const fs::path file = runtime_folder() / "x.lock";
  auto first = take_lock(file, Wait::no);
  std::optional<UniqueFd> second;
  std::thread waiter([&] { second = take_lock(file, Wait::yes); });
  fs::remove(file);
  first.reset();
  waiter.join();
  ASSERT_TRUE(second);
  EXPECT_TRUE(fs::exists(file));
  EXPECT_FALSE(take_lock(file, Wait::no));
}

TEST_F(RuntimeFolder, RemovesWhatAHolderLeft)
{
  const VmPaths paths("x");
  fs::create_directory(paths.folder);
  write_file(paths.console, "text", 0600);
  write_file(paths.socket, "", 0600);
  const fs::path stage = make_stage(paths);
  write_file(stage / "kernel", "text", 0644);
  EXPECT_EQ(known_vm_names(), std::vector<std::string>{"x"});
  remove_vm_files(paths);
  EXPECT_TRUE(known_vm_names().empty());
  EXPECT_FALSE(fs::exists(paths.folder));
  EXPECT_FALSE(fs::exists(stage));
}

TEST_F(RuntimeFolder, RemovesNoFolderButStages)
{
  const VmPaths paths("x");
  const fs::path precious = base_ / "precious", stage = make_stage((fs::create_directory(paths.folder), paths));
  fs::create_directory(precious);
  for (const fs::path& named :
       {precious, stage / ".." / base_.filename(), stage / "..", fs::path("/tmp"), fs::path()}) {
    fs::create_directories(paths.folder);
    write_file(paths.stage_note, named.string(), 0600);
    remove_vm_files(paths);
    EXPECT_TRUE(fs::exists(precious)) << named;
  }
  fs::remove_all(stage);
}

TEST_F(RuntimeFolder, SaysWhenASocketsPathIsTooLong)
{
  EXPECT_THROW(listen_unix(base_ / std::string(120, 'x')), Failure);
}

}  // namespace
}  // namespace morsel::testvm
