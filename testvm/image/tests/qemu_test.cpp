// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which files a program of this machine, QEMU above all, needs in the guest. That it runs there is tested in a VM.
#include "testvm/image/qemu.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "engine/session/failure.hpp"
#include "testvm/image/dynamic_program.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Failure;

const fs::path this_program = fs::read_symlink("/proc/self/exe");  // is linked dynamically, with libarchive

std::set<std::string> destinations(const std::vector<ImageFile>& files)
{
  std::set<std::string> names;
  for (const ImageFile& file : files) {
    EXPECT_TRUE(names.insert(file.destination).second) << file.destination << " is there twice";
    EXPECT_TRUE(fs::is_regular_file(file.source)) << file.source;
  }
  return names;
}

std::set<std::string> folders_of_libraries(const std::vector<ImageFile>& files)
{
  std::set<std::string> folders;
  for (const ImageFile& file : files)
    if (file.destination.find("ld-linux") == std::string::npos)
      folders.insert(fs::path(file.destination).parent_path().string());
  return folders;
}

bool has_library(const std::vector<ImageFile>& files, const std::string& start)
{
  return std::any_of(files.begin(), files.end(), [&](const ImageFile& file) {
    return fs::path(file.destination).filename().string().starts_with(start);
  });
}

TEST(DynamicProgram, NeedsItsLinkerAndItsLibrariesInOneFolder)
{
  const auto linker = interpreter_of(this_program);
  ASSERT_TRUE(linker);
  const auto files = libraries_of(this_program, {});
  EXPECT_TRUE(destinations(files).contains(*linker));
  for (const char* library : {"libc.so.6", "libarchive.so.", "libstdc++.so."})
    EXPECT_TRUE(has_library(files, library)) << library;
  EXPECT_EQ(folders_of_libraries(files).size(), 1u);
}

TEST(DynamicProgram, NeedsTheLibrariesOfItsPlugins)
{
  const fs::path plugin = "/usr/lib/x86_64-linux-gnu/libpugixml.so.1";
  ASSERT_TRUE(fs::exists(plugin));
  ASSERT_TRUE(has_library(libraries_of("/usr/bin/env", {plugin}), "libstdc++.so."));
  EXPECT_FALSE(has_library(libraries_of("/usr/bin/env", {}), "libstdc++.so."));
}

TEST(DynamicProgram, NeedsNothingIfItIsStatic)
{
  EXPECT_FALSE(interpreter_of("/bin/busybox"));
  EXPECT_TRUE(libraries_of("/bin/busybox", {}).empty());
  EXPECT_FALSE(interpreter_of("/etc/passwd"));
  EXPECT_FALSE(interpreter_of("/nonesuch"));
}

// A copy of this program that asks for a library of another name.
TEST(DynamicProgram, IsRefusedWithTheNameOfALibraryThatIsMissing)
{
  std::string folder = fs::temp_directory_path() / "morsel-library-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  std::ifstream stream(this_program, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  const auto name = bytes.find("libarchive.so.");
  ASSERT_NE(name, std::string::npos);
  bytes.replace(name, 10, "libnowhere");
  const fs::path copy = fs::path(folder) / "program";
  std::ofstream(copy, std::ios::binary) << bytes;
  fs::permissions(copy, fs::perms::owner_all);
  std::string text = "found";
  try {
    libraries_of(copy, {});
  } catch (const Failure& failure) {
    text = failure.what();
  }
  EXPECT_NE(text.find("libnowhere.so."), std::string::npos) << text;
  EXPECT_NE(text.find("collecting the libraries of " + copy.string()), std::string::npos) << text;
  fs::remove_all(folder);
}

TEST(QemuFiles, AreProgramFirmwareAndLibrariesAtTheirPlaces)
{
  const auto files = qemu_files();
  const auto names = destinations(files);
  for (const char* file : {"/usr/bin/qemu-system-x86_64", "/usr/share/seabios/bios-256k.bin",
                           "/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so"})
    EXPECT_TRUE(names.contains(file)) << file;
  EXPECT_TRUE(has_library(files, "libglib-2.0.so."));
}

TEST(QemuFiles, NameThePackagesOfAPartThatIsMissing)
{
  QemuParts parts;
  const auto failure = [&parts] {
    try {
      qemu_files(parts);
    } catch (const Failure& caught) {
      return std::string(caught.found()) + "|" + caught.advice();
    }
    return std::string("found");
  };
  const std::string end =
      ": No such file or directory|apt-get install qemu-system-x86 qemu-system-common qemu-system-data seabios";
  parts.firmware = {"/nowhere/bios.bin"};
  EXPECT_EQ(failure(), "/nowhere/bios.bin" + end);
  parts.program = "/nowhere/qemu-system-x86_64";
  EXPECT_EQ(failure(), "/nowhere/qemu-system-x86_64" + end);
}

}  // namespace
}  // namespace morsel::testvm
