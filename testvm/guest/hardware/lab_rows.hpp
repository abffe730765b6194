// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on tables made by hand: one word at one level, and accesses through it. What is the same for each stage; entries
// have a file of their own for each format (amd64_rows.cpp, npt_rows.cpp, ept_rows.cpp).
#pragma once
#include <cpuid.h>

#include <cerrno>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "testvm/guest/hardware/outcome.hpp"
#include "testvm/guest/hardware/row.hpp"
#include "testvm/guest/hardware/stage.hpp"

namespace morsel::guest {

inline constexpr u32 frame_page = lab_first_free, other_page = lab_first_free + 1;
inline constexpr std::initializer_list<Rights> each_right{right_read, right_write, right_exec};

inline std::string_view right_word(Rights right) { return right.write() ? "write" : right.exec() ? "fetch" : "read"; }
inline std::string leaf_name(Level level)
{
  constexpr const char* sizes[] = {"4-KiB", "2-MiB", "1-GiB"};
  return std::string(sizes[level]) + " leaf";
}

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

template <class Stage>
u64& entry_of(Lab& lab, Level level)
{
  return lab.page(Stage::tables[level])[Stage::index[level]];
}

template <class Stage>
u64 leaf_of(const Lab& lab, Level level, Rights rights, u32 page = frame_page)
{
  using F = typename Stage::Format;
  const u64 frame = level == 0 ? Stage::address(lab, page) : align_down(Stage::address(lab, 0), entry_bytes<F>(level));
  return F::make_leaf({frame}, level, {rights, true, true});
}

template <class Stage>
u64 table_of(const Lab& lab, Level level)
{
  return Stage::Format::make_table({Stage::address(lab, Stage::tables[level - 1])}, level);
}

// The way to the place under test, good; the page there can be executed.
template <class Stage>
void prepare(Lab& lab)
{
  lab.reset();
  for (Level level = 3; level > 0; --level) entry_of<Stage>(lab, level) = table_of<Stage>(lab, level);
  entry_of<Stage>(lab, 0) = leaf_of<Stage>(lab, 0, rights_all);
  lab.page(frame_page)[0] = lab.numbered(frame_page);
}

template <class Stage>
class Rows {
 public:
  using F = typename Stage::Format;
  explicit Rows(Lab& lab) : lab_(lab) {}

