// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on tables made by hand: one word at one level, and accesses through it. What is the same for each format; its
// entries have a file of their own (npt_rows.cpp, ept_rows.cpp).
#pragma once
#include <cpuid.h>

#include <cerrno>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "testvm/guest/hardware/outcome.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace morsel::guest {

inline constexpr u32 frame_page = lab_first_free, other_page = lab_first_free + 1;

inline std::string_view right_word(Rights right) { return right.write() ? "write" : right.exec() ? "fetch" : "read"; }

template <class F>
WalkOutcome expected_of(u64 word, Level level, Rights want)
{
  switch (F::kind(word, level)) {
    case EntryKind::table:
    case EntryKind::leaf: return F::access(word, level).includes(want) ? WalkOutcome::allowed : WalkOutcome::denied;
    case EntryKind::malformed: return is_present<F>(word) ? WalkOutcome::malformed : WalkOutcome::absent;
    default: return WalkOutcome::absent;
  }
}

template <class F>
class Rows {
 public:
  explicit Rows(Lab& lab) : lab_(lab) {}

  // Each access starts with the word as it is given.
  void add(const std::string& what, Level level, u64 word, std::initializer_list<Rights> wanted)
  {
    for (const Rights want : wanted) {
      prepare(level, word);
      const auto seen = outcome_of(lab_.access(want, place(level, word)));
      rows_.push_back({what + ": " + std::string(right_word(want)),
                       std::string(outcome_word(expected_of<F>(word, level, want))), std::string(outcome_word(seen))});
    }
  }
  // Of the row that was added last.
  void known_otherwise(WalkOutcome seen) { rows_.back().known = outcome_word(seen); }
  // What the format cannot know.
  void add_malformed(const std::string& what, Level level, u64 word)
  {
    prepare(level, word);
    const auto seen = outcome_of(lab_.access(right_read, place(level, word)));
    rows_.push_back(
        {what + ": read", std::string(outcome_word(WalkOutcome::malformed)), std::string(outcome_word(seen))});
  }
  // What hardware sets in the word: the bits, whether the format has them or calls them ignored.
  void add_marks(const std::string& what, Level level, u64 word, Rights want, u64 expected)
  {
    prepare(level, word);
    lab_.access(want, place(level, word));
    rows_.push_back({what + ": " + std::string(right_word(want)), marks(expected), marks(entry(level) & ~word)});
  }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  u64& entry(Level level)
  {
    constexpr u32 tables[] = {lab_level_0, lab_level_1, lab_level_2, lab_root};
    return lab_.page(tables[level])[level == 2 ? 1 : 0];
  }
  void prepare(Level level, u64 word)
  {
    lab_.reset();
    lab_.tested() = F::make_leaf(lab_.address(frame_page), 0, {rights_all, true, true});
    entry(level) = word;
  }
  // A leaf that is larger than the lab is accessed where the lab lies in it.
  u64 place(Level level, u64 word) const
  {
    if (level != 2 || F::kind(word, level) == EntryKind::table) return tested_place;
    return tested_place + (lab_.address(frame_page).value & (entry_bytes<F>(2) - 1));
  }
  static std::string marks(u64 word)
  {
    std::string text;
    if (word & F::accessed) text = "accessed";
    if (word & F::dirty) text += text.empty() ? "dirty" : ", dirty";
    return text.empty() ? "nothing" : text;
  }

  Lab& lab_;
  std::vector<Row> rows_;
};

inline u32 physical_address_bits()
{
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx)) throw NoVcpu{ENODEV, "CPUID does not tell the address bits"};
  return eax & 0xff;
}

template <class F>
u64 leaf_of(const Lab& lab, Level level, Rights rights)
{
  const u64 frame =
      level == 0 ? lab.address(frame_page).value : align_down(lab.address(0).value, entry_bytes<F>(level));
  return F::make_leaf({frame}, level, {rights, true, true});
}

template <class F>
Section marks_section(Lab& lab, const char* title, const char* header)
{
  Rows<F> rows(lab);
  constexpr u64 both = F::accessed | F::dirty, set_by_write = F::accessed_bit | F::dirty_bit;
  for (const Level level : {Level{0}, Level{1}}) {
    const std::string leaf = level == 0 ? "4-KiB leaf" : "2-MiB leaf";
    const u64 word = leaf_of<F>(lab, level, rights_rw) & ~both;
    rows.add_marks(leaf, level, word, right_read, F::accessed_bit);
    rows.add_marks(leaf, level, word, right_write, set_by_write);
    rows.add_marks(leaf + ", accessed", level, word | F::accessed, right_write, F::dirty_bit);
    rows.add_marks(leaf + ", r--", level, leaf_of<F>(lab, level, right_read) & ~both, right_write, 0);
  }
  rows.add_marks("table", 1, F::make_table(lab.address(lab_level_0)) & ~both, right_read, F::accessed_bit);
  rows.add_marks("table", 1, F::make_table(lab.address(lab_level_0)) & ~both, right_write, F::accessed_bit);
  return {title, std::string(header) + ": accessed_bit, dirty_bit", rows.take()};
}

inline std::string read_text(const morsel_vcpu_run& run)
{
  return run.result == MORSEL_VCPU_DONE ? "reads " + std::to_string(run.value)
                                        : std::string(outcome_word(outcome_of(run)));
}

