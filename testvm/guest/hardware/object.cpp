// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/guest/hardware/object.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "engine/session/presets.hpp"

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

Observed::Observed() : device_(open("/dev/morsel", O_RDWR | O_CLOEXEC))
{
  if (switch_journal(true)) throw std::runtime_error(std::string("switching the journal: ") + std::strerror(errno));
}

int Observed::switch_journal(bool on)
{
  constexpr u32 smallest = 6;
  std::array<u64, MORSEL_JOURNAL_ROOM> rings{};
  auto journal = sized<morsel_journal_switch>();
  journal.on = on;
  journal.capacity_lg2 = on ? smallest : 0;
  journal.rings = reinterpret_cast<std::uintptr_t>(rings.data());
  journal.room = rings.size();
  return ioctl(device_.get(), MORSEL_IOC_JOURNAL, &journal);
}

Object::Object() : device_(open("/dev/morsel", O_RDWR | O_CLOEXEC)), object_(make_object()) {}

Object::~Object()
{
  clear_injected();
  for (const auto& [tree, at] : mapped_) munmap(at, bytes);
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

u64 Object::fills()
{
  auto counters = sized<morsel_counters>();
  request(device_.get(), MORSEL_IOC_COUNTERS, &counters, "asking for the counters");
  return counters.fills_total;
}

u64 Object::touch(Rights right, u64 offset, u64 value)
{
  auto access = sized<morsel_access>();
  access.offset = offset;
  access.rights = right.bits();
  access.flags = MORSEL_ACCESS_POPULATE | MORSEL_ACCESS_TOUCH;
  access.value = value;
  request(fd(), MORSEL_IOC_ACCESS, &access, "accessing the primary");
  return access.value;
}

void Object::migrate(u64 start, u64 end)
{
  if (change(MORSEL_IOC_MIGRATE, start, end, 0, {}) != (end - start) / page_bytes)
    throw std::runtime_error("pages could not be moved");
}

volatile u64* Object::words() { return map(0); }

volatile u64* Object::map_view(u32 view) { return map(view); }

volatile u64* Object::map(u32 tree)
{
  if (const auto found = mapped_.find(tree); found != mapped_.end()) return static_cast<volatile u64*>(found->second);
  auto which = sized<morsel_map_view>();
  which.view = tree;
  request(fd(), MORSEL_IOC_MAP_VIEW, &which, "choosing a tree");
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0);
  if (at == MAP_FAILED) throw std::runtime_error(std::string("mapping the object: ") + std::strerror(errno));
  mapped_.emplace(tree, at);
  return static_cast<volatile u64*>(at);
}

u64 Object::change(unsigned long code, u64 start, u64 end, u32 leaf_level, Rights rights)
{
  auto range = sized<morsel_range>();
  range.start = start;
  range.end = end;
  range.leaf_level = leaf_level;
  range.rights = rights.bits();
  request(fd(), code, &range, "changing the object");
  return range.changed_pages;
}

void Object::inject_preset(std::string_view name, FormatId format)
{
  const session::Preset* const preset = session::find_preset(name);
  if (!preset) throw std::runtime_error("there is no preset " + std::string(name));
  const u64 bits = preset->bits ? preset->bits(format) : 0;
  if (preset->bits && !bits) throw std::runtime_error("this format has no bit for " + std::string(name));
  inject(static_cast<u32>(preset->point), preset->action, preset->where == session::Preset::Where::view ? 1 : 0, bits);
}

void Object::clear_injected() { ioctl(device_.get(), MORSEL_IOC_INJECT_CLEAR, 0); }

void Object::inject(u32 point, u32 action, u32 tree, u64 bits)
{
  auto rule = sized<morsel_inject>();
  rule.point = point;
  rule.action = action;
  rule.view = tree;
  rule.nth = rule.times = rule.interval = 1;
  rule.probability = 100;
  rule.bits = bits;
  request(device_.get(), MORSEL_IOC_INJECT_ADD, &rule, "injecting a fault");
}

}  // namespace morsel::guest
