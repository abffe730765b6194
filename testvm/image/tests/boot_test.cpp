// SPDX-License-Identifier: GPL-2.0-or-later
//
// The image in a real machine, under plain QEMU: init's promises to the host. What goes on over libvirt is tested
// with testvm/host.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "testvm/image/image.hpp"

extern "C" char** environ;

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;

class Boot : public testing::Test {
 protected:
  void SetUp() override
  {
    std::string name = fs::temp_directory_path() / "morsel-boot-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    build_ = find_build_folder();
  }
  void TearDown() override
  {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    if (channel_ >= 0) close(channel_);
    fs::remove_all(folder_);
  }

  ImageInputs inputs() const
  {
    ImageInputs inputs = inputs_of_build(build_);
    inputs.output = folder_ / "initramfs.cpio";
    return inputs;
  }

  // QEMU inherits one end of the agent's channel; it ends when the guest powers off or panics.
  void start(const ImageInputs& image, const std::string& kernel_arguments = "")
  {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    channel_ = ends[0];
    fcntl(channel_, F_SETFD, FD_CLOEXEC);
    const std::vector<std::string> words = {"qemu-system-x86_64",
                                            "-M",
                                            "q35",
                                            "-accel",
                                            "tcg",
                                            "-cpu",
                                            "max,la57=off",
                                            "-m",
                                            "256",
                                            "-nodefaults",
                                            "-no-user-config",
                                            "-display",
                                            "none",
                                            "-no-reboot",
                                            "-kernel",
                                            guest_kernel_of(build_).vmlinux.string(),
                                            "-initrd",
                                            build_image(image).string(),
                                            "-append",
                                            "console=ttyS0 quiet panic=-1 " + kernel_arguments,
                                            "-serial",
                                            "file:" + console().string(),
                                            "-device",
                                            "virtio-serial-pci",
                                            "-chardev",
                                            "socket,id=agent,fd=" + std::to_string(ends[1]),
                                            "-device",
                                            "virtserialport,chardev=agent,name=org.morselscope.agent.0"};
    std::vector<char*> argv;
    for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ASSERT_EQ(posix_spawnp(&pid_, argv[0], nullptr, nullptr, argv.data(), environ), 0) << "qemu-system-x86_64";
    close(ends[1]);
  }

  // The next line from the agent; what there is of it when QEMU has ended.
  std::string receive_line()
  {
    std::string line;
    char c;
    while (read(channel_, &c, 1) == 1) {
      if (c == '\n') return line;
      line += c;
    }
    return line + "(end of channel)";
  }
  void send(const std::string& line) { ASSERT_EQ(write(channel_, line.data(), line.size()), ssize_t(line.size())); }

  int wait_for_end()
  {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }
  fs::path console() const { return folder_ / "console"; }
  std::string console_text() const
  {
    std::ifstream stream(console(), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  fs::path folder_, build_;
  pid_t pid_ = 0;
  int channel_ = -1;
};

TEST_F(Boot, WithoutTheModuleGreetsWithAbi0)
{
  ImageInputs image = inputs();
  image.kernel_module.reset();
  start(image);
  const std::string greeting = receive_line();
  EXPECT_NE(greeting.find(R"("abi":0,"agent":1)"), std::string::npos) << greeting << console_text();
  send("{\"execute\":\"power-off\",\"id\":1}\n");
  EXPECT_EQ(receive_line(), R"({"return":{},"id":1})");
  EXPECT_EQ(wait_for_end(), 0) << console_text();
}

TEST_F(Boot, SaysWhatFailedAndPowersOff)
{
  ImageInputs image = inputs();
  image.kernel_module = folder_ / "broken.ko";
  std::ofstream(*image.kernel_module) << "not a module";
  start(image);
  EXPECT_EQ(wait_for_end(), 0);
  EXPECT_NE(console_text().find("MORSEL-INIT-FAILED: loading morsel.ko"), std::string::npos) << console_text();
}

TEST_F(Boot, PassesTheModulesParametersFromTheCommandLine)
{
  if (!inputs().kernel_module) FAIL() << "build the target kmod first";
  start(inputs(), "morsel.granularity=2m");
  const std::string greeting = receive_line();
  EXPECT_NE(greeting.find(R"("abi":3,"agent":1)"), std::string::npos) << greeting << console_text();
  send(R"({"execute":"run","arguments":{"argv":["cat","/sys/module/morsel/parameters/granularity"]},"id":1})"
       "\n");
  EXPECT_EQ(receive_line(), R"({"return":{"exit_status":0,"stderr":"","stdout":"2m\n"},"id":1})");
}

TEST_F(Boot, EndsWhenTheGuestPanics)
{
  ImageInputs image = inputs();
  image.kernel_module.reset();
  start(image);
  receive_line();
  send(R"({"execute":"run","arguments":{"argv":["sh","-c","echo c > /proc/sysrq-trigger"]},"id":1})"
       "\n");
  EXPECT_EQ(wait_for_end(), 0);
  EXPECT_NE(console_text().find("Kernel panic"), std::string::npos) << console_text();
}

}  // namespace
}  // namespace morsel::testvm
