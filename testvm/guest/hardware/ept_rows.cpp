// SPDX-License-Identifier: GPL-2.0-or-later
//
// What VMX makes of the entries of EPT.
#include "engine/format/ept.hpp"
#include "testvm/guest/hardware/lab_rows.hpp"

namespace morsel::guest {
namespace {

constexpr std::initializer_list<Rights> each_right{right_read, right_write, right_exec};
constexpr u64 type_shift = 3;
constexpr u64 ignore_pat = bit(6);

void add_rights(Rows<EptL4>& rows, Lab& lab)
{
  rows.add("4-KiB leaf, r--", 0, leaf_of<EptL4>(lab, 0, right_read), each_right);
  rows.add("4-KiB leaf, rw-", 0, leaf_of<EptL4>(lab, 0, rights_rw), each_right);
  rows.add("4-KiB leaf, rwx", 0, leaf_of<EptL4>(lab, 0, rights_all), each_right);
  rows.add("4-KiB leaf, --x", 0, leaf_of<EptL4>(lab, 0, right_exec), each_right);
  rows.add("4-KiB leaf, -w-", 0, leaf_of<EptL4>(lab, 0, right_write), {right_read, right_write});
  rows.add("4-KiB leaf, -wx", 0, leaf_of<EptL4>(lab, 0, right_write | right_exec), each_right);
}

void add_types(Rows<EptL4>& rows, Lab& lab)
{
  const u64 leaf = leaf_of<EptL4>(lab, 0, rights_rw) & ~EptL4::memory_type;
  for (u64 type = 0; type < 8; ++type)
    rows.add("4-KiB leaf, memory type " + std::to_string(type), 0, leaf | type << type_shift,
             {right_read, right_write});
  rows.add("4-KiB leaf, memory type 6, the guest's PAT ignored", 0, leaf_of<EptL4>(lab, 0, rights_rw) | ignore_pat,
           {right_read});
}

void add_large(Rows<EptL4>& rows, Lab& lab)
{
  for (const Level level : {Level{1}, Level{2}}) {
    const std::string size = level == 1 ? "2-MiB" : "1-GiB";
    const u64 leaf = leaf_of<EptL4>(lab, level, rights_rw);
    rows.add(size + " leaf, rw-", level, leaf, each_right);
    rows.add(size + " leaf, r-x", level, leaf_of<EptL4>(lab, level, right_read | right_exec), each_right);
    rows.add(size + " leaf, --x", level, leaf_of<EptL4>(lab, level, right_exec), each_right);
    rows.add(size + " leaf, memory type 2", level, (leaf & ~EptL4::memory_type) | 2 << type_shift, {right_read});
    rows.add(size + " leaf with bit 12", level, leaf | bit(12), {right_read});
    rows.known_otherwise(WalkOutcome::allowed);  // Bochs 2.7 takes no notice of it, as if it were a process's PAT bit
    rows.add(size + " leaf with the highest bit below its frame", level, leaf | bit(11 + 9u * level), {right_read});
  }
}

void add_tables(Rows<EptL4>& rows, Lab& lab)
{
  const u64 table = EptL4::make_table(lab.address(lab_level_0));
  rows.add("table, r-x", 1, table & ~EptL4::write, each_right);
  rows.add("table, rw-", 1, table & ~EptL4::execute, each_right);
  rows.add("table, --x", 1, table & ~(EptL4::read | EptL4::write), each_right);
  rows.add("table, -wx", 1, table & ~EptL4::read, {right_read});
  rows.add("table with all that is ignored", 1, table | bits(11, 9) | bits(63, 52), {right_read});
  rows.add("table with bit 3, a leaf's memory type", 1, table | bit(3), {right_read});
  rows.add("table with bit 6", 1, table | bit(6), {right_read});
  rows.add("table at the top with PS", 3, EptL4::make_table(lab.address(lab_level_2)) | EptL4::page_size, {right_read});
}

Section entry_section(Lab& lab)
{
  Rows<EptL4> rows(lab);
  rows.add("a hole", 0, 0, each_right);
  rows.add("a reserved entry of the protocol", 0, software::make_reserved(77, software::Stale::yes),
           {right_read, right_write});
  add_rights(rows, lab);
  rows.add("4-KiB leaf with all that is ignored", 0,
           leaf_of<EptL4>(lab, 0, rights_rw) | bit(7) | bits(11, 10) | bits(63, 52), {right_read});
  add_types(rows, lab);
  add_large(rows, lab);
  const u64 beyond = u64{1} << physical_address_bits();
  for (const Level level : {Level{0}, Level{1}})
    rows.add_malformed(
        std::string(level ? "2-MiB" : "4-KiB") + " leaf whose frame lies beyond the CPU's physical addresses", level,
        leaf_of<EptL4>(lab, level, rights_rw) | beyond);
  add_tables(rows, lab);
  return {"Entries", "engine/format/ept.hpp: kind() and access() of the word; of too large addresses SDM 3C, 29.3.3.1",
          rows.take()};
}

// The presets that make a leaf which the format does not allow.
Section corruptions(Lab& lab)
{
  Section section = corruption_section<EptL4>(lab, EptL4::write);
  Rows<EptL4> rows(lab);
  const u64 leaf = leaf_of<EptL4>(lab, 0, rights_rw);
  rows.add("ept-misconfiguration: the leaf lacks the right to read", 0, leaf ^ EptL4::read, {right_read, right_write});
  rows.add("reserved-bit: the leaf has memory type 7", 0, leaf ^ bit(type_shift), {right_read});
  for (Row& row : rows.take()) section.rows.push_back(std::move(row));
  return section;
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
  return marks_section<EptNoAd>(lab, "What hardware sets without accessed and dirty flags (ept_no_ad)",
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
                                marks_section<EptL4>(lab, "What hardware sets", "engine/format/ept.hpp"),
                                unmarked_section(),
                                own_tables_section(),
                                reshaping_section<EptL4>(lab),
                                invalidation_section<EptL4>(lab, {"SDM 3C, 29.4.3.4", "INVEPT", "absent or reads 41"}),
                                corruptions(lab)};
  return sections;
}

}  // namespace morsel::guest
