// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on objects and their views, filled by the protocol: how often, and what happens when a step of it is left out.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "testvm/guest/hardware/outcome.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace morsel::guest {
namespace {

constexpr u64 object_bytes = 64 * mebibyte;

void request(int fd, unsigned long code, void* argument, const char* what)
{
  if (ioctl(fd, code, argument)) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

template <class T>
T sized()
{
  T t{};
  t.size = sizeof t;
  return t;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd)
  {
    if (fd < 0) throw std::runtime_error(std::string("opening: ") + std::strerror(errno));
  }
  ~Descriptor() { close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// An object without a name, a view of it, and a vCPU on that.
class Watched {
 public:
  explicit Watched(const Walker& walker)
      : device_(open("/dev/morsel", O_RDWR | O_CLOEXEC)), object_(make_object()), vcpu_(make_vcpu(walker))
  {
  }
  ~Watched()
  {
    ioctl(device_.get(), MORSEL_IOC_INJECT_CLEAR, 0);
    if (words_) munmap(words_, object_bytes);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  void populate(u64 start, u64 end, u32 leaf_level) { change(MORSEL_IOC_POPULATE, start, end, leaf_level, rights_rw); }
  void unmap(u64 start, u64 end) { change(MORSEL_IOC_UNMAP, start, end, 0, {}); }
  void protect(u64 start, u64 end, Rights rights) { change(MORSEL_IOC_PROTECT, start, end, 0, rights); }

  morsel_vcpu_run guest(Rights right, u64 offset, u64 value = 0)
  {
    auto run = sized<morsel_vcpu_run>();
    run.program = right.write() ? MORSEL_VCPU_WRITE : MORSEL_VCPU_READ;
    run.offset = offset;
    run.value = value;
    run.timeout_ms = 20'000;
    request(vcpu_.get(), MORSEL_IOC_VCPU_RUN, &run, "running the vCPU");
    return run;
  }
  u64 violations_of_reads(u64 start, u64 end)
  {
    u64 sum = 0;
    for (u64 at = start; at < end; at += page_bytes) sum += guest(right_read, at).violations;
    return sum;
  }
  void drop_next(morsel_point point)
  {
    auto rule = sized<morsel_inject>();
    rule.point = point;
    rule.action = MORSEL_FAULT_DROP;
    rule.view = 1;
    rule.nth = rule.times = rule.interval = 1;
    rule.probability = 100;
    request(device_.get(), MORSEL_IOC_INJECT_ADD, &rule, "injecting a fault");
  }
  u64 frames()
  {
    auto info = sized<morsel_info>();
    request(object_.get(), MORSEL_IOC_INFO, &info, "asking for the object");
    return info.frames;
  }
  // The process's own mapping: its CPU walks the AMD64 primary.
  volatile u64* words()
  {
    if (!words_) {
      words_ = mmap(nullptr, object_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, object_.get(), 0);
      if (words_ == MAP_FAILED) throw std::runtime_error(std::string("mapping the object: ") + std::strerror(errno));
    }
    return static_cast<volatile u64*>(words_);
  }

 private:
  static int make_object()
  {
    const int fd = open("/morsel", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, object_bytes)) throw std::runtime_error(std::strerror(errno));
    return fd;
  }
  int make_vcpu(const Walker& walker)
  {
    auto view = sized<morsel_view_add>();
    view.format = static_cast<u32>(walker.format.id);
    request(object_.get(), MORSEL_IOC_VIEW_ADD, &view, "adding a view");
    auto vcpu = sized<morsel_vcpu_create>();
    vcpu.view = view.view;
    if (ioctl(object_.get(), MORSEL_IOC_VCPU, &vcpu)) throw NoVcpu{errno, vcpu.reason};
    return vcpu.fd;
  }
  void change(unsigned long code, u64 start, u64 end, u32 leaf_level, Rights rights)
  {
    auto range = sized<morsel_range>();
    range.start = start;
    range.end = end;
    range.leaf_level = leaf_level;
    range.rights = rights.bits();
    request(object_.get(), code, &range, "changing the object");
  }

  Descriptor device_, object_, vcpu_;
  void* words_ = nullptr;
};

std::string count(u64 number, const char* what) { return std::to_string(number) + " " + what; }

std::string reading(const morsel_vcpu_run& run)
{
  switch (run.result) {
    case MORSEL_VCPU_DONE: return "reads " + std::to_string(run.value);
    case MORSEL_VCPU_HOLE: return "violation, and the primary has a hole";
    case MORSEL_VCPU_DENIED: return "violation, and the primary forbids it";
    default: return "result " + std::to_string(run.result);
  }
}

Section fill_section(const Walker& walker)
{
  Section section{"Lazy fill", "a page that is missing costs one violation, once; a large leaf all its pages", {}};
  Watched w(walker);
  const u64 small = 16 * page_bytes;
  w.populate(0, small, 0);
  section.rows.push_back({"16 pages, each read for the first time", "16 violations",
                          count(w.violations_of_reads(0, small), "violations")});
  section.rows.push_back({"the same again", "0 violations", count(w.violations_of_reads(0, small), "violations")});
  w.unmap(3 * page_bytes, 4 * page_bytes);
  w.populate(3 * page_bytes, 4 * page_bytes, 0);
  section.rows.push_back({"one of them unmapped and populated, all read", "1 violations",
                          count(w.violations_of_reads(0, small), "violations")});
  w.populate(4 * mebibyte, 6 * mebibyte, 1);
  section.rows.push_back({"512 pages of one 2-MiB leaf", "1 violations",
                          count(w.violations_of_reads(4 * mebibyte, 6 * mebibyte), "violations")});
  w.protect(0, page_bytes, right_read);
  w.guest(right_read, 0);
  section.rows.push_back({"a write to a page that has become read-only", "violation, and the primary forbids it",
                          reading(w.guest(right_write, 0))});
  w.protect(0, page_bytes, rights_rw);
  section.rows.push_back({"a write after the right has come back", "1 violations",
                          count(w.guest(right_write, 0).violations, "violations")});
  return section;
}

Section sharing_section(const Walker& walker)
{
  Section section{"Process and guest, one object", "one frame for each page, whoever writes: nothing is copied", {}};
  constexpr u64 pages = 256, stride = page_bytes / sizeof(u64);
  Watched w(walker);
  volatile u64* const words = w.words();
  for (u64 i = 0; i < pages; ++i) words[i * stride] = 1000 + i;
  const u64 frames = w.frames();
  u64 right = 0;
  for (u64 i = 0; i < pages; ++i) right += w.guest(right_read, i * page_bytes).value == 1000 + i;
  section.rows.push_back(
      {"256 pages written by a process (AMD64), read by the guest (" + std::string(walker.title) + ")", "256 right",
       count(right, "right")});
  for (u64 i = 0; i < pages; ++i) w.guest(right_write, i * page_bytes + 8, 2000 + i);
  right = 0;
  for (u64 i = 0; i < pages; ++i) right += words[i * stride + 1] == 2000 + i;
  section.rows.push_back(
      {"the same pages written by the guest, read by the process", "256 right", count(right, "right")});
  section.rows.push_back(
      {"frames that the object has more than before", "0 frames", count(w.frames() - frames, "frames")});
  return section;
}

Section fault_section(const Walker& walker)
{
  Section section{"Faults of the protocol", "`inject preset`: what hardware does when a step is left out", {}};
  const auto filled = [](Watched& w) {
    w.words()[0] = 41;
    w.guest(right_read, 0);
    w.guest(right_write, 8, 1);
  };
  {
    Watched w(walker);
    filled(w);
    w.unmap(0, page_bytes);
    section.rows.push_back({"nothing left out: page unmapped, read", "violation, and the primary has a hole",
                            reading(w.guest(right_read, 0))});
  }
  {
    Watched w(walker);
    filled(w);
    w.drop_next(MORSEL_POINT_invalidate);
    w.unmap(0, page_bytes);
    section.rows.push_back({"lost-invalidation: page unmapped, read", "reads 41", reading(w.guest(right_read, 0))});
  }
  {
    Watched w(walker);
    filled(w);
    w.protect(0, page_bytes, right_read);
    section.rows.push_back({"nothing left out: page made read-only, written", "violation, and the primary forbids it",
                            reading(w.guest(right_write, 0, 43))});
  }
  {
    Watched w(walker);
    filled(w);
    w.drop_next(MORSEL_POINT_invalidate);
    w.protect(0, page_bytes, right_read);
    w.guest(right_write, 0, 43);
    section.rows.push_back({"lost-invalidation: page made read-only, written", "43 stands there",
                            std::to_string(w.words()[0]) + " stands there"});
  }
  return section;
}

}  // namespace

std::vector<Section> object_sections(const Walker& walker)
{
  return {fill_section(walker), sharing_section(walker), fault_section(walker)};
}

}  // namespace morsel::guest
