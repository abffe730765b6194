// SPDX-License-Identifier: GPL-2.0-or-later
//
// An object without a name, as a program in the guest has it: requests on it, and the program's own mapping.
#pragma once
#include <map>
#include <string_view>

#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "engine/base/types.hpp"
#include "engine/format/format.hpp"

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

// While there is one the journal records: then a rule that is injected, or taken back, does not change the kernel's
// code, which is what takes longest on an emulated CPU, and makes it forget what it has cached.
class Observed {
 public:
  Observed();
  ~Observed() { switch_journal(false); }
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;

 private:
  // What ioctl() returns.
  int switch_journal(bool on);

  Descriptor device_;
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
  void split(u64 start, u64 end) { change(MORSEL_IOC_SPLIT, start, end, 0, {}); }
  void migrate(u64 start, u64 end);
  void protect(u64 start, u64 end, Rights rights) { change(MORSEL_IOC_PROTECT, start, end, 0, rights); }
  // The first 64 pages that were written since the last harvest: a bit for each.
  u64 harvest_dirty(u64 end);
  // Once, at the next chance that view 1, or the primary, gives: what `inject preset` would do (engine/session).
  void inject_preset(std::string_view name, FormatId format);
  void clear_injected();
  // The same with a flush of view 1 that is about the range `bits` away.
  void flush_elsewhere(u64 bits) { inject(MORSEL_POINT_flush, MORSEL_FAULT_CORRUPT, 1, bits); }
  u64 frames();
  u64 fills();  // of all objects' views, since the module was loaded
  // One word of the primary, by the engine's walker: no mapping is needed for it.
  u64 touch(Rights right, u64 offset, u64 value = 0);
  // The process's own mapping: its CPU walks the AMD64 primary.
  volatile u64* words();
  // The same by another tree: its CPU walks that AMD64 view.
  volatile u64* map_view(u32 view);

 private:
  u64 change(unsigned long code, u64 start, u64 end, u32 leaf_level, Rights rights);  // returns how many pages
  void inject(u32 point, u32 action, u32 tree, u64 bits);
  volatile u64* map(u32 tree);

  Descriptor device_, object_;
  std::map<u32, void*> mapped_;  // by tree
};

}  // namespace morsel::guest
