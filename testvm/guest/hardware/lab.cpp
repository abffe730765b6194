// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/hardware/lab.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace morsel::guest {
namespace {

// Entries of the guest's own tables: present, writable, for users, accessed, dirty.
constexpr u64 guest_entry = 0x67;
constexpr u64 small_lab_pages = 256;

}  // namespace

Lab::Lab(const LabFormat& format) : format_(format)
{
  const int device = open("/dev/morsel", O_RDWR | O_CLOEXEC);
  if (device < 0) throw NoVcpu{errno, "/dev/morsel cannot be opened"};
  morsel_vcpu_create request{};
  request.size = sizeof request;
  request.format = static_cast<u32>(format.id);
  const int failed = ioctl(device, MORSEL_IOC_VCPU_LAB, &request) ? errno : 0;
  close(device);
  if (failed) throw NoVcpu{failed, request.reason};
  fd_ = request.fd;
  physical_ = request.lab_pa;
  ending_ = request.ending;
  void* const at = mmap(nullptr, MORSEL_LAB_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (at == MAP_FAILED) {
    const int number = errno;
    close(fd_);
    throw NoVcpu{number, "the lab's memory cannot be mapped"};
  }
  words_ = static_cast<u64*>(at);
  reset();
}

Lab::~Lab()
{
  munmap(words_, MORSEL_LAB_BYTES);
  close(fd_);
}

void Lab::reset()
{
  std::fill_n(words_, u64{lab_reset_pages} * 512, 0);  // the rest is never a table, and an emulated CPU is slow
  page(lab_root)[0] = format_.table(address(lab_level_2), 3);
  page(lab_level_2)[1] = format_.table(address(lab_level_1), 2);
  page(lab_level_1)[0] = format_.table(address(lab_level_0), 1);
  page(lab_level_2)[2] = format_.table(address(lab_level_1_of_lab), 2);
  page(lab_level_1_of_lab)[0] = format_.leaf(address(0), 1, {rights_all, true, true});
  const auto in_guest = [](u32 number) { return lab_place + u64{number} * page_bytes; };
  page(lab_guest_pdpt)[0] = in_guest(lab_guest_pd) | guest_entry;
  page(lab_guest_pd)[0] = in_guest(lab_guest_pt) | guest_entry;
  for (u32 i = 0; i < small_lab_pages; ++i) {
    page(lab_guest_pt)[i] = (tested_place + i * page_bytes) | guest_entry;
    page(lab_guest_pt)[small_lab_pages + i] = in_guest(i) | guest_entry;
  }
}

inspect::PhysicalMemory Lab::memory() const
{
  return inspect::PhysicalMemory({{physical_, MORSEL_LAB_BYTES, reinterpret_cast<const std::byte*>(words_)}});
}

inspect::PhysicalMemory Lab::guest_memory() const
{
  return inspect::PhysicalMemory({{lab_place, MORSEL_LAB_BYTES, reinterpret_cast<const std::byte*>(words_)}});
}

u64 Lab::small_pages_entry() { return (lab_place + u64{lab_guest_pdpt} * page_bytes) | guest_entry; }

morsel_vcpu_run Lab::run(morsel_vcpu_run request)
{
  request.size = sizeof request;
  request.timeout_ms = 20'000;
  if (ioctl(fd_, MORSEL_IOC_VCPU_RUN, &request)) throw NoVcpu{errno, "the vCPU cannot be run"};
  return request;
}

morsel_vcpu_run Lab::access(Rights right, u64 place, u64 value, u32 flags)
{
  morsel_vcpu_run request{};
  request.program = right.write() ? MORSEL_VCPU_WRITE : right.exec() ? MORSEL_VCPU_EXEC : MORSEL_VCPU_READ;
  request.offset = place;
  request.value = value;
  request.flags = flags;
  return run(request);
}

morsel_vcpu_run Lab::access_in_guest(Rights right, u64 top, u64 address, u64 value)
{
  constexpr u8 load[] = {0x48, 0x8b, 0x03}, store[] = {0x48, 0x89, 0x03}, jump[] = {0xff, 0xe3};
  const std::span<const u8> code = right.write()  ? std::span<const u8>(store)
                                   : right.exec() ? std::span<const u8>(jump)
                                                  : std::span<const u8>(load);
  return run_code(code, value, address, {top, top_index(address)}, MORSEL_VCPU_USER);
}

morsel_vcpu_run Lab::run_code(std::span<const u8> code, u64 rax, u64 rbx, TopEntry top, u32 flags)
{
  // The entry of the guest's PML4 that leads to its small pages, or to what is tested: rcx has what is put there.
  std::vector<u8> whole{0x48, 0xbe};  // mov $entry, %rsi
  const u64 entry = MORSEL_VCPU_TABLES + u64{top.index} * sizeof(u64);
  for (unsigned byte = 0; byte < sizeof entry; ++byte) whole.push_back(static_cast<u8>(entry >> 8 * byte));
  for (const u8 byte : std::initializer_list<u8>{0x48, 0x89, 0x0e}) whole.push_back(byte);  // mov %rcx, (%rsi)
  whole.insert(whole.end(), code.begin(), code.end());
  for (u32 i = 0; i < MORSEL_VCPU_ENDING_BYTES; ++i) whole.push_back(static_cast<u8>(ending_ >> 8 * i));
  morsel_vcpu_run request{};
  request.program = MORSEL_VCPU_RUN_CODE;
  request.code = reinterpret_cast<std::uintptr_t>(whole.data());
  request.code_bytes = static_cast<u32>(whole.size());
  request.value = rax;
  request.offset = rbx;
  request.expected = top.word;
  request.flags = MORSEL_VCPU_FLUSH | flags;
  return run(request);
}

}  // namespace morsel::guest
