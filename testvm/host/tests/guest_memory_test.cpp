// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/guest_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/session/failure.hpp"
#include "testvm/host/os.hpp"

namespace morsel::testvm {
namespace {

// A sparse file of the size of a guest's memory, with one word in it.
struct Ram {
  Ram(u64 bytes, u64 offset, u64 word) : fd(memfd_create("test-ram", MFD_CLOEXEC))
  {
    EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(pwrite(fd.get(), &word, sizeof word, static_cast<off_t>(offset)), static_cast<ssize_t>(sizeof word));
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd.get()); }
  UniqueFd fd;
};

TEST(GuestMemory, IsOnePieceBelowTheSplit)
{
  const auto parts = session::memory_parts(session::MemoryLayout::q35, 2815 * mebibyte);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].bytes, 2815 * mebibyte);
}

TEST(GuestMemory, ContinuesAt4GiBFromTheSplitOn)
{
  // 0xb0000000 bytes are 2816 MiB.
  for (const u64 bytes : {2816 * mebibyte, 3 * gibibyte, 4 * gibibyte}) {
    const auto parts = session::memory_parts(session::MemoryLayout::q35, bytes);
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(parts[0].guest_start, 0u);
    EXPECT_EQ(parts[0].bytes, 2 * gibibyte);
    EXPECT_EQ(parts[1].guest_start, 4 * gibibyte);
    EXPECT_EQ(parts[1].file_offset, 2 * gibibyte);
    EXPECT_EQ(parts[0].bytes + parts[1].bytes, bytes);
  }
}

TEST(GuestMemory, ShowsTheFileAtTheGuestsAddresses)
{
  const u64 word = 0x1122334455667788;
  const Ram low(512 * mebibyte, 0x7000, word), high(4 * gibibyte, 2 * gibibyte + 0x7000, word);
  const GuestMemory small(low.path(), 512 * mebibyte), large(high.path(), 4 * gibibyte);
  ASSERT_NE(small.physical().words({0x7000}, 1), nullptr);
  EXPECT_EQ(u64{*small.physical().words({0x7000}, 1)}, word);
  ASSERT_NE(large.physical().words({4 * gibibyte + 0x7000}, 1), nullptr);
  EXPECT_EQ(u64{*large.physical().words({4 * gibibyte + 0x7000}, 1)}, word);
  EXPECT_TRUE(small.holds({0x7000}, {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}));
  EXPECT_FALSE(small.holds({0x7000}, {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x12}));
}

TEST(GuestMemory, ShowsNothingOutsideIt)
{
  const Ram ram(4 * gibibyte, 0, 1);
  const GuestMemory memory(ram.path(), 4 * gibibyte);
  for (const u64 address : {2 * gibibyte, 4 * gibibyte - 8, 6 * gibibyte, ~u64{7}})
    EXPECT_EQ(memory.physical().words({address}, 1), nullptr) << address;
  EXPECT_EQ(memory.physical().words({2 * gibibyte - 8}, 2), nullptr);
  EXPECT_FALSE(memory.holds({2 * gibibyte}, {0}));
}

TEST(GuestMemory, RefusesAFileOfAnotherSize)
{
  const Ram ram(64 * mebibyte, 0, 1);
  EXPECT_THROW(GuestMemory(ram.path(), 128 * mebibyte), session::Failure);
  EXPECT_THROW(GuestMemory("/nonexistent", 64 * mebibyte), session::Failure);
}

}  // namespace
}  // namespace morsel::testvm
