// SPDX-License-Identifier: GPL-2.0-or-later
//
// The image builder on small made-up inputs: what is in the image, when it is rebuilt, and what a full disk leaves.
#include "testvm/image/image.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

#include "engine/session/failure.hpp"
#include "engine/session/tests/own_mounts.hpp"
#include "testvm/image/atomic_file.hpp"
#include "testvm/image/kernel_modules.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Failure;

void write_file(const fs::path& file, const std::string& content)
{
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

std::string read_file(const fs::path& file)
{
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct Entry {
  unsigned mode = 0, type = 0;
  std::string content;
};

// Reads an image back with an archive reader, as the kernel would.
std::map<std::string, Entry> unpack(const fs::path& image, std::vector<std::string>* order = nullptr)
{
  std::map<std::string, Entry> entries;
  struct archive* const reader = archive_read_new();
  archive_read_support_format_cpio(reader);
  EXPECT_EQ(archive_read_open_filename(reader, image.c_str(), 10240), ARCHIVE_OK) << archive_error_string(reader);
  archive_entry* entry;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    const std::string name = archive_entry_pathname(entry);
    std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    EXPECT_EQ(archive_read_data(reader, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
    entries[name] = {archive_entry_perm(entry), archive_entry_filetype(entry), content};
    if (order) order->push_back(name);
  }
  archive_read_free(reader);
  return entries;
}

class Image : public testing::Test {
 protected:
  void SetUp() override
  {
    std::string name = fs::temp_directory_path() / "morsel-image-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    for (const char* file : {"init", "busybox", "agent", "touch", "morsel.ko"})
      write_file(folder_ / file, std::string("content of ") + file);
    const fs::path modules = folder_ / "modules";
    write_file(modules / "modules.dep",
               "kernel/v/virtio_pci.ko: kernel/v/virtio_ring.ko kernel/v/virtio.ko\n"
               "kernel/c/virtio_console.ko: kernel/v/virtio.ko kernel/v/virtio_ring.ko\n"
               "kernel/v/virtio.ko:\nkernel/v/virtio_ring.ko: kernel/v/virtio.ko\nkernel/n/packed.ko.xz:\n"
               "kernel/k/msr.ko:\nkernel/k/kvm-amd.ko: kernel/k/kvm.ko\nkernel/k/kvm.ko:\n");
    write_file(modules / "modules.builtin", "kernel/fs/built-in.ko\n");
    for (const char* file : {"v/virtio_pci.ko", "v/virtio_ring.ko", "v/virtio.ko", "c/virtio_console.ko", "k/msr.ko",
                             "k/kvm-amd.ko", "k/kvm.ko"})
      write_file(modules / "kernel" / file, file);
  }
  void TearDown() override { fs::remove_all(folder_); }

  ImageInputs inputs() const
  {
    ImageInputs inputs;
    inputs.output = folder_ / "image.cpio";
    inputs.init = folder_ / "init";
    inputs.busybox = folder_ / "busybox";
    inputs.agent = folder_ / "agent";
    inputs.modules = folder_ / "modules";
    inputs.kernel_module = folder_ / "morsel.ko";
    inputs.programs = {folder_ / "touch"};
    return inputs;
  }
  std::size_t files_in_folder() const
  {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator{}));
  }

  fs::path folder_;
};

TEST_F(Image, ContainsWhatInitNeeds)
{
  ImageInputs wanted = inputs();
  wanted.extra = {{folder_ / "touch", "/opt/deep/file", 0600}};
  const auto entries = unpack(build_image(wanted));
  EXPECT_EQ(entries.at("init").content, "content of init");
  EXPECT_EQ(entries.at("init").mode, 0755u);
  EXPECT_EQ(entries.at("bin/busybox").content, "content of busybox");
  EXPECT_EQ(entries.at("bin/morsel-agent").content, "content of agent");
  EXPECT_EQ(entries.at("bin/touch").content, "content of touch");
  EXPECT_EQ(entries.at("lib/morsel/morsel.ko").content, "content of morsel.ko");
  EXPECT_EQ(entries.at("opt/deep/file").mode, 0600u);
  for (const char* folder : {"proc", "sys", "dev", "tmp", "morsel", "opt", "opt/deep"})
    EXPECT_EQ(entries.at(folder).type, static_cast<unsigned>(AE_IFDIR)) << folder;
  EXPECT_EQ(entries.at("lib/morsel/load-order").content,
            "/lib/morsel/modules/virtio.ko\n/lib/morsel/modules/virtio_ring.ko\n/lib/morsel/modules/virtio_pci.ko\n"
            "/lib/morsel/modules/virtio_console.ko\n/lib/morsel/modules/msr.ko\n");
}

TEST_F(Image, PutsEachFolderBeforeWhatIsInIt)
{
  std::vector<std::string> order;
  const auto entries = unpack(build_image(inputs()), &order);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::string parent = fs::path(order[i]).parent_path();
    if (parent.empty()) continue;
    const auto at = std::find(order.begin(), order.end(), parent) - order.begin();
    EXPECT_LT(at, static_cast<std::ptrdiff_t>(i)) << order[i];
  }
}

