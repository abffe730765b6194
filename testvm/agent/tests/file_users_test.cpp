// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/agent/file_users.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {
namespace {

class FileUsers : public testing::Test {
 protected:
  FileUsers()
  {
    std::string path = std::filesystem::temp_directory_path() / "users-XXXXXX";
    folder_ = mkdtemp(path.data());
    std::ifstream("/proc/self/comm") >> name_;
  }
  ~FileUsers() override { std::filesystem::remove_all(folder_); }

  UniqueFd open_new(const std::string& name) const
  {
    UniqueFd fd(open((folder_ + "/" + name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_EQ(ftruncate(fd.get(), 4096), 0);
    return fd;
  }
  std::string own(const std::string& what) const
  {
    return name_ + " (pid " + std::to_string(getpid()) + ") has " + what;
  }

  std::string folder_, name_;
};

TEST_F(FileUsers, AreThoseThatHaveAFileOpenOrMapped)
{
  EXPECT_TRUE(users_of_files_in(folder_, 10).empty());
  const UniqueFd held = open_new("held");
  UniqueFd mapped = open_new("mapped");
  void* const memory = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, mapped.get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  mapped.reset();
  EXPECT_EQ(users_of_files_in(folder_, 10), (std::vector{own("'held' open"), own("'mapped' mapped")}));
  EXPECT_EQ(users_of_files_in(folder_, 1), (std::vector{own("'held' open")}));
  munmap(memory, 4096);
  EXPECT_EQ(users_of_files_in(folder_, 10), (std::vector{own("'held' open")}));
}

TEST_F(FileUsers, OfAFolderWithTheSameBeginningAreOthers)
{
  const UniqueFd held = open_new("held");
  EXPECT_TRUE(users_of_files_in(folder_.substr(0, folder_.size() - 1), 10).empty());
}

}  // namespace
}  // namespace morsel::agent
