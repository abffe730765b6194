// SPDX-License-Identifier: GPL-2.0-or-later
//
// Rows on tables made by hand, walked by an IOMMU: one word at one level, and DMA through it.
#include <initializer_list>
#include <utility>

#include "testvm/guest/hardware/device_outcome.hpp"
#include "testvm/guest/hardware/device_rows.hpp"

namespace morsel::guest {
namespace {

using F = DeviceLab::Format;

constexpr u32 frame_page = DeviceLab::first_free, other_page = frame_page + 1;

u64 leaf_of(const DeviceLab& lab, Level level, Rights rights)
{
  const u64 frame = align_down(lab.address(level == 0 ? frame_page : 0).value, entry_bytes<F>(level));
  return F::make_leaf({frame}, level, {rights, true, true});
}

class Rows {
 public:
  explicit Rows(DeviceLab& lab) : lab_(lab) {}

  // Each access starts with the word as it is given, and nothing cached.
  void add(const std::string& what, Level level, u64 word, std::initializer_list<Rights> wanted)
  {
    for (const Rights want : wanted) add(what, level, word, want, outcome_of(word, level, want));
  }
  // What the format cannot know.
  void add_malformed(const std::string& what, Level level, u64 word)
  {
    add(what, level, word, right_read, DeviceOutcome::malformed);
  }
  void add_unchanged(const std::string& what, Level level, u64 word, Rights want)
  {
    prepare(level, word);
    lab_.access(want, place(level, word), true);
    rows_.push_back({what + ": " + name(want), "nothing", lab_.entry(level) == word ? "nothing" : "it is changed"});
  }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  static std::string name(Rights want) { return want.write() ? "write" : "read"; }

  void add(const std::string& what, Level level, u64 word, Rights want, DeviceOutcome expected)
  {
    prepare(level, word);
    const auto seen = outcome_of(lab_.access(want, place(level, word), true));
    rows_.push_back({what + ": " + name(want), std::string(outcome_word(expected)), std::string(outcome_word(seen))});
  }
  void prepare(Level level, u64 word)
  {
    lab_.reset();
    lab_.tested() = F::make_leaf(lab_.address(frame_page), 0, {rights_rw, true, true});
    lab_.entry(level) = word;
  }
  // A leaf that is larger than the lab is accessed where a free page of the lab lies in it.
  u64 place(Level level, u64 word) const
  {
    if (level == 0 || level == 3 || F::kind(word, level) == EntryKind::table) return DeviceLab::tested_place;
    return DeviceLab::tested_place + (lab_.address(frame_page).value & (entry_bytes<F>(level) - 1));
  }

