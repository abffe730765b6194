// SPDX-License-Identifier: GPL-2.0-or-later
//
// The guest's memory at power-on, for kernels made here: a few bytes under real ELF headers.
#include "testvm/bochs/boot.hpp"

#include <elf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <numeric>
#include <vector>

#include "engine/session/failure.hpp"
#include "testvm/bochs/boot_layout.h"
#include "testvm/bochs/configuration.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;

constexpr u32 entry = 0x200040;
constexpr u64 kernel_at = 2 * mebibyte, kernel_bytes = 64, kernel_memory = 8192;

std::string bytes_of(const void* object, std::size_t bytes) { return {static_cast<const char*>(object), bytes}; }

// One segment and a note section with a foreign note before the one that counts.
std::string kernel(u32 note_type = 18)
{
  std::string notes;
  const auto add_note = [&](u32 type, const std::string& name, const std::string& description) {
    const Elf64_Nhdr header{static_cast<u32>(name.size()), static_cast<u32>(description.size()), type};
    notes += bytes_of(&header, sizeof header) + name + std::string(-name.size() & 3, '\0') + description +
             std::string(-description.size() & 3, '\0');
  };
  add_note(18, std::string("Linux\0", 6), "12345678");
  add_note(note_type, std::string("Xen\0", 4), bytes_of(&entry, sizeof entry));

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_machine = EM_X86_64;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 2;
  header.e_phoff = sizeof header;
  const u64 data = sizeof header + 2 * sizeof(Elf64_Phdr);
  Elf64_Phdr load{}, note{};
  load.p_type = PT_LOAD;
  load.p_offset = data;
  load.p_paddr = kernel_at;
  load.p_filesz = kernel_bytes;
  load.p_memsz = kernel_memory;
  note.p_type = PT_NOTE;
  note.p_offset = data + kernel_bytes;
  note.p_filesz = notes.size();
  return bytes_of(&header, sizeof header) + bytes_of(&load, sizeof load) + bytes_of(&note, sizeof note) +
         std::string(kernel_bytes, 'k') + notes;
}

class GuestBoot : public testing::Test {
 protected:
  GuestBoot()
  {
    std::string name = (fs::temp_directory_path() / "bochs-boot-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    write("initramfs", std::string(5000, 'i'));
  }
  ~GuestBoot() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& bytes) { std::ofstream(folder_ / name) << bytes; }
  void load(const std::string& kernel_file, const std::string& command_line = "quiet")
  {
    write("vmlinux", kernel_file);
    load_guest(memory_, {folder_ / "vmlinux", folder_ / "initramfs", command_line});
  }
  std::string found(const std::string& kernel_file, const std::string& command_line = "quiet")
  {
    try {
      load(kernel_file, command_line);
    } catch (const session::Failure& failure) {
      return failure.found();
    }
    return "it was loaded";
  }
  template <class T>
  T at(u64 address) const
  {
    T value;
    std::memcpy(&value, memory_.data() + address, sizeof value);
    return value;
  }
  std::string text(u64 address, std::size_t bytes) const { return bytes_of(memory_.data() + address, bytes); }

  fs::path folder_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(8 * mebibyte);
};

TEST_F(GuestBoot, PutsTheKernelWhereItsHeadersSay)
{
  load(kernel());
  EXPECT_EQ(text(kernel_at, kernel_bytes), std::string(kernel_bytes, 'k'));
  EXPECT_EQ(text(kernel_at + kernel_bytes, 64), std::string(64, '\0'));
  EXPECT_EQ(at<u32>(MORSEL_BOOT_PAGE + MORSEL_BOOT_ENTRY), entry);
}

TEST_F(GuestBoot, NamesInitramfsAndCommandLineToTheKernel)
{
  load(kernel(), "quiet console=ttyS0");
  constexpr u64 info = MORSEL_BOOT_PAGE + MORSEL_BOOT_START_INFO;  // Xen public/arch-x86/hvm/start_info.h
  EXPECT_EQ(at<u32>(info), 0x336ec578u);
  EXPECT_EQ(at<u32>(info + 4), 1u);
  ASSERT_EQ(at<u32>(info + 12), 1u);
  const u64 module = at<u64>(info + 16), start = at<u64>(module);
  ASSERT_EQ(at<u64>(module + 8), 5000u);
  ASSERT_LE(start + 5000, 7 * mebibyte);  // the last MiB is for the BIOS's tables
  EXPECT_EQ(start % 4096, 0u);
  EXPECT_EQ(text(start, 5000), std::string(5000, 'i'));
  EXPECT_EQ(text(at<u64>(info + 24), 20), std::string("quiet console=ttyS0\0", 20));
  EXPECT_EQ(at<u64>(info + 40), u64{MORSEL_BOOT_PAGE + MORSEL_BOOT_MAP});
}

TEST_F(GuestBoot, RefusesWhatIsNoKernel)
{
  EXPECT_EQ(found("#!/bin/sh"), "it is no ELF file");
  EXPECT_EQ(found(std::string(200, 'x')), "it is no ELF file for x86-64");
  EXPECT_EQ(found(kernel().substr(0, 100)), "its headers are cut off");
  EXPECT_EQ(found(kernel().substr(0, 200)), "it is cut off");
  EXPECT_EQ(found(kernel(17)), "it has no PVH entry");
}

TEST_F(GuestBoot, RefusesWhatDoesNotFit)
{
  EXPECT_EQ(found(kernel(), std::string(3000, 'x')), "a kernel command line of 3000 bytes");
  memory_.resize(3 * mebibyte + kernel_memory + 4096);  // one page behind the kernel, before the last MiB
  EXPECT_EQ(found(kernel()), "the initramfs of 5000 bytes does not fit behind the kernel");
  memory_.resize(2 * mebibyte);
  EXPECT_NE(found(kernel()).find("is not within the guest's 2097152 bytes"), std::string::npos);
  memory_.resize(4096);
  EXPECT_NE(found(kernel()).find("is not within the guest's 4096 bytes"), std::string::npos);
}

TEST(BootRom, IsOneThatABiosCalls)
{
  const std::string rom = boot_rom();
  ASSERT_EQ(rom.size(), std::size_t{MORSEL_BOOT_ROM_BYTES});
  EXPECT_EQ(rom.substr(0, 3), "\x55\xaa\x01");
  EXPECT_EQ(std::accumulate(rom.begin(), rom.end(), 0, [](int sum, char c) { return (sum + u8(c)) & 255; }), 0);
}

TEST(BochsConfiguration, NamesFilesAndSizes)
{
  const std::string text = bochs_configuration({"/m", "/r", "/c", "/l"}, 256 * mebibyte, 3);
  for (const char* line : {"memory: guest=256, host=256\n", "optramimage1: file=\"/m\", address=0x0\n", "count=3,",
                           "optromimage1: file=\"/r\", address=0xd0000\n", "dev=\"/c\"\n", "log: \"/l\"\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

}  // namespace
}  // namespace morsel::testvm