  // Each access starts with the word as it is given.
  void add(const std::string& what, Level level, u64 word, std::initializer_list<Rights> wanted)
  {
    for (const Rights want : wanted) {
      put(level, word);
      const auto seen = outcome_of(Stage::access(lab_, want, place(level, word)));
      rows_.push_back({what + ": " + std::string(right_word(want)),
                       std::string(outcome_word(expected_of<F>(word, level, want))), std::string(outcome_word(seen))});
    }
  }
  // Of the row that was added last.
  void known_otherwise(std::string_view seen) { rows_.back().known = seen; }
  // What the format cannot know.
  void add_malformed(const std::string& what, Level level, u64 word)
  {
    put(level, word);
    const auto seen = outcome_of(Stage::access(lab_, right_read, place(level, word)));
    rows_.push_back(
        {what + ": read", std::string(outcome_word(WalkOutcome::malformed)), std::string(outcome_word(seen))});
  }
  // What hardware sets in the word: the bits, whether the format has them or calls them ignored.
  void add_marks(const std::string& what, Level level, u64 word, Rights want, u64 expected)
  {
    put(level, word);
    Stage::access(lab_, want, place(level, word));
    rows_.push_back(
        {what + ": " + std::string(right_word(want)), marks(expected), marks(entry_of<Stage>(lab_, level) & ~word)});
  }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  void put(Level level, u64 word)
  {
    prepare<Stage>(lab_);
    entry_of<Stage>(lab_, level) = word;
  }
  // A large leaf is accessed where the lab's page lies in it.
  u64 place(Level level, u64 word) const
  {
    if (level == 0 || level == 3 || F::kind(word, level) == EntryKind::table) return Stage::place;
    return Stage::place + (Stage::address(lab_, frame_page) & (entry_bytes<F>(level) - 1));
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

// Of the address bits that the format has, the CPU has the lower ones.
template <class Stage>
void add_addresses_beyond(Rows<Stage>& rows, const Lab& lab)
{
  const u64 beyond = u64{1} << physical_address_bits();
  for (const Level level : {Level{0}, Level{1}})
    rows.add_malformed(leaf_name(level) + " whose frame lies beyond the CPU's physical addresses", level,
                       leaf_of<Stage>(lab, level, rights_rw) | beyond);
}

// Leaves of AMD64 and NPT: the eight entries of the PAT, which both formats can name, and large ones.
template <class Stage>
void add_pat_and_large(Rows<Stage>& rows, const Lab& lab)
{
  using F = typename Stage::Format;
  for (unsigned entry = 0; entry < 8; ++entry)
    rows.add("4-KiB leaf, PAT " + std::to_string(entry), 0,
             leaf_of<Stage>(lab, 0, rights_rw) | (entry & 3) << 3 | (entry & 4) << 5, {right_read, right_write});
  for (const Level level : {Level{1}, Level{2}}) {
    const u64 leaf = leaf_of<Stage>(lab, level, rights_rw);
    rows.add(leaf_name(level) + ", rw-", level, leaf, each_right);
    rows.add(leaf_name(level) + ", r-x", level, leaf_of<Stage>(lab, level, right_read | right_exec), each_right);
    rows.add(leaf_name(level) + ", PAT 7", level, leaf | F::memory_type_mask(level), {right_read});
    rows.add(leaf_name(level) + " with bit 13", level, leaf | bit(13), {right_read});
    rows.add(leaf_name(level) + " with the highest bit below its frame", level, leaf | bit(11 + 9u * level),
             {right_read});
  }
}

template <class Stage>
Section marks_section(Lab& lab, const char* title, const char* header)
{
  using F = typename Stage::Format;
  Rows<Stage> rows(lab);
  constexpr u64 both = F::accessed | F::dirty, set_by_write = F::accessed_bit | F::dirty_bit;
  for (Level level = 0; level < 3; ++level) {
    const std::string leaf = leaf_name(level);
    const u64 word = leaf_of<Stage>(lab, level, rights_rw) & ~both;
    rows.add_marks(leaf, level, word, right_read, F::accessed_bit);
    rows.add_marks(leaf, level, word, right_write, set_by_write);
    rows.add_marks(leaf + ", accessed", level, word | F::accessed, right_write, F::dirty_bit);
    rows.add_marks(leaf + ", r--", level, leaf_of<Stage>(lab, level, right_read) & ~both, right_write, 0);
    // QEMU 7.2 marks an entry of that level as a table's before it sees that it is a leaf.
    if (level == 2 && has_present_bit<F>) rows.known_otherwise("accessed");
  }
  for (Level level = 1; level < seen_levels; ++level)
    for (const Rights want : {right_read, right_write})
      rows.add_marks("table at level " + std::to_string(level), level, table_of<Stage>(lab, level) & ~both, want,
                     F::accessed_bit);
  return {title, std::string(header) + ": accessed_bit, dirty_bit", rows.take()};
}

inline std::string read_text(const morsel_vcpu_run& run)
{
  return run.result == MORSEL_VCPU_DONE ? "reads " + std::to_string(run.value)
                                        : std::string(outcome_word(outcome_of(run)));
}

// A 2-MiB leaf over the lab becomes 4-KiB leaves of the same frames, and one leaf again.
template <class Stage>
Section reshaping_section(Lab& lab)
{
  using F = typename Stage::Format;
  Section section{"Split and merge", "the same frames are mapped before and after", {}};
  prepare<Stage>(lab);
  u64& entry = entry_of<Stage>(lab, 1);
  u64* const below = lab.page(Stage::tables[0]);
  entry = leaf_of<Stage>(lab, 1, rights_rw);
  lab.page(frame_page)[0] = 41;
  lab.page(other_page)[0] = 42;
  const u64 first = Stage::place + u64{frame_page} * page_bytes, second = first + page_bytes;
  const auto look = [&](const std::string& what) {
    section.rows.push_back({what + ": first page", "reads 41", read_text(Stage::access(lab, right_read, first))});
    section.rows.push_back({what + ": second page", "reads 42", read_text(Stage::access(lab, right_read, second))});
  };
  look("one 2-MiB leaf");
  for (u32 i = 0; i < lab_pages; ++i) below[i] = F::make_leaf({Stage::address(lab, i)}, 0, {rights_rw, false, false});
  entry = table_of<Stage>(lab, 1);
  look("split into 512");
  const auto marked = [&](u32 page) { return below[page] & F::accessed_bit ? "yes" : "no"; };
  section.rows.push_back({"split: the page that was read is marked accessed", "yes", marked(frame_page)});
  section.rows.push_back({"split: its neighbour is marked accessed", "no", marked(frame_page - 1)});
  entry = leaf_of<Stage>(lab, 1, rights_rw);
  look("merged again");
  return section;
}

inline std::vector<u8> together(std::initializer_list<std::span<const u8>> parts)
{
  std::vector<u8> code;
  for (const auto part : parts) code.insert(code.end(), part.begin(), part.end());
  return code;
}

}  // namespace morsel::guest
