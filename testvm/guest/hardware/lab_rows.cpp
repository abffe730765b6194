// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on tables made by hand: one word at one level, and accesses through it.
#include <cpuid.h>

#include <cerrno>
#include <initializer_list>
#include <utility>

#include "testvm/guest/hardware/outcome.hpp"
#include "testvm/guest/hardware/row.hpp"

namespace morsel::guest {
namespace {

constexpr u32 frame_page = lab_first_free, other_page = lab_first_free + 1;
constexpr u64 global_bit = bit(8);

std::string_view right_word(Rights right) { return right.write() ? "write" : right.exec() ? "fetch" : "read"; }

WalkOutcome expected_of(u64 word, Level level, Rights want)
{
  switch (Npt::kind(word, level)) {
    case EntryKind::table:
    case EntryKind::leaf: return Npt::access(word, level).includes(want) ? WalkOutcome::allowed : WalkOutcome::denied;
    case EntryKind::malformed: return word & Npt::present ? WalkOutcome::malformed : WalkOutcome::absent;
    default: return WalkOutcome::absent;
  }
}

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
                       std::string(outcome_word(expected_of(word, level, want))), std::string(outcome_word(seen))});
    }
  }
  // What the format cannot know.
  void add_malformed(const std::string& what, Level level, u64 word)
  {
    prepare(level, word);
    const auto seen = outcome_of(lab_.access(right_read, place(level, word)));
    rows_.push_back(
        {what + ": read", std::string(outcome_word(WalkOutcome::malformed)), std::string(outcome_word(seen))});
  }
  // What hardware sets in the word.
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
    lab_.tested() = Npt::make_leaf(lab_.address(frame_page), 0, {rights_all, true, true});
    entry(level) = word;
  }
  // A leaf that is larger than the lab is accessed where the lab lies in it.
  u64 place(Level level, u64 word) const
  {
    if (level != 2 || Npt::kind(word, level) == EntryKind::table) return tested_place;
    return tested_place + (lab_.address(frame_page).value & (entry_bytes<Npt>(2) - 1));
  }
  static std::string marks(u64 word)
  {
    std::string text;
    if (word & Npt::accessed_bit) text = "accessed";
    if (word & Npt::dirty_bit) text += text.empty() ? "dirty" : ", dirty";
    return text.empty() ? "nothing" : text;
  }

  Lab& lab_;
  std::vector<Row> rows_;
};

u32 physical_address_bits()
{
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx)) throw NoVcpu{ENODEV, "CPUID does not tell the address bits"};
  return eax & 0xff;
}

u64 leaf_of(const Lab& lab, Level level, Rights rights)
{
  const u64 frame =
      level == 0 ? lab.address(frame_page).value : align_down(lab.address(0).value, entry_bytes<Npt>(level));
  return Npt::make_leaf({frame}, level, {rights, true, true});
}