  DeviceLab& lab_;
  std::vector<Row> rows_;
};

void add_large_leaves(Rows& rows, const DeviceLab& lab)
{
  for (const Level level : {Level{1}, Level{2}}) {
    const std::string size = level == 1 ? "2-MiB" : "1-GiB";
    rows.add(size + " leaf, rw-", level, leaf_of(lab, level, rights_rw), {right_read, right_write});
    rows.add(size + " leaf, r--", level, leaf_of(lab, level, right_read), {right_read, right_write});
    rows.add(size + " leaf with bit 13", level, leaf_of(lab, level, rights_rw) | bit(13), {right_read});
    rows.add(size + " leaf with the highest bit below its frame", level,
             leaf_of(lab, level, rights_rw) | bit(11 + 9u * level), {right_read});
  }
}

Section entry_section(DeviceLab& lab)
{
  Rows rows(lab);
  rows.add("a hole", 0, 0, {right_read, right_write});
  rows.add("a reserved entry of the protocol", 0, software::make_reserved(77, software::Stale::yes),
           {right_read, right_write});
  rows.add("4-KiB leaf, r--", 0, leaf_of(lab, 0, right_read), {right_read, right_write});
  rows.add("4-KiB leaf, -w-", 0, leaf_of(lab, 0, right_write), {right_read, right_write});
  rows.add("4-KiB leaf, rw-", 0, leaf_of(lab, 0, rights_rw), {right_read, right_write});
  rows.add("4-KiB leaf with all that is ignored: X, EMT, IPAT, A, D and bits 7, 10, 52 to 61, 63", 0,
           leaf_of(lab, 0, rights_rw) | bits(10, 2) | bits(61, 52) | bit(63), {right_read, right_write});
  rows.add("4-KiB leaf with bit 62", 0, leaf_of(lab, 0, rights_rw) | bit(62), {right_read});
  add_large_leaves(rows, lab);
  // Of the address bits that the format has, this IOMMU has the lower 48; and it does not control snooping.
  for (const Level level : {Level{0}, Level{1}}) {
    const std::string size = level == 0 ? "4-KiB" : "2-MiB";
    rows.add_malformed(size + " leaf whose frame lies beyond the IOMMU's addresses", level,
                       leaf_of(lab, level, rights_rw) | bit(48));
    rows.add_malformed(size + " leaf with SNP, without snoop control", level,
                       leaf_of(lab, level, rights_rw) | F::snoop);
  }
  const u64 table = F::make_table(lab.address(DeviceLab::level_0), 1);
  rows.add("table, r--", 1, table & ~F::write, {right_read, right_write});
  rows.add("table, -w-", 1, table & ~F::read, {right_read, right_write});
  rows.add("table with bit 11", 1, table | bit(11), {right_read});
  rows.add("table at the top with PS", 3, F::make_table(lab.address(DeviceLab::level_2), 3) | F::page_size,
           {right_read});
  return {"Entries",
          "engine/format/vtd.hpp: kind() and the rights of the word; of addresses and snooping the unit's capabilities",
          rows.take()};
}

Section marks_section(DeviceLab& lab)
{
  Rows rows(lab);
  for (const Level level : {Level{0}, Level{1}})
    for (const Rights want : {right_read, right_write})
      rows.add_unchanged(level == 0 ? "4-KiB leaf" : "2-MiB leaf", level, leaf_of(lab, level, rights_rw), want);
  const u64 table = F::make_table(lab.address(DeviceLab::level_0), 1);
  for (const Rights want : {right_read, right_write}) rows.add_unchanged("table", 1, table, want);
  return {"What hardware sets", "engine/format/vtd.hpp: accessed_bit and dirty_bit are 0", rows.take()};
}

std::string reading(DeviceLab& lab, u64 place, bool fresh)
{
  const auto dma = lab.access(right_read, place, fresh);
  const auto outcome = outcome_of(dma);
  return outcome == DeviceOutcome::allowed ? "reads " + std::to_string(lab.last_read())
                                           : std::string(outcome_word(outcome));
}

// A 2-MiB leaf over the lab becomes 4-KiB leaves of the same frames, and one leaf again.
Section reshaping_section(DeviceLab& lab)
{
  Section section{"Split and merge", "the same frames are mapped before and after", {}};
  lab.reset();
  lab.page(frame_page)[0] = 41;
  lab.page(other_page)[0] = 42;
  lab.entry(1) = leaf_of(lab, 1, rights_rw);
  const u64 first = DeviceLab::tested_place + u64{frame_page} * page_bytes;
  const auto look = [&](const std::string& what) {
    section.rows.push_back({what + ": first page", "reads 41", reading(lab, first, true)});
    section.rows.push_back({what + ": second page", "reads 42", reading(lab, first + page_bytes, true)});
  };
  look("one 2-MiB leaf");
  for (u32 i = 0; i < DeviceLab::pages; ++i)
    lab.page(DeviceLab::level_0)[i] = F::make_leaf(lab.address(i), 0, {rights_rw, false, false});
  lab.entry(1) = F::make_table(lab.address(DeviceLab::level_0), 1);
  look("split into 512");
  lab.entry(1) = leaf_of(lab, 1, rights_rw);
  look("merged again");
  return section;
}

// The IOTLB keeps what it has cached from one transfer to the next.
Section invalidation_section(DeviceLab& lab)
{
  Section section{"Invalidation", "VT-d, 6.1 and 6.5: what was changed without an invalidation may still be used", {}};
  constexpr u64 place = DeviceLab::tested_place;
  const auto prepare = [&](Rights rights) {
    lab.reset();
    lab.page(frame_page)[0] = 41;
    lab.page(other_page)[0] = 42;
    lab.tested() = F::make_leaf(lab.address(frame_page), 0, {rights, false, false});
    lab.access(right_read, place, true);
  };
  const auto row = [&](const char* what, const char* expected) {
    section.rows.push_back({what, expected, reading(lab, place, false)});
  };
  prepare(rights_rw);
  lab.tested() = 0;
  row("dropped-flush: leaf cleared, read", "reads 41");
  lab.invalidate(place + page_bytes);
  row("wrong-range: leaf cleared, the next page invalidated, read", "reads 41");
  lab.invalidate(place, true);
  row("leaf cleared, the page of another domain invalidated, read", "reads 41");
  lab.invalidate(place);
  row("late: leaf cleared, read, then the page invalidated, read again", "read refused");
  prepare(rights_rw);
  lab.tested() = F::make_leaf(lab.address(other_page), 0, {rights_rw, false, false});
  row("leaf exchanged, read", "reads 41");
  lab.invalidate(place);
  row("leaf exchanged, the page invalidated, read", "reads 42");
  lab.reset();
  lab.page(frame_page)[0] = 41;
  lab.access(right_read, place, true);
  lab.tested() = F::make_leaf(lab.address(frame_page), 0, {rights_rw, false, false});
  row("a hole was met, then a leaf put there, read", "reads 41");
  return section;
}

Section writing_section(DeviceLab& lab)
{
  Section section{"Writes by what is cached", "VT-d, 6.1: as above; of the third one see the page's head", {}};
  constexpr u64 place = DeviceLab::tested_place;
  const auto row = [&](const char* what, Rights before, Rights after, bool invalidated, const char* expected) {
    lab.reset();
    lab.prepare_write(43);
    lab.page(frame_page)[0] = 41;
    lab.tested() = F::make_leaf(lab.address(frame_page), 0, {before, false, false});
    lab.access(right_read, place, true);
    lab.tested() = F::make_leaf(lab.address(frame_page), 0, {after, false, false});
    if (invalidated) lab.invalidate(place);
    const auto outcome = outcome_of(lab.access(right_write, place, false));
    section.rows.push_back(
        {what, expected,
         std::string(outcome_word(outcome)) + ", " + std::to_string(lab.page(frame_page)[0]) + " stands there"});
  };
  row("leaf becomes r--, written", rights_rw, right_read, false, "allowed, 43 stands there");
  row("leaf becomes r--, invalidated, written", rights_rw, right_read, true, "write refused, 41 stands there");
  row("r-- leaf that was read, written", right_read, right_read, false, "allowed, 41 stands there");
  row("r-- leaf that was read, invalidated, written", right_read, right_read, true, "write refused, 41 stands there");
  return section;
}

}  // namespace

std::vector<Section> device_lab_sections(DeviceLab& lab)
{
  return {entry_section(lab), marks_section(lab), reshaping_section(lab), invalidation_section(lab),
          writing_section(lab)};
}

}  // namespace morsel::guest
