// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on a second stage: what it caches within one entry into guest mode.
#pragma once
#include "testvm/guest/hardware/lab_rows.hpp"

namespace morsel::guest {

// How a format's hardware is flushed, in words.
struct Flushing {
  const char* source;
  const char* flushed;
  const char* after_invlpg;  // what is read when only the guest's own stage was flushed
};

// Within one entry into guest mode the guest changes its own leaf, and goes on: entering would flush.
template <class F>
Section invalidation_section(Lab& lab, const Flushing& words)
{
  constexpr u64 kept = ~(F::accessed | F::dirty);
  constexpr u8 clear_leaf[] = {0x48, 0x8b, 0x13,               // mov (%rbx), %rdx
                               0x48, 0xc7, 0x00, 0, 0, 0, 0};  // movq $0, (%rax)
  constexpr u8 clear_marks[] = {0x48,        0x89,
                                0x13,  // mov %rdx, (%rbx)
                                0x48,        0x81,
                                0x20,  // andq $kept, (%rax)
                                kept & 0xff, kept >> 8 & 0xff,
                                0xff,        0xff};
  constexpr u8 flush_in_guest[] = {0x0f, 0x01, 0x3b};               // invlpg (%rbx)
  constexpr u8 flush_beside[] = {0x0f, 0x01, 0xbb, 0, 0x20, 0, 0};  // invlpg 0x2000(%rbx)
  constexpr u8 load[] = {0x48, 0x8b, 0x03}, store[] = {0x48, 0x89, 0x13};
  const auto put = [&] {
    lab.reset();
    lab.tested() = F::make_leaf(lab.address(frame_page), 0, {rights_rw, false, false});
    lab.page(frame_page)[0] = 41;
  };
  Section section{
      "Invalidation", std::string(words.source) + ": what was changed without a flush may still be used", {}};
  const u64 leaf = lab.small_address(lab.tested());
  const auto row = [&](const char* what, const char* expected, const std::vector<u8>& code) {
    section.rows.push_back({what, expected, read_text(lab.uninterrupted(code, leaf, small_pages, put))});
  };
  row("dropped-flush: leaf cleared, read", "reads 41", together({clear_leaf, load}));
  row("wrong-range: leaf cleared, another page flushed, read", "reads 41", together({clear_leaf, flush_beside, load}));
  row("leaf cleared, the guest's stage flushed (INVLPG), read", words.after_invlpg,
      together({clear_leaf, flush_in_guest, load}));
  lab.uninterrupted(together({clear_leaf}), leaf, small_pages, put);
  section.rows.push_back({"leaf cleared, " + std::string(words.flushed) + ", read", "absent",
                          read_text(lab.access(right_read, tested_place))});
  put();
  lab.access(right_read, tested_place);
  lab.tested() = 0;
  section.rows.push_back({"leaf cleared between two entries into guest mode, read", "absent or reads 41",
                          read_text(lab.access(right_read, tested_place, 0, 0))});
  const std::string early = read_text(lab.uninterrupted(together({clear_leaf, load}), leaf, small_pages, put));
  section.rows.push_back({"too late: leaf cleared, read, " + std::string(words.flushed) + ", read",
                          "reads 41, then absent",
                          early + ", then " + read_text(lab.access(right_read, tested_place))});
  const auto dirty = [&](const std::string& what, const char* expected) {
    section.rows.push_back({what, expected, lab.tested() & F::dirty_bit ? "dirty" : "the bit is lost"});
  };
  lab.uninterrupted(together({clear_marks, store}), leaf, small_pages, put);
  dirty("dirty bit cleared, no flush: written again", "the bit is lost");
  lab.uninterrupted(together({clear_marks}), leaf, small_pages, put);
  lab.access(right_write, tested_place);
  dirty("dirty bit cleared, " + std::string(words.flushed) + ": written again", "dirty");
  return section;
}

}  // namespace morsel::guest
