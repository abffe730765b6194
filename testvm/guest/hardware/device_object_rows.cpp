// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on objects whose view an IOMMU walks, filled by the protocol: how often, and what happens when a step of it is
// left out.
#include "engine/abi/morsel_points.h"
#include "testvm/guest/hardware/device_rows.hpp"
#include "testvm/guest/hardware/object.hpp"

namespace morsel::guest {
namespace {

constexpr u64 mebibyte = u64{1} << 20;
constexpr u64 scratch = 32 * mebibyte;  // where the process looks at what the drive has read

// An object, a view of it for VT-d, and a drive on that.
class Driven : public Object {
 public:
  Driven() : drive_(fd(), MORSEL_IOC_DEVICE, request(add_view(MORSEL_FORMAT_VTD_SECOND_STAGE))) {}

  // One block, without pages of their own for holes.
  morsel_dma device(Rights right, u64 offset) { return drive_.move(right, offset, right.write() ? 1 : 0, 0); }
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
  std::string writing(u64 value, u64 offset)
  {
    words()[scratch / sizeof(u64)] = value;
    drive_.move(right_read, scratch, 1, MORSEL_DMA_POPULATE);
    const morsel_dma dma = device(right_write, offset);
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

std::string count(u64 number, const char* what) { return std::to_string(number) + " " + what; }

Section fill_section()
{
  Section section{"Lazy fill", "a page that is missing costs one fault, once; a large leaf all its pages", {}};
  Driven d;
  const u64 small = 16 * page_bytes;
  const auto row = [&](const char* what, const char* expected, u64 faults) {
    section.rows.push_back({what, expected, count(faults, "faults")});
  };
  d.populate(0, small, 0);
  row("16 pages, each read for the first time", "16 faults", d.faults_of_reads(0, small));
  row("the same again", "0 faults", d.faults_of_reads(0, small));
  row("the same, written", "0 faults", d.device(right_write, 0).faults);
  d.unmap(3 * page_bytes, 4 * page_bytes);
  d.populate(3 * page_bytes, 4 * page_bytes, 0);
  row("one of them unmapped and populated, all read", "1 faults", d.faults_of_reads(0, small));
  d.populate(4 * mebibyte, 6 * mebibyte, 1);
  row("512 pages of one 2-MiB leaf", "1 faults", d.faults_of_reads(4 * mebibyte, 6 * mebibyte));
  d.protect(0, page_bytes, right_read);
  d.device(right_read, 0);
  section.rows.push_back(
      {"a write to a page that has become read-only", "fault, and the primary forbids it", d.writing(1, 0)});
  d.protect(0, page_bytes, rights_rw);
  row("a write after the right has come back", "1 faults", d.device(right_write, 0).faults);
  return section;
}

Section sharing_section()
{
  Section section{"Process and device, one object", "one frame for each page, whoever writes: nothing is copied", {}};
  constexpr u64 pages = 64, stride = page_bytes / sizeof(u64);
  Driven d;
  volatile u64* const words = d.words();
  for (u64 i = 0; i < pages; ++i) words[i * stride] = 1000 + i;
  words[scratch / sizeof(u64)] = 0;
  const u64 frames = d.frames();
  u64 right = 0;
  for (u64 i = 0; i < pages; ++i) right += d.reading(i * page_bytes) == "reads " + std::to_string(1000 + i);
  section.rows.push_back(
      {"64 pages written by a process (AMD64), read by the drive", "64 right", count(right, "right")});
  right = 0;
  for (u64 i = 0; i < pages; ++i)
    right += d.writing(2000 + i, i * page_bytes) == std::to_string(2000 + i) + " stands there";
  section.rows.push_back(
      {"the same pages written by the drive, read by the process", "64 right", count(right, "right")});
  section.rows.push_back(
      {"frames that the object has more than before", "0 frames", count(d.frames() - frames, "frames")});
  return section;
}

// The format has no dirty bit: what may be written counts as written, until a harvest has taken the right away.
Section dirty_section()
{
  Section section{"Harvest", "engine/format/vtd.hpp: may_be_dirty() is the right to write", {}};
  Driven d;
  d.populate(0, 4 * page_bytes, 0);
  d.device(right_read, 0);
  d.device(right_write, page_bytes);
  d.protect(2 * page_bytes, 3 * page_bytes, right_read);
  d.harvest_dirty(4 * page_bytes);
  d.device(right_write, page_bytes);
  d.device(right_read, 2 * page_bytes);
  const u64 dirty = d.harvest_dirty(4 * page_bytes);
  const auto row = [&](const char* what, const char* expected, u64 page) {
    section.rows.push_back({what, expected, dirty & bit(static_cast<unsigned>(page)) ? "dirty" : "clean"});
  };
  row("a page that the device has written", "dirty", 1);
  row("a page that it has read and may not write", "clean", 2);
  row("a page that it has not touched", "clean", 3);
  return section;
}

Section fault_section()
{
  Section section{"Faults of the protocol", "`inject preset`: what hardware does when a step is left out", {}};
  const auto filled = [](Driven& d) {
    d.words()[0] = 41;
    d.device(right_read, 0);
    d.device(right_write, page_bytes / 2);
  };
  const auto unmapped = [&](const char* what, const char* expected, auto&& prepare) {
    Driven d;
    filled(d);
    prepare(d);
    d.unmap(0, page_bytes);
    section.rows.push_back({std::string(what) + "page unmapped, read", expected, d.reading(0)});
  };
  const auto nothing = [](Driven&) {};
  const auto lost = [](Driven& d) { d.drop_next(MORSEL_POINT_invalidate); };
  const auto dropped = [](Driven& d) { d.drop_next(MORSEL_POINT_flush); };
  unmapped("nothing left out: ", "fault, and the primary has a hole", nothing);
  unmapped("lost-invalidation: ", "reads 41", lost);
  unmapped("dropped-flush: ", "reads 41", dropped);
  unmapped("wrong-range: ", "reads 41", [](Driven& d) { d.corrupt_next(MORSEL_POINT_flush, 16 * page_bytes); });
  const auto protected_page = [&](const char* what, const char* expected, auto&& prepare) {
    Driven d;
    filled(d);
    prepare(d);
    d.protect(0, page_bytes, right_read);
    section.rows.push_back({std::string(what) + "page made read-only, written", expected, d.writing(43, 0)});
  };
  protected_page("nothing left out: ", "fault, and the primary forbids it", nothing);
  protected_page("lost-invalidation: ", "43 stands there", lost);
  return section;
}

}  // namespace

std::vector<Section> device_object_sections()
{
  return {fill_section(), dirty_section(), sharing_section(), fault_section()};
}

}  // namespace morsel::guest
