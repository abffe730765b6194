// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on objects whose view an IOMMU walks, filled by the protocol: how often. (What happens when a step of it is left
// out: device_fault_rows.cpp.)
#include "testvm/guest/hardware/driven.hpp"

namespace morsel::guest {
namespace {

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
  words[Driven::scratch / sizeof(u64)] = 0;
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

}  // namespace

std::vector<Section> device_object_sections()
{
  return {fill_section(), dirty_section(), sharing_section(), device_fault_section()};
}

}  // namespace morsel::guest
