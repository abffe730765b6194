// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/runtime_folder.hpp"

#include <sys/stat.h>

#include <fstream>

#include "engine/session/server/tests/door.hpp"

namespace morsel::session {
namespace {

namespace fs = std::filesystem;

class RuntimeFolder : public Door {
 protected:
  std::string refusal() const
  {
    try {
      runtime_folder();
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), Exit::target_lost);
      EXPECT_NE(failure.advice().find("XDG_RUNTIME_DIR"), std::string::npos);
      return failure.found();
    }
    return "it was taken";
  }
  fs::path folder() const { return folder_ / "morselscope"; }
};

TEST_F(RuntimeFolder, IsMadeForItsOwnerAlone)
{
  EXPECT_EQ(runtime_folder(), folder());
  struct stat status {};
  ASSERT_EQ(stat(folder().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  EXPECT_EQ(runtime_folder(), folder());
}

TEST_F(RuntimeFolder, IsRefusedIfItIsNotItsOwnersAlone)
{
  fs::create_directory(folder());
  fs::permissions(folder(), fs::perms::owner_all | fs::perms::group_exec);
  EXPECT_NE(refusal().find("others may enter it"), std::string::npos);
  fs::remove(folder());
  fs::create_directory(folder_ / "elsewhere");
  fs::permissions(folder_ / "elsewhere", fs::perms::owner_all);
  fs::create_symlink(folder_ / "elsewhere", folder());
  EXPECT_NE(refusal().find("is a link"), std::string::npos);
  fs::remove(folder());
  std::ofstream(folder()) << "a file";
  EXPECT_NE(refusal(), "it was taken");
}

TEST_F(RuntimeFolder, SaysWhyItCannotBeMade)
{
  setenv("XDG_RUNTIME_DIR", (folder_ / "none").c_str(), 1);
  EXPECT_EQ(refusal(), "No such file or directory");
}

// What is no whole path counts as little as none.
TEST_F(RuntimeFolder, IsTheUsersWithoutAFolderInTheEnvironment)
{
  unsetenv("XDG_RUNTIME_DIR");
  const std::string user = std::to_string(geteuid());
  const fs::path found = runtime_folder();
  EXPECT_TRUE(found == "/run/user/" + user + "/morselscope" || found == "/tmp/morselscope-" + user) << found;
  setenv("XDG_RUNTIME_DIR", "morsel-door-relative", 1);
  EXPECT_EQ(runtime_folder(), found);
}

TEST(PlainName, IsFitForAFile)
{
  for (const char* name : {"a", "A-1_b.c", "_", "9"}) EXPECT_TRUE(is_plain_name(name)) << name;
  EXPECT_TRUE(is_plain_name(std::string(40, 'a')));
  EXPECT_FALSE(is_plain_name(std::string(41, 'a')));
  for (const char* name : {"", ".", "..", ".a", "-a", "a/b", "a b", "ä"}) EXPECT_FALSE(is_plain_name(name)) << name;
}

TEST_F(RuntimeFolder, ALockHasOneOwner)
{
  const fs::path file = folder_ / "lock";
  auto first = take_lock(file, Wait::no);
  ASSERT_TRUE(first);
  EXPECT_FALSE(take_lock(file, Wait::no));
  fs::remove(file);
  EXPECT_TRUE(take_lock(file, Wait::no)) << "another file, another lock";
  first.reset();
  EXPECT_TRUE(take_lock(file, Wait::yes));
}

TEST_F(RuntimeFolder, SaysWhyALockCannotBeOpened)
{
  try {
    take_lock(folder_ / "none" / "lock", Wait::no);
    ADD_FAILURE() << "it was taken";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), Exit::target_lost);
    EXPECT_EQ(failure.found(), "No such file or directory");
  }
}

}  // namespace
}  // namespace morsel::session
