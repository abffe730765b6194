// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a saved file replaces, and what not.
#include "engine/session/output_file.hpp"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/session/failure.hpp"
#include "engine/session/tests/own_mounts.hpp"

namespace morsel::session {
namespace {

namespace fs = std::filesystem;

class SavedFile : public testing::Test {
 protected:
  SavedFile()
  {
    std::string name = (fs::path(testing::TempDir()) / "saved-XXXXXX").string();
    folder = mkdtemp(name.data());
  }
  ~SavedFile() override { fs::remove_all(folder); }

  static void save(const fs::path& path, const std::string& text)
  {
    OutputFile file(path.string(), "save it");
    file.write(text.data(), text.size());
    file.close();
  }
  static std::string refusal(const fs::path& path)
  {
    try {
      save(path, "new");
    } catch (const Failure& failure) {
      return failure.what();
    }
    return "saved";
  }
  static std::string read(const fs::path& path)
  {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
  static std::ptrdiff_t count(const fs::path& where)
  {
    return std::distance(fs::directory_iterator(where), fs::directory_iterator{});
  }

  fs::path folder;
};

TEST_F(SavedFile, ReplacesAFileAndKeepsItsMode)
{
  put(folder / "a", "old");
  fs::permissions(folder / "a", fs::perms::owner_read | fs::perms::owner_write);
  save(folder / "a", "new");
  EXPECT_EQ(read(folder / "a"), "new");
  EXPECT_EQ(fs::status(folder / "a").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(count(folder), 1);
}

TEST_F(SavedFile, LeavesWhatIsNoOrdinaryFile)
{
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_NE(refusal(folder / "pipe").find("no ordinary file"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(folder / "pipe"));
  fs::create_symlink("pipe", folder / "link");
  EXPECT_NE(refusal(folder / "link").find("no ordinary file"), std::string::npos);
  EXPECT_NE(refusal(folder).find("no ordinary file"), std::string::npos);
  EXPECT_EQ(count(folder), 2);
}

// As root; the node is the test's own.
TEST_F(SavedFile, LeavesADevice)
{
  if (mknod((folder / "null").c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) GTEST_SKIP() << "no node can be made here";
  EXPECT_NE(refusal(folder / "null").find("no ordinary file"), std::string::npos);
  EXPECT_TRUE(fs::is_character_file(folder / "null"));
}

TEST_F(SavedFile, WritesWhatALinkNames)
{
  fs::create_directory(folder / "below");
  put(folder / "below" / "a", "old");
  fs::create_symlink("below/a", folder / "link");
  fs::create_symlink("link", folder / "second");
  fs::create_symlink(folder / "below" / "b", folder / "dangling");
  save(folder / "second", "new");
  save(folder / "dangling", "first");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read(folder / "below" / "a"), "new");
  EXPECT_EQ(read(folder / "below" / "b"), "first");
  fs::create_symlink("circle", folder / "circle");
  EXPECT_NE(refusal(folder / "circle").find("symbolic links"), std::string::npos) << refusal(folder / "circle");
}

TEST_F(SavedFile, TouchesNobodyElsesPartialFile)
{
  const fs::path other = folder / ("a.part-" + std::to_string(getpid()) + "-0");
  put(folder / "a.part", "somebody's");
  put(other, "another one's");
  save(folder / "a", "new");
  EXPECT_EQ(read(folder / "a.part"), "somebody's");
  EXPECT_EQ(read(other), "another one's");
  EXPECT_EQ(read(folder / "a"), "new");
}

TEST_F(SavedFile, SaysWhyThereCanBeNone)
{
  EXPECT_NE(refusal(folder / "nowhere" / "a").find("No such file"), std::string::npos);
}

// A file system of 64 KiB, in a child's own mounts.
TEST_F(SavedFile, OnAFullDiskTheOldOneStays)
{
  const pid_t child = fork();
  if (child == 0) {
    if (!has_own_mounts() || mount("small", folder.c_str(), "tmpfs", 0, "size=64k") != 0) _exit(77);
    std::string found = "saved";
    try {
      save(folder / "a", "old");
      save(folder / "a", std::string(200'000, 'x'));
    } catch (const Failure& failure) {
      found = failure.found();
    }
    EXPECT_EQ(found, "No space left on device");
    EXPECT_EQ(read(folder / "a"), "old");
    EXPECT_EQ(count(folder), 1);
    _exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespace can be had here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace morsel::session
