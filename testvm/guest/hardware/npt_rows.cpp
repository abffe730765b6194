// SPDX-License-Identifier: GPL-2.0-or-later
//
// What AMD's nested paging makes of the entries of NPT.
#include "engine/format/npt.hpp"
#include "testvm/guest/hardware/lab_rows.hpp"

namespace morsel::guest {
namespace {

constexpr u64 global_bit = bit(8);

Section entry_section(Lab& lab)
{
  Rows<Npt> rows(lab);
  rows.add("a hole", 0, 0, {right_read, right_write, right_exec});
  rows.add("a reserved entry of the protocol", 0, software::make_reserved(77, software::Stale::yes),
           {right_read, right_write});
  rows.add("4-KiB leaf, r--", 0, leaf_of<Npt>(lab, 0, right_read), {right_read, right_write, right_exec});
  rows.add("4-KiB leaf, rw-", 0, leaf_of<Npt>(lab, 0, rights_rw), {right_read, right_write, right_exec});
  rows.add("4-KiB leaf, rwx", 0, leaf_of<Npt>(lab, 0, rights_all), {right_read, right_write, right_exec});
  rows.add("4-KiB leaf without U/S", 0, leaf_of<Npt>(lab, 0, rights_all) & ~Npt::user, {right_read});
  rows.add("4-KiB leaf with G and all that is available to software", 0,
           leaf_of<Npt>(lab, 0, rights_rw) | global_bit | bits(11, 9) | bits(62, 52), {right_read});
  rows.add("4-KiB leaf, PAT 7", 0, leaf_of<Npt>(lab, 0, rights_rw) | Npt::memory_type_mask(0),
           {right_read, right_write});
  for (const Level level : {Level{1}, Level{2}}) {
    const std::string size = level == 1 ? "2-MiB" : "1-GiB";
    rows.add(size + " leaf, rw-", level, leaf_of<Npt>(lab, level, rights_rw), {right_read, right_write, right_exec});
    rows.add(size + " leaf, r-x", level, leaf_of<Npt>(lab, level, right_read | right_exec),
             {right_read, right_write, right_exec});
    rows.add(size + " leaf with bit 13", level, leaf_of<Npt>(lab, level, rights_rw) | bit(13), {right_read});
    rows.add(size + " leaf with the highest bit below its frame", level,
             leaf_of<Npt>(lab, level, rights_rw) | bit(11 + 9u * level), {right_read});
  }
  // Of the address bits that the format has, the CPU has the lower ones.
  const u64 beyond = u64{1} << physical_address_bits();
  for (const Level level : {Level{0}, Level{1}})
    rows.add_malformed(
        std::string(level ? "2-MiB" : "4-KiB") + " leaf whose frame lies beyond the CPU's physical addresses", level,
        leaf_of<Npt>(lab, level, rights_rw) | beyond);
  const u64 table = Npt::make_table(lab.address(lab_level_0));
  rows.add("table, r-x", 1, table & ~Npt::writable, {right_read, right_write, right_exec});
  rows.add("table, rw-", 1, table | Npt::no_execute, {right_read, right_write, right_exec});
  rows.add("table without U/S", 1, table & ~Npt::user, {right_read});
  rows.add("table at the top with PS", 3, Npt::make_table(lab.address(lab_level_2)) | Npt::page_size, {right_read});
  return {"Entries",
          "engine/format/npt.hpp: kind() and access() of the word; of too large addresses APM volume 2, 5.3.1",
          rows.take()};
}

}  // namespace

std::vector<Section> npt_lab_sections()
{
  Lab lab(lab_format<Npt>);
  return {entry_section(lab), marks_section<Npt>(lab, "What hardware sets", "engine/format/npt.hpp"),
          reshaping_section<Npt>(lab),
          invalidation_section<Npt>(lab, {"APM volume 2, 15.25.12", "the ASID flushed", "reads 41"}),
          corruption_section<Npt>(lab, Npt::writable)};
}

}  // namespace morsel::guest
