// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/hardware/object.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace morsel::guest {
namespace {

int make_object()
{
  const int fd = open("/morsel", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 && ftruncate(fd, Object::bytes)) throw std::runtime_error(std::strerror(errno));
  return fd;
}

}  // namespace

void request(int fd, unsigned long code, void* argument, const char* what)
{
  if (ioctl(fd, code, argument)) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

Descriptor::Descriptor(int fd) : fd_(fd)
{
  if (fd < 0) throw std::runtime_error(std::string("opening: ") + std::strerror(errno));
}

Descriptor::~Descriptor() { close(fd_); }

Object::Object() : device_(open("/dev/morsel", O_RDWR | O_CLOEXEC)), object_(make_object()) {}

Object::~Object()
{
  ioctl(device_.get(), MORSEL_IOC_INJECT_CLEAR, 0);
  if (words_) munmap(words_, bytes);
}

u32 Object::add_view(morsel_format format)
{
  auto view = sized<morsel_view_add>();
  view.format = format;
  request(fd(), MORSEL_IOC_VIEW_ADD, &view, "adding a view");
  return view.view;
}

u64 Object::harvest_dirty(u64 end)
{
  std::array<u64, 1> accessed{}, dirty{};
  auto harvest = sized<morsel_harvest>();
  harvest.end = end;
  harvest.accessed = reinterpret_cast<std::uintptr_t>(accessed.data());
  harvest.dirty = reinterpret_cast<std::uintptr_t>(dirty.data());
  request(fd(), MORSEL_IOC_HARVEST, &harvest, "harvesting");
  return dirty[0];
}

u64 Object::frames()
{
  auto info = sized<morsel_info>();
  request(fd(), MORSEL_IOC_INFO, &info, "asking for the object");
  return info.frames;
}

volatile u64* Object::words()
{
  if (!words_) {
    words_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0);
    if (words_ == MAP_FAILED) throw std::runtime_error(std::string("mapping the object: ") + std::strerror(errno));
  }
  return static_cast<volatile u64*>(words_);
}

void Object::change(unsigned long code, u64 start, u64 end, u32 leaf_level, Rights rights)
{
  auto range = sized<morsel_range>();
  range.start = start;
  range.end = end;
  range.leaf_level = leaf_level;
  range.rights = rights.bits();
  request(fd(), code, &range, "changing the object");
}

void Object::inject(morsel_point point, u32 action, u64 bits)
{
  auto rule = sized<morsel_inject>();
  rule.point = point;
  rule.action = action;
  rule.view = 1;
  rule.nth = rule.times = rule.interval = 1;
  rule.probability = 100;
  rule.bits = bits;
  request(device_.get(), MORSEL_IOC_INJECT_ADD, &rule, "injecting a fault");
}

}  // namespace morsel::guest