Section entry_section(Lab& lab)
{
  Rows rows(lab);
  rows.add("a hole", 0, 0, {right_read, right_write, right_exec});
  rows.add("a reserved entry of the protocol", 0, software::make_reserved(77, software::Stale::yes),
           {right_read, right_write});
  rows.add("4-KiB leaf, r--", 0, leaf_of(lab, 0, right_read), {right_read, right_write, right_exec});
  rows.add("4-KiB leaf, rw-", 0, leaf_of(lab, 0, rights_rw), {right_read, right_write, right_exec});
  rows.add("4-KiB leaf, rwx", 0, leaf_of(lab, 0, rights_all), {right_read, right_write, right_exec});
  rows.add("4-KiB leaf without U/S", 0, leaf_of(lab, 0, rights_all) & ~Npt::user, {right_read});
  rows.add("4-KiB leaf with G and all that is available to software", 0,
           leaf_of(lab, 0, rights_rw) | global_bit | bits(11, 9) | bits(62, 52), {right_read});
  rows.add("4-KiB leaf, PAT 7", 0, leaf_of(lab, 0, rights_rw) | Npt::memory_type_mask(0), {right_read, right_write});
  for (const Level level : {Level{1}, Level{2}}) {
    const std::string size = level == 1 ? "2-MiB" : "1-GiB";
    rows.add(size + " leaf, rw-", level, leaf_of(lab, level, rights_rw), {right_read, right_write, right_exec});
    rows.add(size + " leaf, r-x", level, leaf_of(lab, level, right_read | right_exec),
             {right_read, right_write, right_exec});
    rows.add(size + " leaf with bit 13", level, leaf_of(lab, level, rights_rw) | bit(13), {right_read});
    rows.add(size + " leaf with the highest bit below its frame", level,
             leaf_of(lab, level, rights_rw) | bit(11 + 9u * level), {right_read});
  }
  // Of the address bits that the format has, the CPU has the lower ones.
  const u64 beyond = u64{1} << physical_address_bits();
  for (const Level level : {Level{0}, Level{1}})
    rows.add_malformed(
        std::string(level ? "2-MiB" : "4-KiB") + " leaf whose frame lies beyond the CPU's physical addresses", level,
        leaf_of(lab, level, rights_rw) | beyond);
  const u64 table = Npt::make_table(lab.address(lab_level_0));
  rows.add("table, r-x", 1, table & ~Npt::writable, {right_read, right_write, right_exec});
  rows.add("table, rw-", 1, table | Npt::no_execute, {right_read, right_write, right_exec});
  rows.add("table without U/S", 1, table & ~Npt::user, {right_read});
  rows.add("table at the top with PS", 3, Npt::make_table(lab.address(lab_level_2)) | Npt::page_size, {right_read});
  return {"Entries",
          "engine/format/npt.hpp: kind() and access() of the word; of too large addresses APM volume 2, 5.3.1",
          rows.take()};
}

Section marks_section(Lab& lab)
{
  Rows rows(lab);
  const u64 both = Npt::accessed_bit | Npt::dirty_bit;
  for (const Level level : {Level{0}, Level{1}}) {
    const std::string leaf = level == 0 ? "4-KiB leaf" : "2-MiB leaf";
    const u64 word = leaf_of(lab, level, rights_rw) & ~both;
    rows.add_marks(leaf, level, word, right_read, Npt::accessed_bit);
    rows.add_marks(leaf, level, word, right_write, both);
    rows.add_marks(leaf + ", accessed", level, word | Npt::accessed_bit, right_write, Npt::dirty_bit);
    rows.add_marks(leaf + ", r--", level, word & ~Npt::writable, right_write, 0);
  }
  rows.add_marks("table", 1, Npt::make_table(lab.address(lab_level_0)) & ~both, right_read, Npt::accessed_bit);
  rows.add_marks("table", 1, Npt::make_table(lab.address(lab_level_0)) & ~both, right_write, Npt::accessed_bit);
  return {"What hardware sets", "engine/format/npt.hpp: accessed_bit, dirty_bit", rows.take()};
}

std::string read_text(const morsel_vcpu_run& run)
{
  return run.result == MORSEL_VCPU_DONE ? "reads " + std::to_string(run.value)
                                        : std::string(outcome_word(outcome_of(run)));
}

// A 2-MiB leaf over the lab becomes 4-KiB leaves of the same frames, and one leaf again.
Section reshaping_section(Lab& lab)
{
  Section section{"Split and merge", "the same frames are mapped before and after", {}};
  lab.reset();
  lab.page(lab_level_1)[0] = leaf_of(lab, 1, rights_rw);
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
    lab.page(lab_level_0)[i] = Npt::make_leaf(lab.address(i), 0, {rights_rw, false, false});
  lab.page(lab_level_1)[0] = Npt::make_table(lab.address(lab_level_0));
  look("split into 512");
  const auto marked = [&](u32 page) { return lab.page(lab_level_0)[page] & Npt::accessed_bit ? "yes" : "no"; };
  section.rows.push_back({"split: the page that was read is marked accessed", "yes", marked(frame_page)});
  section.rows.push_back({"split: its neighbour is marked accessed", "no", marked(frame_page - 1)});
  lab.page(lab_level_1)[0] = leaf_of(lab, 1, rights_rw);
  look("merged again");
  return section;
}

