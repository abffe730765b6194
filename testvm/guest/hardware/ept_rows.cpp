// SPDX-License-Identifier: GPL-2.0-or-later
//
// What VMX makes of the entries of EPT.
#include "engine/format/ept.hpp"
#include "testvm/guest/hardware/second_stage_rows.hpp"

namespace morsel::guest {
namespace {

using Stage = SecondStage<EptL4>;

constexpr u64 type_shift = 3;
constexpr u64 ignore_pat = bit(6);

void add_rights(Rows<Stage>& rows, Lab& lab)
{
  rows.add("4-KiB leaf, r--", 0, leaf_of<Stage>(lab, 0, right_read), each_right);
  rows.add("4-KiB leaf, rw-", 0, leaf_of<Stage>(lab, 0, rights_rw), each_right);
  rows.add("4-KiB leaf, rwx", 0, leaf_of<Stage>(lab, 0, rights_all), each_right);
  rows.add("4-KiB leaf, --x", 0, leaf_of<Stage>(lab, 0, right_exec), each_right);
  rows.add("4-KiB leaf, -w-", 0, leaf_of<Stage>(lab, 0, right_write), {right_read, right_write});
  rows.add("4-KiB leaf, -wx", 0, leaf_of<Stage>(lab, 0, right_write | right_exec), each_right);
}

void add_types(Rows<Stage>& rows, Lab& lab)
{
  const u64 leaf = leaf_of<Stage>(lab, 0, rights_rw) & ~EptL4::memory_type;
  for (u64 type = 0; type < 8; ++type)
    rows.add("4-KiB leaf, memory type " + std::to_string(type), 0, leaf | type << type_shift,
             {right_read, right_write});
  rows.add("4-KiB leaf, memory type 6, the guest's PAT ignored", 0, leaf_of<Stage>(lab, 0, rights_rw) | ignore_pat,
           {right_read});
}

void add_large(Rows<Stage>& rows, Lab& lab)
{
  for (const Level level : {Level{1}, Level{2}}) {
    const u64 leaf = leaf_of<Stage>(lab, level, rights_rw);
    rows.add(leaf_name(level) + ", rw-", level, leaf, each_right);
    rows.add(leaf_name(level) + ", r-x", level, leaf_of<Stage>(lab, level, right_read | right_exec), each_right);
    rows.add(leaf_name(level) + ", --x", level, leaf_of<Stage>(lab, level, right_exec), each_right);
    rows.add(leaf_name(level) + ", memory type 2", level, (leaf & ~EptL4::memory_type) | 2 << type_shift, {right_read});
    rows.add(leaf_name(level) + " with bit 12", level, leaf | bit(12), {right_read});
    rows.known_otherwise(
        outcome_word(WalkOutcome::allowed));  // Bochs 2.7 takes no notice of it, as if it were a process's PAT bit
    rows.add(leaf_name(level) + " with the highest bit below its frame", level, leaf | bit(11 + 9u * level),
             {right_read});
  }
}

void add_tables(Rows<Stage>& rows, Lab& lab)
{
  const u64 table = table_of<Stage>(lab, 1);
  rows.add("table, r-x", 1, table & ~EptL4::write, each_right);
  rows.add("table, rw-", 1, table & ~EptL4::execute, each_right);
  rows.add("table, --x", 1, table & ~(EptL4::read | EptL4::write), each_right);
  rows.add("table, -wx", 1, table & ~EptL4::read, {right_read});
  rows.add("table with all that is ignored", 1, table | bits(11, 9) | bits(63, 52), {right_read});
  rows.add("table with bit 3, a leaf's memory type", 1, table | bit(3), {right_read});
  rows.add("table with bit 6", 1, table | bit(6), {right_read});
  rows.add("table at the top with PS", 3, table_of<Stage>(lab, 3) | EptL4::page_size, {right_read});
}

Section entry_section(Lab& lab)
{
  Rows<Stage> rows(lab);
  rows.add("a hole", 0, 0, each_right);
  rows.add("a reserved entry of the protocol", 0, software::make_reserved(77, software::Stale::yes),
           {right_read, right_write});
  add_rights(rows, lab);
  rows.add("4-KiB leaf with all that is ignored", 0,
           leaf_of<Stage>(lab, 0, rights_rw) | bit(7) | bits(11, 10) | bits(63, 52), {right_read});
  add_types(rows, lab);
  add_large(rows, lab);
  add_addresses_beyond(rows, lab);
  add_tables(rows, lab);
  return {"Entries", "engine/format/ept.hpp: kind() and access() of the word; of too large addresses SDM 3C, 29.3.3.1",
          rows.take()};
}

// The guest's own tables lie on a page that it may only read. They are read through, with all marks set already.
Row own_tables_row(const LabFormat& format, const char* what, const char* expected)
{
  Lab lab(format);
  lab.page(lab_level_1_of_lab)[0] = format.leaf(lab.address(0), 1, {right_read, true, true});
  lab.tested() = format.leaf(lab.address(frame_page), 0, {rights_all, true, true});
  const auto run = lab.access_in_guest(right_read, Lab::small_pages_entry(), small_pages);
  const bool in_walk = run.result == MORSEL_VCPU_VIOLATION && (run.access & MORSEL_VCPU_TABLE_WALK);
  const bool as_write = in_walk && (run.access & MORSEL_WRITE);
  return {what, expected,
          std::string(outcome_word(outcome_of(run))) + (as_write  ? ", as a write of the walk"
                                                        : in_walk ? ", as a read of the walk"
                                                                  : "")};
}

// EPTP bit 6 is clear.
Section unmarked_section()
{
  Lab lab(lab_format<EptNoAd>);
  return marks_section<SecondStage<EptNoAd>>(lab, "What hardware sets without accessed and dirty flags (ept_no_ad)",
                                             "engine/format/ept.hpp");
}

Section own_tables_section()
{
  Section section{
      "The guest's own tables", "SDM 3C, 29.3.5: with accessed and dirty flags each walk of them is a write", {}};
  section.rows.push_back(own_tables_row(lab_format<EptL4>, "with the flags: tables on a page that is r--, read through",
                                        "denied, as a write of the walk"));
  section.rows.push_back(own_tables_row(lab_format<EptNoAd>,
                                        "without (ept_no_ad): tables on a page that is r--, read through", "allowed"));
  return section;
}

}  // namespace

std::vector<Section> ept_lab_sections()
{
  Lab lab(lab_format<EptL4>);
  std::vector<Section> sections{entry_section(lab),
                                marks_section<Stage>(lab, "What hardware sets", "engine/format/ept.hpp"),
                                unmarked_section(),
                                own_tables_section(),
                                reshaping_section<Stage>(lab),
                                invalidation_section<EptL4>(lab, {"SDM 3C, 29.4.3.4", "INVEPT", "absent or reads 41"})};
  return sections;
}

}  // namespace morsel::guest