// A 2-MiB leaf over the lab becomes 4-KiB leaves of the same frames, and one leaf again.
template <class F>
Section reshaping_section(Lab& lab)
{
  Section section{"Split and merge", "the same frames are mapped before and after", {}};
  lab.reset();
  lab.page(lab_level_1)[0] = leaf_of<F>(lab, 1, rights_rw);
  lab.page(frame_page)[0] = 41;
  lab.page(other_page)[0] = 42;
  const u64 first = tested_place + u64{frame_page} * page_bytes, second = first + page_bytes;
  const auto look = [&](const char* what) {
    section.rows.push_back({std::string(what) + ": first page", "reads 41", read_text(lab.access(right_read, first))});
    section.rows.push_back(
        {std::string(what) + ": second page", "reads 42", read_text(lab.access(right_read, second))});
  };
  look("one 2-MiB leaf");
  for (u32 i = 0; i < lab_pages; ++i)
    lab.page(lab_level_0)[i] = F::make_leaf(lab.address(i), 0, {rights_rw, false, false});
  lab.page(lab_level_1)[0] = F::make_table(lab.address(lab_level_0));
  look("split into 512");
  const auto marked = [&](u32 page) { return lab.page(lab_level_0)[page] & F::accessed_bit ? "yes" : "no"; };
  section.rows.push_back({"split: the page that was read is marked accessed", "yes", marked(frame_page)});
  section.rows.push_back({"split: its neighbour is marked accessed", "no", marked(frame_page - 1)});
  lab.page(lab_level_1)[0] = leaf_of<F>(lab, 1, rights_rw);
  look("merged again");
  return section;
}

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
  const auto together = [](std::initializer_list<std::span<const u8>> parts) {
    std::vector<u8> code;
    for (const auto part : parts) code.insert(code.end(), part.begin(), part.end());
    return code;
  };
  const auto prepare = [&] {
    lab.reset();
    lab.tested() = F::make_leaf(lab.address(frame_page), 0, {rights_rw, false, false});
    lab.page(frame_page)[0] = 41;
  };
  Section section{
      "Invalidation", std::string(words.source) + ": what was changed without a flush may still be used", {}};
  const u64 leaf = lab.small_address(lab.tested());
  const auto row = [&](const char* what, const char* expected, const std::vector<u8>& code) {
    section.rows.push_back({what, expected, read_text(lab.uninterrupted(code, leaf, small_pages, prepare))});
  };
  row("dropped-flush: leaf cleared, read", "reads 41", together({clear_leaf, load}));
  row("wrong-range: leaf cleared, another page flushed, read", "reads 41", together({clear_leaf, flush_beside, load}));
  row("leaf cleared, the guest's stage flushed (INVLPG), read", words.after_invlpg,
      together({clear_leaf, flush_in_guest, load}));
  lab.uninterrupted(together({clear_leaf}), leaf, small_pages, prepare);
  section.rows.push_back({"leaf cleared, " + std::string(words.flushed) + ", read", "absent",
                          read_text(lab.access(right_read, tested_place))});
  prepare();
  lab.access(right_read, tested_place);
  lab.tested() = 0;
  section.rows.push_back({"leaf cleared between two entries into guest mode, read", "absent or reads 41",
                          read_text(lab.access(right_read, tested_place, 0, 0))});
  const std::string early = read_text(lab.uninterrupted(together({clear_leaf, load}), leaf, small_pages, prepare));
  section.rows.push_back({"too late: leaf cleared, read, " + std::string(words.flushed) + ", read",
                          "reads 41, then absent",
                          early + ", then " + read_text(lab.access(right_read, tested_place))});
  const auto dirty = [&](const std::string& what, const char* expected) {
    section.rows.push_back({what, expected, lab.tested() & F::dirty_bit ? "dirty" : "the bit is lost"});
  };
  lab.uninterrupted(together({clear_marks, store}), leaf, small_pages, prepare);
  dirty("dirty bit cleared, no flush: written again", "the bit is lost");
  lab.uninterrupted(together({clear_marks}), leaf, small_pages, prepare);
  lab.access(right_write, tested_place);
  dirty("dirty bit cleared, " + std::string(words.flushed) + ": written again", "dirty");
  return section;
}

// The presets of fault injection that change the leaf which a fill publishes.
template <class F>
Section corruption_section(Lab& lab, u64 write_right)
{
  Section section{"Wrong leaves", "`inject preset`: what the flipped bit means to the format", {}};
  const auto prepare = [&](u64 word) {
    lab.reset();
    lab.page(frame_page)[0] = 41;
    lab.page(other_page)[0] = 42;
    lab.tested() = word;
  };
  prepare(leaf_of<F>(lab, 0, right_read) ^ write_right);
  lab.access(right_write, tested_place, 43);
  section.rows.push_back({"rights-widened: a page that is r-- in the primary, written", "43 stands there",
                          std::to_string(lab.page(frame_page)[0]) + " stands there"});
  static_assert(frame_page % 2 == 0);
  prepare(leaf_of<F>(lab, 0, rights_rw) ^ page_bytes);
  section.rows.push_back(
      {"wrong-frame: the page beside it, read", "reads 42", read_text(lab.access(right_read, tested_place))});
  return section;
}

}  // namespace morsel::guest