// Within one entry into guest mode the guest changes its own leaf, and goes on: entering would flush.
Section invalidation_section(Lab& lab)
{
  constexpr u8 end[] = {0x0f, 0x01, 0xd9};                          // vmmcall
  constexpr u8 clear_leaf[] = {0x48, 0x8b, 0x13,                    // mov (%rbx), %rdx
                               0x48, 0xc7, 0x00, 0, 0, 0, 0};       // movq $0, (%rax)
  constexpr u8 clear_marks[] = {0x48, 0x89, 0x13,                   // mov %rdx, (%rbx)
                                0x48, 0x83, 0x20, 0x9f};            // andq $~(A|D), (%rax)
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
    lab.tested() = Npt::make_leaf(lab.address(frame_page), 0, {rights_rw, false, false});
    lab.page(frame_page)[0] = 41;
  };
  Section section{"Invalidation", "APM volume 2, 15.25.12: what was changed without a flush may still be used", {}};
  const u64 leaf = lab.small_address(lab.tested());
  const auto row = [&](const char* what, const char* expected, const std::vector<u8>& code) {
    section.rows.push_back({what, expected, read_text(lab.uninterrupted(code, leaf, small_pages, prepare))});
  };
  row("dropped-flush: leaf cleared, read", "reads 41", together({clear_leaf, load, end}));
  row("wrong-range: leaf cleared, another page flushed, read", "reads 41",
      together({clear_leaf, flush_beside, load, end}));
  row("leaf cleared, the guest's stage flushed (INVLPG), read", "reads 41",
      together({clear_leaf, flush_in_guest, load, end}));
  lab.uninterrupted(together({clear_leaf, end}), leaf, small_pages, prepare);
  section.rows.push_back(
      {"leaf cleared, the ASID flushed, read", "absent", read_text(lab.access(right_read, tested_place))});
  const auto dirty = [&](const char* what, const char* expected) {
    section.rows.push_back({what, expected, lab.tested() & Npt::dirty_bit ? "dirty" : "the bit is lost"});
  };
  lab.uninterrupted(together({clear_marks, store, end}), leaf, small_pages, prepare);
  dirty("dirty bit cleared, no flush: written again", "the bit is lost");
  lab.uninterrupted(together({clear_marks, end}), leaf, small_pages, prepare);
  lab.access(right_write, tested_place);
  dirty("dirty bit cleared, the ASID flushed: written again", "dirty");
  return section;
}

// The presets of fault injection that change the leaf which a fill publishes.
Section corruption_section(Lab& lab)
{
  Section section{"Wrong leaves", "`inject preset`: what the flipped bit means to the format", {}};
  const auto prepare = [&](u64 word) {
    lab.reset();
    lab.page(frame_page)[0] = 41;
    lab.page(other_page)[0] = 42;
    lab.tested() = word;
  };
  prepare(leaf_of(lab, 0, right_read) ^ Npt::writable);
  lab.access(right_write, tested_place, 43);
  section.rows.push_back({"rights-widened: a page that is r-- in the primary, written", "43 stands there",
                          std::to_string(lab.page(frame_page)[0]) + " stands there"});
  static_assert(frame_page % 2 == 0);
  prepare(leaf_of(lab, 0, rights_rw) ^ page_bytes);
  section.rows.push_back(
      {"wrong-frame: the page beside it, read", "reads 42", read_text(lab.access(right_read, tested_place))});
  return section;
}

}  // namespace

std::vector<Section> lab_sections(Lab& lab)
{
  return {entry_section(lab), marks_section(lab), reshaping_section(lab), invalidation_section(lab),
          corruption_section(lab)};
}

}  // namespace morsel::guest
