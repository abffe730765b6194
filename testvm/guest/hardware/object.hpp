// SPDX-License-Identifier: GPL-2.0-or-later
//
// An object without a name, as a program in the guest has it: requests on it, and the program's own mapping.
#pragma once
#include <string>

#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "engine/base/types.hpp"

namespace morsel::guest {

void request(int fd, unsigned long code, void* argument, const char* what);

template <class T>
T sized()
{
  T t{};
  t.size = sizeof t;
  return t;
}

class Descriptor {
 public:
  explicit Descriptor(int fd);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class Object {
 public:
  static constexpr u64 bytes = u64{64} << 20;

  Object();
  ~Object();  // takes injected faults back
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  int fd() const { return object_.get(); }
  u32 add_view(morsel_format format);
  void populate(u64 start, u64 end, u32 leaf_level) { change(MORSEL_IOC_POPULATE, start, end, leaf_level, rights_rw); }
  void unmap(u64 start, u64 end) { change(MORSEL_IOC_UNMAP, start, end, 0, {}); }
  void protect(u64 start, u64 end, Rights rights) { change(MORSEL_IOC_PROTECT, start, end, 0, rights); }
  // The first 64 pages that were written since the last harvest: a bit for each.
  u64 harvest_dirty(u64 end);
  // At the next access of view 1 at this point: it does not happen, or with other bits.
  void drop_next(morsel_point point) { inject(point, MORSEL_FAULT_DROP, 0); }
  void corrupt_next(morsel_point point, u64 bits) { inject(point, MORSEL_FAULT_CORRUPT, bits); }
  u64 frames();
  // The process's own mapping: its CPU walks the AMD64 primary.
  volatile u64* words();

 private:
  void change(unsigned long code, u64 start, u64 end, u32 leaf_level, Rights rights);
  void inject(morsel_point point, u32 action, u64 bits);

  Descriptor device_, object_;
  void* words_ = nullptr;
};

}  // namespace morsel::guest
