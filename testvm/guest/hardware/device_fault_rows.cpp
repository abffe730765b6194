// SPDX-License-Identifier: GPL-2.0-or-later
//
// What an IOMMU does when a step of the protocol is left out, or done wrong: a row for each preset of `inject preset`
// that says what hardware makes of it, and is offered for the format. The rules are the presets' own.
#include <cerrno>

#include "testvm/guest/hardware/device_outcome.hpp"
#include "testvm/guest/hardware/driven.hpp"

namespace morsel::guest {
namespace {

constexpr FormatId format = FormatId::vtd_second_stage;
// QEMU's IOTLB compares no more than eight bits of page numbers when it invalidates a page: what is flushed for the
// pages where the drive's data is looked at must not be these.
constexpr u64 number = 5, page = number * page_bytes, page_end = page + page_bytes;
constexpr u64 far_away = 16 * page_bytes, other = page ^ far_away;  // flushed in place of the page
static_assert(Driven::scratch / page_bytes % 256 == 0);
constexpr u64 last_block = page_end - 512;

// `preset`: null: nothing is left out.
class DeviceFaults {
 public:
  void unmapped(const char* preset, const char* expected)
  {
    Driven d;
    fill(d, page, 41);
    inject(d, preset);
    d.unmap(page, page_end);
    add(preset, "page unmapped, read", expected, d.reading(page));
  }
  void unmapped_for_near(const char* expected)
  {
    Driven d;
    fill(d, page, 41);
    d.flush_elsewhere(far_away);
    d.unmap(page, page_end);
    add("wrong-range", "page unmapped, 16 pages away flushed, read", expected, d.reading(page));
  }
  // The other page has been unmapped, and its flush dropped.
  void unmapped_for_another(const char* expected)
  {
    Driven d;
    fill(d, page, 41);
    fill(d, other, 42);
    d.inject_preset("dropped-flush", format);
    d.unmap(other, other + page_bytes);
    std::string seen = d.reading(other) + "; ";
    d.flush_elsewhere(far_away);
    d.unmap(page, page_end);
    seen += d.reading(page) + ", ";
    add("wrong-range", "another stale page: it is read, then flushed in place of the unmapped one; both are read",
        expected, seen + d.reading(other));
  }
  void made_read_only(const char* preset, const char* expected)
  {
    Driven d;
    fill(d, page, 41);
    inject(d, preset);
    d.protect(page, page_end, right_read);
    add(preset, "page made read-only, written", expected, d.writing(43, page));
  }
  void filled_read_only(const char* preset, const char* expected)
  {
    Driven d;
    d.words()[page / sizeof(u64)] = 41;
    d.protect(page, page_end, right_read);
    inject(d, preset);
    d.device(right_read, page);
    add(preset, "a page that is r-- in the primary, read, then written", expected, d.writing(43, page));
  }
  void beside(const char* preset, const char* expected)
  {
    Driven d;
    d.populate(0, 2 * mebibyte, 1);
    d.split(0, 2 * mebibyte);
    d.words()[page / sizeof(u64)] = 41;
    d.words()[(page ^ page_bytes) / sizeof(u64)] = 42;
    inject(d, preset);
    add(preset, "a page with 41, beside one with 42, read", expected, d.reading(page));
  }
  void moved(const char* preset, const char* expected)
  {
    Driven d;
    for (const u64 at : {page, last_block}) d.words()[at / sizeof(u64)] = 7;
    d.device(right_read, page);
    inject(d, preset);
    d.migrate(page, page_end);
    add(preset, "a page full of 7 is moved, its first and its last block read", expected,
        d.reading(page) + ", " + d.reading(last_block));
  }
  // Without a fill, a write goes by what is cached.
  void harvested(const char* preset, u32 flags, const char* expected)
  {
    Driven d;
    fill(d, page, 41);
    inject(d, preset);
    d.harvest_dirty(page_end);
    const std::string seen = d.writing(43, page, flags);
    add(preset, "a written page is harvested, written again", expected,
        seen + (d.harvest_dirty(page_end) & bit(number) ? ", reported dirty" : ", reported clean"));
  }
  void malformed(const char* preset)
  {
    Driven d;
    d.words()[page / sizeof(u64)] = 41;
    inject(d, preset);
    add(preset, "a page is filled, read", "no fill mends it", filling(d));
    for (const Rights right : {right_read, right_write})
      add(preset, right.write() ? "written without a fill" : "read without a fill", "malformed",
          std::string(outcome_word(outcome_of(d.device(right, page, MORSEL_DMA_NO_FILL)))));
  }
  // Of the row that was added last.
  void known_otherwise(const char* seen) { rows_.back().known = seen; }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  static void fill(Driven& d, u64 offset, u64 value)
  {
    d.words()[offset / sizeof(u64)] = value;
    d.device(right_read, offset);
    d.device(right_write, offset + page_bytes / 2);
  }
  static void inject(Driven& d, const char* preset)
  {
    if (preset) d.inject_preset(preset, format);
  }
  static std::string filling(Driven& d)
  {
    try {
      return d.reading(page);
    } catch (const NoDevice& error) {
      if (error.number != EIO) throw;
      return "no fill mends it";
    }
  }
  void add(const char* preset, const char* what, const char* expected, std::string seen)
  {
    rows_.push_back({std::string(preset ? preset : "nothing left out") + ": " + what, expected, std::move(seen)});
  }

  std::vector<Row> rows_;
};

}  // namespace

Section device_fault_section()
{
  constexpr const char* hole = "fault, and the primary has a hole";
  constexpr const char* forbidden = "fault, and the primary forbids it";
  DeviceFaults rows;
  rows.unmapped(nullptr, hole);
  for (const char* preset : {"lost-invalidation", "dropped-flush", "wrong-range"}) rows.unmapped(preset, "reads 41");
  rows.known_otherwise(hole);  // the preset's range is so far away that those eight bits are the same
  rows.unmapped_for_near("reads 41");
  rows.unmapped_for_another("reads 42; reads 41, fault, and the primary has a hole");
  rows.made_read_only(nullptr, forbidden);
  rows.made_read_only("lost-invalidation", "43 stands there");
  rows.filled_read_only(nullptr, forbidden);
  rows.filled_read_only("rights-widened", "43 stands there");
  rows.beside(nullptr, "reads 41");
  rows.beside("wrong-frame", "reads 42");
  rows.moved(nullptr, "reads 7, reads 7");
  rows.moved("torn-copy", "reads 7, reads 0");
  rows.harvested(nullptr, 0, "43 stands there, reported dirty");
  rows.harvested("dropped-flush", MORSEL_DMA_NO_FILL, "43 stands there, reported clean");
  rows.malformed("reserved-bit");
  return {"Faults of the protocol", "`inject preset`: what it says that hardware does", rows.take()};
}

}  // namespace morsel::guest
