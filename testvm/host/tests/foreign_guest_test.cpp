// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/foreign_guest.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

using session::MemoryLayout;

std::string arguments(std::initializer_list<const char*> words)
{
  std::string all;
  for (const char* word : words) all += std::string(word) + '\0';
  return all;
}

TEST(ForeignGuest, LayoutIsThatOfTheMachine)
{
  EXPECT_EQ(layout_of_arguments(arguments({"qemu", "-machine", "pc-q35-7.2,accel=tcg"})), MemoryLayout::q35);
  EXPECT_EQ(layout_of_arguments(arguments({"qemu", "-M", "q35"})), MemoryLayout::q35);
  EXPECT_EQ(layout_of_arguments(arguments({"qemu", "-machine", "type=pc-i440fx-7.2"})), MemoryLayout::pc);
  EXPECT_EQ(layout_of_arguments(arguments({"qemu", "-m", "512"})), MemoryLayout::pc);
  EXPECT_EQ(layout_of_arguments(arguments({"qemu", "-machine", "microvm"})), std::nullopt);
}

TEST(ForeignGuest, RegistersAreReadFromTheMonitorsAnswer)
{
  const auto cpus = parse_registers(
      "\r\nCPU#0\r\nRAX=0000000000000000 RBX=0000000000000001\r\nRIP=ffffffff819f5bf4 RFL=00000246 [---Z-P-]\r\n"
      "CR0=80050033 CR2=00007f0c CR3=0000000105d62000 CR4=000006f0\r\n\r\nCPU#1\r\nRIP=0000000000401000\r\n"
      "CR0=80050033 CR2=0 CR3=0000000001234000 CR4=00001ef0\r\n");
  ASSERT_EQ(cpus.size(), 2u);
  EXPECT_EQ(cpus[0].rip, 0xffffffff819f5bf4);
  EXPECT_EQ(cpus[0].cr3, 0x105d62000u);
  EXPECT_EQ(cpus[0].cr4, 0x6f0u);
  EXPECT_EQ(cpus[1].cr3, 0x1234000u);
  EXPECT_TRUE(parse_registers("").empty());
  EXPECT_TRUE(parse_registers("CR3=1 unknown command: 'info'").empty());
}

TEST(ForeignGuest, SharedFilesAreThoseThatAProcessHasMapped)
{
  const UniqueFd mapped(memfd_create("foreign-ram", MFD_CLOEXEC)), open_only(memfd_create("open-only", MFD_CLOEXEC));
  constexpr std::size_t bytes = std::size_t{3} << 20;
  ASSERT_EQ(ftruncate(mapped.get(), bytes), 0);
  ASSERT_EQ(ftruncate(open_only.get(), bytes), 0);
  void* const at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, mapped.get(), 0);
  ASSERT_NE(at, MAP_FAILED);
  std::size_t found = 0;
  for (const SharedFile& file : find_shared_files(getpid())) {
    EXPECT_EQ(file.name.find("open-only"), std::string::npos);
    if (file.name.find("foreign-ram") != std::string::npos && file.bytes == bytes) ++found;
  }
  EXPECT_EQ(found, 1u);
  munmap(at, bytes);
}

TEST(ForeignGuest, IsRefusedWhereNothingCanBeLookedAt)
{
  const auto refusal = [](const std::string& guest) -> std::string {
    try {
      open_guest(guest, {});
    } catch (const session::Failure& failure) {
      return failure.found();
    }
    return "accepted";
  };
  EXPECT_NE(refusal(std::to_string(getpid())).find("shares no RAM"), std::string::npos);
  EXPECT_EQ(refusal("99999999"), "there is no such process");
}

}  // namespace
}  // namespace morsel::testvm
