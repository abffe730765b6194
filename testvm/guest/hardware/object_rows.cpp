// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on objects and their views, filled by the protocol: how often. (What happens when a step of it is left out:
// fault_rows.cpp.)
#include "testvm/guest/hardware/watched.hpp"

namespace morsel::guest {
namespace {

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
                          Watched::text(w.guest(right_write, 0))});
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

}  // namespace

std::vector<Section> object_sections(const Walker& walker)
{
  return {fill_section(walker), sharing_section(walker), fault_section(walker)};
}

}  // namespace morsel::guest