TEST_F(Image, LeavesTheModuleOutWhenThereIsNone)
{
  ImageInputs wanted = inputs();
  wanted.kernel_module.reset();
  EXPECT_FALSE(unpack(build_image(wanted)).contains("lib/morsel/morsel.ko"));
}

TEST_F(Image, IsTheSameForTheSameInputs)
{
  const std::string first = read_file(build_image(inputs()));
  ImageInputs again = inputs();
  again.output = folder_ / "again.cpio";
  for (const char* file : {"init", "touch"}) fs::last_write_time(folder_ / file, fs::file_time_type::clock::now());
  EXPECT_EQ(read_file(build_image(again)), first);
}

TEST_F(Image, IsNotWrittenAgainWhileNothingChanges)
{
  build_image(inputs());
  struct stat before, after;
  ASSERT_EQ(stat(inputs().output.c_str(), &before), 0);
  EXPECT_TRUE(image_is_current(inputs()));
  build_image(inputs());
  ASSERT_EQ(stat(inputs().output.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino) << "a new file was renamed over the old one";
}

TEST_F(Image, IsRebuiltWhenAnInputChanges)
{
  build_image(inputs());
  write_file(folder_ / "touch", "another content, another size");
  EXPECT_FALSE(image_is_current(inputs()));
  EXPECT_EQ(unpack(build_image(inputs())).at("bin/touch").content, "another content, another size");

  const auto time = fs::last_write_time(folder_ / "agent");
  write_file(folder_ / "agent", "CONTENT OF AGENT");  // same size
  fs::last_write_time(folder_ / "agent", time + std::chrono::nanoseconds(1000));
  EXPECT_EQ(unpack(build_image(inputs())).at("bin/morsel-agent").content, "CONTENT OF AGENT");
}

TEST_F(Image, IsRebuiltWhenTheListChanges)
{
  build_image(inputs());
  ImageInputs more = inputs();
  more.extra = {{folder_ / "touch", "/bin/second", 0755}};
  EXPECT_TRUE(unpack(build_image(more)).contains("bin/second"));
  EXPECT_FALSE(unpack(build_image(inputs())).contains("bin/second"));
}

TEST_F(Image, IsRebuiltWhenSomebodyCutIt)
{
  const std::string whole = read_file(build_image(inputs()));
  fs::resize_file(inputs().output, whole.size() / 2);
  EXPECT_EQ(read_file(build_image(inputs())), whole);
}

TEST_F(Image, RefusesTwoFilesForOnePlace)
{
  ImageInputs wanted = inputs();
  wanted.extra = {{folder_ / "touch", "/bin/busybox", 0755}};
  EXPECT_THROW(build_image(wanted), Failure);
}

TEST_F(Image, NamesAMissingInput)
{
  ImageInputs wanted = inputs();
  wanted.agent = folder_ / "nonesuch";
  try {
    build_image(wanted);
    FAIL() << "built without an agent";
  } catch (const Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("nonesuch"), std::string::npos) << failure.what();
  }
  EXPECT_FALSE(fs::exists(wanted.output));
}

TEST_F(Image, NamesThePackageOfAMissingBusybox)
{
  ImageInputs wanted = inputs();
  const auto failure = [&] {
    try {
      build_image(wanted);
    } catch (const Failure& caught) {
      return std::string(caught.found()) + "|" + caught.advice();
    }
    return std::string("built");
  };
  wanted.busybox = folder_ / "nonesuch";
  EXPECT_EQ(failure(), wanted.busybox.string() + ": No such file or directory|apt-get install busybox-static");
  wanted.busybox = "/proc/self/exe";  // this test, which is linked dynamically
  EXPECT_EQ(failure(),
            "/proc/self/exe is linked dynamically, and cannot run in the guest|apt-get install busybox-static");
  EXPECT_FALSE(fs::exists(wanted.output));
}

