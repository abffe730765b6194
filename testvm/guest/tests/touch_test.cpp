// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-touch itself, on an ordinary file: what it prints and how it ends.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace {

namespace fs = std::filesystem;

struct Outcome {
  int status = 0;
  std::string output;
};

class Touch : public testing::Test {
 protected:
  void SetUp() override
  {
    const char* const program = std::getenv("MORSEL_TOUCH");
    ASSERT_NE(program, nullptr) << "set by ctest";
    program_ = program;
    std::string name = fs::temp_directory_path() / "morsel-touch-XXXXXX";
    const int fd = mkstemp(name.data());
    ASSERT_GE(fd, 0);
    close(fd);
    file_ = name;
    fs::resize_file(file_, 8192);
  }
  void TearDown() override { fs::remove(file_); }

  // The program replaces the shell, so its own end is what is seen.
  Outcome run(const std::string& words)
  {
    const std::string command = "exec " + program_ + " " + file_.string() + " " + words;
    FILE* const pipe = popen(command.c_str(), "r");
    Outcome result;
    for (int c; (c = std::fgetc(pipe)) != EOF;) result.output += static_cast<char>(c);
    result.status = pclose(pipe);
    return result;
  }
  static bool ended_with(const Outcome& run, int status)
  {
    return WIFEXITED(run.status) && WEXITSTATUS(run.status) == status;
  }

  std::string program_;
  fs::path file_;
};

TEST_F(Touch, ReadsWhatItWrote)
{
  const Outcome result = run("write:0-8K=offset read:0-8K check:4K=4096");
  EXPECT_TRUE(ended_with(result, 0));
  EXPECT_NE(result.output.find(R"({"op":"write","start":0,"end":8192,"count":2})"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find(R"("op":"read","start":0,"end":8192,"count":2,"values":[0,4096]})"), std::string::npos);
  EXPECT_NE(result.output.find(R"("op":"check","start":4096,"end":4104,"count":1,"wrong":0})"), std::string::npos);
}

TEST_F(Touch, SaysWhatIsWrong)
{
  const Outcome result = run("write:8=5 check:0-16/8=5");
  EXPECT_TRUE(ended_with(result, 1));
  EXPECT_NE(result.output.find(R"("wrong":1,"first_wrong":{"offset":0,"found":0,"expected":5}})"), std::string::npos)
      << result.output;
}

TEST_F(Touch, DiesOfSigbusBeyondTheFile)
{
  const Outcome result = run("write:0=1 read:8K");
  EXPECT_TRUE(WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGBUS) << result.status;
  EXPECT_NE(result.output.find(R"("op":"write")"), std::string::npos) << "what was done before has been said";
}

TEST_F(Touch, DiesOfSigsegvWhenItWritesReadOnly)
{
  const Outcome result = run("--read-only write:0=1");
  EXPECT_TRUE(WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGSEGV) << result.status;
}

TEST_F(Touch, RefusesAViewOfAnOrdinaryFile) { EXPECT_TRUE(ended_with(run("--view 1 read:0 2>&1"), 3)); }

TEST_F(Touch, RefusesWordsThatItDoesNotKnow)
{
  EXPECT_TRUE(ended_with(run("--nonesuch 2>/dev/null"), 2));
  EXPECT_TRUE(ended_with(run("read:7 2>/dev/null"), 2));
}

}  // namespace
