// SPDX-License-Identifier: GPL-2.0-or-later
//
// What AMD's nested paging makes of the entries of NPT.
#include "engine/format/npt.hpp"
#include "testvm/guest/hardware/second_stage_rows.hpp"

namespace morsel::guest {
namespace {

using Stage = SecondStage<Npt>;

constexpr u64 global_bit = bit(8);

Section entry_section(Lab& lab)
{
  Rows<Stage> rows(lab);
  rows.add("a hole", 0, 0, each_right);
  rows.add("a reserved entry of the protocol", 0, software::make_reserved(77, software::Stale::yes),
           {right_read, right_write});
  rows.add("4-KiB leaf, r--", 0, leaf_of<Stage>(lab, 0, right_read), each_right);
  rows.add("4-KiB leaf, rw-", 0, leaf_of<Stage>(lab, 0, rights_rw), each_right);
  rows.add("4-KiB leaf, rwx", 0, leaf_of<Stage>(lab, 0, rights_all), each_right);
  rows.add("4-KiB leaf without U/S", 0, leaf_of<Stage>(lab, 0, rights_all) & ~Npt::user, {right_read});
  rows.add("4-KiB leaf with G and all that is available to software", 0,
           leaf_of<Stage>(lab, 0, rights_rw) | global_bit | bits(11, 9) | bits(62, 52), {right_read});
  add_pat_and_large(rows, lab);
  add_addresses_beyond(rows, lab);
  const u64 table = table_of<Stage>(lab, 1);
  rows.add("table, r-x", 1, table & ~Npt::writable, each_right);
  rows.add("table, rw-", 1, table | Npt::no_execute, each_right);
  rows.add("table without U/S", 1, table & ~Npt::user, {right_read});
  rows.add("table at the top with PS", 3, table_of<Stage>(lab, 3) | Npt::page_size, {right_read});
  return {"Entries",
          "engine/format/npt.hpp: kind() and access() of the word; of too large addresses APM volume 2, 5.3.1",
          rows.take()};
}

}  // namespace

std::vector<Section> npt_lab_sections()
{
  Lab lab(lab_format<Npt>);
  return {entry_section(lab), marks_section<Stage>(lab, "What hardware sets", "engine/format/npt.hpp"),
          reshaping_section<Stage>(lab),
          invalidation_section<Npt>(lab, {"APM volume 2, 15.25.12", "the ASID flushed", "reads 41"})};
}

}  // namespace morsel::guest
