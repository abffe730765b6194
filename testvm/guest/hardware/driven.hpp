// SPDX-License-Identifier: GPL-2.0-or-later
//
// An object, a view of it for VT-d, and a drive on that.
#pragma once
#include "testvm/guest/hardware/device_rows.hpp"
#include "testvm/guest/hardware/object.hpp"

namespace morsel::guest {

class Driven : public Object {
 public:
  static constexpr u64 scratch = 32 * mebibyte;  // where the process looks at what the drive has read

  Driven() : drive_(fd(), MORSEL_IOC_DEVICE, request(add_view(MORSEL_FORMAT_VTD_SECOND_STAGE))) {}

  // One block, without pages of their own for holes.
  morsel_dma device(Rights right, u64 offset, u32 flags = 0)
  {
    return drive_.move(right, offset, right.write() ? 1 : 0, flags);
  }
  u64 faults_of_reads(u64 start, u64 end)
  {
    u64 sum = 0;
    for (u64 at = start; at < end; at += page_bytes) sum += device(right_read, at).faults;
    return sum;
  }
  std::string reading(u64 offset)
  {
    const morsel_dma dma = device(right_read, offset);
    if (dma.result != MORSEL_DMA_DONE) return end_of(dma);
    drive_.move(right_write, scratch, 0, MORSEL_DMA_POPULATE);
    return "reads " + std::to_string(words()[scratch / sizeof(u64)]);
  }
  std::string writing(u64 value, u64 offset, u32 flags = 0)
  {
    words()[scratch / sizeof(u64)] = value;
    drive_.move(right_read, scratch, 1, MORSEL_DMA_POPULATE);
    const morsel_dma dma = device(right_write, offset, flags);
    if (dma.result != MORSEL_DMA_DONE) return end_of(dma);
    return std::to_string(words()[offset / sizeof(u64)]) + " stands there";
  }

 private:
  static morsel_device_attach request(u32 view)
  {
    morsel_device_attach request{};
    request.view = view;
    request.kind = MORSEL_DEVICE_NVME;
    request.device = MORSEL_DEVICE_ANY;
    return request;
  }
  static std::string end_of(const morsel_dma& dma)
  {
    switch (dma.result) {
      case MORSEL_DMA_HOLE: return "fault, and the primary has a hole";
      case MORSEL_DMA_DENIED: return "fault, and the primary forbids it";
      default: return "result " + std::to_string(dma.result);
    }
  }

  Device drive_;
};

}  // namespace morsel::guest
