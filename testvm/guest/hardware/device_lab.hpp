// SPDX-License-Identifier: GPL-2.0-or-later
//
// An NVMe drive behind an IOMMU (engine/abi/morsel_device.h) on tables that this program makes itself: 2 MiB of memory
// that holds the tables and the pages they map. So each bit of an entry can be tried.
//
//   the drive's addresses, from MORSEL_DEVICE_BASE:
//     1 GiB..   the place under test: level_0[0], or another word on the way there
//     2 GiB..   the whole lab, by one 2-MiB leaf
#pragma once
#include <string>

#include "engine/abi/morsel_device.h"
#include "engine/format/vtd.hpp"
#include "engine/inspect/physical_memory.hpp"

namespace morsel::guest {

// A device that cannot be had throws this: the errno, and the module's words.
struct NoDevice {
  int number;
  std::string reason;
};

// Closed, the device is given back.
class Device {
 public:
  // `request` says how; its reply is kept.
  Device(int on, unsigned long code, morsel_device_attach request);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const morsel_device_attach& reply() const { return reply_; }
  int fd() const { return reply_.fd; }
  // One block between the object, or the lab, and the drive: the device reads it (right_read), or writes it.
  morsel_dma move(Rights right, u64 offset, u64 block, u32 flags);
  // The same with the edu device and a word.
  morsel_dma word(Rights right, u64 offset, u64 value, u32 flags);

 private:
  morsel_dma run(morsel_dma request);

  morsel_device_attach reply_{};
};

class DeviceLab {
 public:
  using Format = VtdSecondStageL4;
  static constexpr u64 tested_place = u64{1} << 30;
  static constexpr u64 lab_place = u64{2} << 30;
  enum Page : u32 { root, level_2, level_1, level_0, level_1_of_lab, scratch, first_free, pages = 512 };

  DeviceLab();
  ~DeviceLab();
  DeviceLab(const DeviceLab&) = delete;
  DeviceLab& operator=(const DeviceLab&) = delete;

  // Everything as at the beginning: the tables lead to level_0, which maps nothing. Nothing is cached.
  void reset();
  u64* page(u32 number) { return words_ + u64{number} * 512; }
  PhysAddr address(u32 number) const { return {device_.reply().lab_pa + u64{number} * page_bytes}; }
  u64& entry(Level level);  // on the way to the place under test
  u64& tested() { return entry(0); }
  inspect::PhysicalMemory memory() const;

  // One block at `place`, by what is cached from before; `fresh`: by nothing.
  morsel_dma access(Rights right, u64 place, bool fresh);
  // The word that the drive has read last.
  u64 last_read();
  // What the drive will write from now on.
  void prepare_write(u64 value);
  // The IOMMU forgets a page of the lab's domain, or of another one.
  void invalidate(u64 place, bool other_domain = false);

 private:
  Device device_;
  u64* words_ = nullptr;
};

}  // namespace morsel::guest