// A limit on file sizes fails a write in its middle, as a full disk does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes)
  {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit()
  {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_F(Image, KeepsTheOldOneWhenTheNewOneDoesNotFit)
{
  const std::string old = read_file(build_image(inputs()));
  write_file(folder_ / "touch", std::string(300'000, 'x'));
  const std::size_t files = files_in_folder();
  std::string text;
  {
    const FileSizeLimit limit(100'000);
    try {
      build_image(inputs());
      FAIL() << "wrote more than the limit";
    } catch (const Failure& failure) {
      text = failure.what();
    }
  }
  EXPECT_NE(text.find("bytes are needed in " + folder_.string()), std::string::npos) << text;
  EXPECT_EQ(read_file(inputs().output), old);
  EXPECT_EQ(files_in_folder(), files) << "a temporary file was left";
  EXPECT_GT(fs::file_size(build_image(inputs())), 300'000u) << "the next run makes up for it";
}

// A file system of 256 KiB, in a mount namespace of the child's own.
TEST_F(Image, KeepsTheOldOneOnAFullDisk)
{
  const pid_t child = fork();
  if (child == 0) {
    if (!session::has_own_mounts()) _exit(77);
    fs::create_directory(folder_ / "full");
    if (mount("full", (folder_ / "full").c_str(), "tmpfs", 0, "size=256k") != 0) _exit(77);
    ImageInputs wanted = inputs();
    wanted.output = folder_ / "full" / "initramfs.cpio";
    const std::string old = read_file(build_image(wanted));
    write_file(folder_ / "touch", std::string(300'000, 'x'));
    std::string text = "built";
    try {
      build_image(wanted);
    } catch (const Failure& failure) {
      text = failure.what();
    }
    EXPECT_NE(text.find("No space left on device"), std::string::npos) << text;
    EXPECT_NE(text.find("bytes are needed in " + wanted.output.parent_path().string()), std::string::npos) << text;
    EXPECT_EQ(read_file(wanted.output), old);
    EXPECT_EQ(std::distance(fs::directory_iterator(wanted.output.parent_path()), fs::directory_iterator{}), 2);
    _exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespace can be had here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ReplaceFile, SaysWhatWasNeededWhereNothingCanBeWritten)
{
  try {
    replace_file("/proc/morsel-image", "bytes", Durability::durable);
    FAIL() << "wrote into /proc";
  } catch (const Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("5 bytes are needed in /proc"), std::string::npos) << failure.what();
  }
}

// A child is killed as soon as it has written the first bytes: at the limit, by the signal that the limit sends.
TEST_F(Image, LeavesNothingWhenTheBuilderIsKilled)
{
  const std::string old = read_file(build_image(inputs()));
  write_file(folder_ / "touch", std::string(300'000, 'x'));
  const std::size_t files = files_in_folder();
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{.rlim_cur = 100'000, .rlim_max = 100'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_DFL);
    build_image(inputs());
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it was to be killed in the middle of a write";
  EXPECT_EQ(read_file(inputs().output), old);
  const int nameless = open(folder_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  if (nameless < 0) return;  // this file system cannot do better
  close(nameless);
  EXPECT_EQ(files_in_folder(), files);
}

TEST_F(Image, LoadsNothingForBuiltInModules)
{
  EXPECT_TRUE(load_order(folder_ / "modules", {"built_in"}).empty());
  EXPECT_TRUE(load_order(folder_ / "modules", {"built-in"}).empty());
}

TEST_F(Image, RefusesModulesThatTheGuestCouldNotLoad)
{
  EXPECT_THROW(load_order(folder_ / "modules", {"nonesuch"}), Failure);
  EXPECT_THROW(load_order(folder_ / "modules", {"packed"}), Failure);
  EXPECT_THROW(load_order(folder_ / "nowhere", {"virtio_pci"}), Failure);
}

TEST_F(Image, TakesEverythingFromABuildFolder)
{
  const fs::path build = folder_ / "build";
  write_file(build / "kernel" / "kernel.env",
             "KERNEL_RELEASE='6.1.0'\nVMLINUX='/v'\nKDIR='/k'\nMODULES='" + (folder_ / "modules").string() + "'\n");
  write_file(build / "guest" / "init", "init");
  for (const char* program : {"morsel-agent", "morsel-touch"}) write_file(build / "guest" / "bin" / program, program);
  write_file(build / "guest" / "with-qemu" / "morsel-qemu", "for images with QEMU only");
  ImageInputs found = inputs_of_build(build);
  found.busybox = folder_ / "busybox";
  EXPECT_FALSE(found.kernel_module);
  const auto entries = unpack(build_image(found));
  EXPECT_EQ(entries.at("bin/morsel-touch").content, "morsel-touch");
  EXPECT_EQ(entries.at("bin/morsel-agent").content, "morsel-agent");
  EXPECT_FALSE(entries.contains("bin/morsel-qemu"));
  write_file(build / "kmod" / "morsel.ko", "ko");
  EXPECT_TRUE(inputs_of_build(build).kernel_module);

  ImageInputs more = inputs_of_build(build, {"built-in", "kvm-amd"});
  more.busybox = folder_ / "busybox";
  EXPECT_NE(more.output, found.output) << "the usual image stays as it is";
  EXPECT_TRUE(unpack(build_image(more))
                  .at("lib/morsel/load-order")
                  .content.ends_with("/lib/morsel/modules/kvm.ko\n/lib/morsel/modules/kvm-amd.ko\n"));
  EXPECT_EQ(guest_kernel_of(build).release, "6.1.0");

  write_file(build / "kernel" / "kernel.env", "KERNEL_RELEASE='6.1.0'\n");
  EXPECT_THROW(guest_kernel_of(build), Failure);
  EXPECT_THROW(guest_kernel_of(folder_), Failure);
}

}  // namespace
}  // namespace morsel::testvm
