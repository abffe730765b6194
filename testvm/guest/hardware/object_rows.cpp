// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on objects and their views, filled by the protocol: how often, and what happens when a step of it is left out.
#include <cerrno>

#include "engine/abi/morsel_points.h"
#include "testvm/guest/hardware/object.hpp"
#include "testvm/guest/hardware/outcome.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace morsel::guest {
namespace {

constexpr u64 mebibyte = u64{1} << 20;

// An object, an NPT view of it, and a vCPU on that.
class Watched : public Object {
 public:
  Watched() : vcpu_(make_vcpu()) {}

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

 private:
  int make_vcpu()
  {
    auto vcpu = sized<morsel_vcpu_create>();
    vcpu.view = add_view(MORSEL_FORMAT_NPT);
    if (ioctl(fd(), MORSEL_IOC_VCPU, &vcpu)) throw NoVcpu{errno, vcpu.reason};
    return vcpu.fd;
  }

  Descriptor vcpu_;
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

Section fill_section()
{
  Section section{"Lazy fill", "a page that is missing costs one violation, once; a large leaf all its pages", {}};
  Watched w;
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

Section sharing_section()
{
  Section section{"Process and guest, one object", "one frame for each page, whoever writes: nothing is copied", {}};
  constexpr u64 pages = 256, stride = page_bytes / sizeof(u64);
  Watched w;
  volatile u64* const words = w.words();
  for (u64 i = 0; i < pages; ++i) words[i * stride] = 1000 + i;
  const u64 frames = w.frames();
  u64 right = 0;
  for (u64 i = 0; i < pages; ++i) right += w.guest(right_read, i * page_bytes).value == 1000 + i;
  section.rows.push_back(
      {"256 pages written by a process (AMD64), read by the guest (NPT)", "256 right", count(right, "right")});
  for (u64 i = 0; i < pages; ++i) w.guest(right_write, i * page_bytes + 8, 2000 + i);
  right = 0;
  for (u64 i = 0; i < pages; ++i) right += words[i * stride + 1] == 2000 + i;
  section.rows.push_back(
      {"the same pages written by the guest, read by the process", "256 right", count(right, "right")});
  section.rows.push_back(
      {"frames that the object has more than before", "0 frames", count(w.frames() - frames, "frames")});
  return section;
}

Section fault_section()
{
  Section section{"Faults of the protocol", "`inject preset`: what hardware does when a step is left out", {}};
  const auto filled = [](Watched& w) {
    w.words()[0] = 41;
    w.guest(right_read, 0);
    w.guest(right_write, 8, 1);
  };
  {
    Watched w;
    filled(w);
    w.unmap(0, page_bytes);
    section.rows.push_back({"nothing left out: page unmapped, read", "violation, and the primary has a hole",
                            reading(w.guest(right_read, 0))});
  }
  {
    Watched w;
    filled(w);
    w.drop_next(MORSEL_POINT_invalidate);
    w.unmap(0, page_bytes);
    section.rows.push_back({"lost-invalidation: page unmapped, read", "reads 41", reading(w.guest(right_read, 0))});
  }
  {
    Watched w;
    filled(w);
    w.protect(0, page_bytes, right_read);
    section.rows.push_back({"nothing left out: page made read-only, written", "violation, and the primary forbids it",
                            reading(w.guest(right_write, 0, 43))});
  }
  {
    Watched w;
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

std::vector<Section> object_sections() { return {fill_section(), sharing_section(), fault_section()}; }

}  // namespace morsel::guest
