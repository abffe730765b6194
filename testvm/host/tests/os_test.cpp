// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/os.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>

namespace morsel::testvm {
namespace {

using namespace std::chrono_literals;

struct TextFile {
  explicit TextFile(const std::string& text)
      : fd(memfd_create("text", MFD_CLOEXEC)), path("/proc/self/fd/" + std::to_string(fd.get()))
  {
    EXPECT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  UniqueFd fd;
  std::filesystem::path path;
};

TEST(Tail, GivesTheLastLines)
{
  const TextFile file("one\ntwo\r\nthree\n\n");
  EXPECT_EQ(tail_of(file.path, 1), "three");
  EXPECT_EQ(tail_of(file.path, 2), "two\nthree");
  EXPECT_EQ(tail_of(file.path, 99), "one\ntwo\nthree");
  EXPECT_EQ(tail_of("/nonexistent", 3), "");
}

TEST(Tail, ReadsOnlyTheEndOfALongFile)
{
  const TextFile file(std::string(1 << 20, 'x') + "\nlast");
  EXPECT_EQ(tail_of(file.path, 1), "last");
  EXPECT_EQ(tail_of(file.path, 2, 16).size(), 11u + 1 + 4);
}

TEST(Child, GivesItsOutputAndStatus)
{
  EXPECT_EQ(output_of({"/bin/sh", "-c", "echo hello"}, 30s), "hello\n");
  EXPECT_FALSE(output_of({"/bin/sh", "-c", "echo hello; exit 3"}, 30s));
  EXPECT_FALSE(output_of({"/nonexistent/program"}, 30s));
  ChildSetup setup;
  setup.argv = {"/bin/sh", "-c", "exit 7"};
  EXPECT_EQ(wait_child(start_child(setup)), 7);
  setup.argv = {"/bin/sh", "-c", "kill -9 $$"};
  EXPECT_EQ(wait_child(start_child(setup)), 128 + 9);
}

TEST(Child, InheritsNothingButWhatIsKept)
{
  const UniqueFd secret(open("/dev/null", O_RDONLY)), kept(open("/dev/null", O_RDONLY));  // not close-on-exec
  ChildSetup setup;
  setup.kept = {kept.get()};
  const auto check = [&](int fd) {
    setup.argv = {"/bin/sh", "-c", "test -e /proc/self/fd/" + std::to_string(fd)};
    return wait_child(start_child(setup));
  };
  EXPECT_EQ(check(kept.get()), 0);
  EXPECT_EQ(check(secret.get()), 1);
}

TEST(Sockets, ReadOneLineAndNoMore)
{
  const SocketPair pair = make_socket_pair("test");
  ASSERT_TRUE(write_all(pair.theirs.get(), "first\nsecond\n"));
  EXPECT_EQ(read_line(pair.ours.get(), 30s), "first");
  EXPECT_EQ(read_line(pair.ours.get(), 30s), "second");
  EXPECT_FALSE(read_line(pair.ours.get(), 1ms));
}

}  // namespace
}  // namespace morsel::testvm
