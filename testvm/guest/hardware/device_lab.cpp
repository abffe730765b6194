// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/hardware/device_lab.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace morsel::guest {
namespace {

constexpr u64 block_bytes = 512;
constexpr u64 read_block = 0, write_block = 1;  // of the drive

Device make_lab_device()
{
  const int control = open("/dev/morsel", O_RDWR | O_CLOEXEC);
  if (control < 0) throw NoDevice{errno, "/dev/morsel cannot be opened"};
  struct Closed {
    ~Closed() { close(fd); }
    int fd;
  } closed{control};
  morsel_device_attach request{};
  request.format = MORSEL_FORMAT_VTD_SECOND_STAGE;
  request.kind = MORSEL_DEVICE_NVME;
  request.device = MORSEL_DEVICE_ANY;
  return Device(control, MORSEL_IOC_DEVICE_LAB, request);
}

}  // namespace

Device::Device(int on, unsigned long code, morsel_device_attach request) : reply_(request)
{
  reply_.size = sizeof reply_;
  if (ioctl(on, code, &reply_)) throw NoDevice{errno, reply_.reason};
}

Device::~Device() { close(reply_.fd); }

morsel_dma Device::run(morsel_dma request)
{
  request.size = sizeof request;
  if (ioctl(fd(), MORSEL_IOC_DMA, &request)) throw NoDevice{errno, "the transfer cannot be done"};
  return request;
}

morsel_dma Device::move(Rights right, u64 offset, u64 block, u32 flags)
{
  morsel_dma request{};
  request.operation = right.bits();
  request.offset = offset;
  request.bytes = block_bytes;
  request.block = block;
  request.flags = flags;
  return run(request);
}

morsel_dma Device::word(Rights right, u64 offset, u64 value, u32 flags)
{
  morsel_dma request{};
  request.operation = right.bits();
  request.offset = offset;
  request.bytes = sizeof(u64);
  request.value = value;
  request.flags = flags;
  return run(request);
}

DeviceLab::DeviceLab() : device_(make_lab_device())
{
  void* const at = mmap(nullptr, MORSEL_LAB_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, device_.fd(), 0);
  if (at == MAP_FAILED) throw NoDevice{errno, "the lab's memory cannot be mapped"};
  words_ = static_cast<u64*>(at);
  reset();
}

DeviceLab::~DeviceLab() { munmap(words_, MORSEL_LAB_BYTES); }

u64& DeviceLab::entry(Level level)
{
  constexpr u32 tables[] = {level_0, level_1, level_2, root};
  return page(tables[level])[level == 2 ? 1 : 0];
}

void DeviceLab::reset()
{
  std::fill_n(words_, u64{pages} * 512, 0);
  entry(3) = Format::make_table(address(level_2), 3);
  entry(2) = Format::make_table(address(level_1), 2);
  entry(1) = Format::make_table(address(level_0), 1);
  page(level_2)[2] = Format::make_table(address(level_1_of_lab), 2);
  page(level_1_of_lab)[0] = Format::make_leaf(address(0), 1, {rights_rw, true, true});
}

inspect::PhysicalMemory DeviceLab::memory() const
{
  return inspect::PhysicalMemory(
      {{device_.reply().lab_pa, MORSEL_LAB_BYTES, reinterpret_cast<const std::byte*>(words_)}});
}

morsel_dma DeviceLab::access(Rights right, u64 place, bool fresh)
{
  return device_.move(right, place, right.write() ? write_block : read_block, fresh ? MORSEL_DMA_FLUSH : 0);
}

u64 DeviceLab::last_read()
{
  device_.move(right_write, lab_place + u64{scratch} * page_bytes, read_block, 0);
  return page(scratch)[0];
}

void DeviceLab::prepare_write(u64 value)
{
  page(scratch)[0] = value;
  device_.move(right_read, lab_place + u64{scratch} * page_bytes, write_block, 0);
}

void DeviceLab::invalidate(u64 place, bool other_domain)
{
  morsel_device_invalidate request{sizeof request, other_domain ? 1u : 0u, place};
  if (ioctl(device_.fd(), MORSEL_IOC_DEVICE_INVALIDATE, &request))
    throw NoDevice{errno, "the IOMMU's cache cannot be invalidated"};
}

}  // namespace morsel::guest
