// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/suite.hpp"

#include <algorithm>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

namespace morsel::sim {

namespace {

struct Row {
  const char* name;
  const char* text;
};

// What stands in the primary: where its root is, and how large its leaves are. In the texts below, P is a page (or
// leaf) that the actors fight for, Q its neighbour in the same table, T all that the table maps, L the leaves' size.
// Where leaves are larger than a page, S is the size that they are split to; where the table is not the root, a leaf of
// size N that maps M can stand in its place.
struct TreePlace {
  const char* name;
  const char* settings;
  const char *page, *neighbour, *table, *leaf;
  const char *split_leaf, *block, *block_leaf;
};

constexpr TreePlace places[] = {
    {"pte", "root:pte", "p0", "p1", "m0", ",4K", nullptr, nullptr, nullptr},
    {"pmd", "", "p0", "p1", "m0", ",4K", nullptr, "m0", ",2M"},
    {"pud", "root:pud", "p0", "p1", "m0", ",4K", nullptr, "m0", ",2M"},
    {"pmd_2m", "size:8M", "m0", "m1", "m0-1", ",2M", ",4K", nullptr, nullptr},
    {"pud_2m", "root:pud size:1G", "m0", "m1", "g0", ",2M", ",4K", "g0", ",1G"},
    {"pud_1g", "root:pud size:2G", "g0", "g1", "g0-1", ",1G", ",2M", nullptr, nullptr},
};

// At every place. The neighbour is filled before where tables that come meanwhile would be another story.
constexpr Row everywhere[] = {
    {"two_fills_unmap_and_a_walker", "populate:PL populate:QL fill:Q -- fill:P fill:P,w unmap:P write:P"},
    {"upgrade_against_unmap", "populate:PL,r fill:P -- protect:P,rw fill:P,w unmap:P"},
    {"two_fills_against_unmap", "populate:PL fill:P -- fill:P fill:P,w unmap:P"},
    {"upgrade_and_unmap", "populate:PL,r fill:P protect:P,rw -- fill:P,w unmap:P write:P"},
    {"fill_unmap_unmap", "populate:PL fill:P -- fill:P unmap:P unmap:P"},
    {"fill_unmap_protect", "populate:PL fill:P -- fill:P,w unmap:P protect:P"},
    {"fill_unmap_populate", "populate:PL fill:P -- fill:P unmap:P populate:PL"},
    {"fill_protect_protect", "populate:PL fill:P -- fill:P,w protect:P protect:P"},
    {"upgrade_against_invalidate", "populate:PL,r fill:P protect:P,rw -- fill:P,w invalidate:P unmap:P"},
    {"drop_view_against_fill", "populate:PL fill:P -- drop_view fill:P,w"},
    {"drop_view_against_unmap", "populate:PL fill:P write:P -- drop_view unmap:P"},
    {"add_view_against_unmap", "view:none populate:PL -- add_view:v1,ept fill:P unmap:P"},
    {"cold_fill_against_unmap", "populate:PL -- fill:P unmap:P write:P"},
    {"unmap_of_the_table", "populate:PL fill:P -- fill:P,w unmap:T"},
    {"unmap_of_the_table_and_of_a_page", "populate:PL fill:P write:P -- unmap:T unmap:P"},
    {"invalidate_against_fill", "populate:PL fill:P -- invalidate:T fill:P,w"},
    {"resize_against_populate", "-- resize:P populate:PL"},
};

// A leaf of 2 MiB gives way to a table.
constexpr Row splits[] = {
    {"split_against_fill", "populate:m0,2M -- unmap:p1 fill:p0"},
    {"split_against_warm_fill", "populate:m0,r,2M fill:p0 -- protect:p1,rw fill:p1,w"},
    {"split_against_unmap", "populate:m0,2M fill:p0 -- unmap:p1 unmap:p1"},
    {"split_against_unmap_of_all", "populate:m0,2M fill:p0 -- unmap:p1 unmap:m0"},
    {"split_of_a_walked_primary", "walked watch:p0,p1 populate:m0,2M -- unmap:p1 write:p0,v0"},
};

// In a view of each format.
constexpr Row in_each_format[] = {
    {"fill_unmap_write", "populate:p0-1 fill:p1 -- fill:p0,w unmap:p0 write:p0"},
    {"upgrade", "populate:p0-1,r fill:p0 -- protect:p0,rw fill:p0,w"},
};

// The larger operations.
constexpr Row operations[] = {
    {"migrate_against_fill", "populate:p0-1 fill:p0 -- migrate:p0 fill:p0,w"},
    {"migrate_against_write", "populate:p0-1 fill:p0,w -- migrate:p0 write:p0"},
    {"migrate_against_unmap", "populate:p0-1 fill:p0 -- migrate:p0 unmap:p0"},
    {"migrate_against_migrate", "populate:p0-1 -- migrate:p0 migrate:p0"},
    {"two_migrates_that_want_one_token", "populate:p0-1 -- migrate:p0 migrate:p0 same_token"},
    {"break_copy_against_fill", "populate:p0-1 clone fill:p0 -- break_copy:p0 fill:p0,w"},
    {"two_breaks_of_one_copy", "populate:p0-1 clone -- break_copy:p0 break_copy:p0"},
    {"two_breaks_that_want_one_token", "populate:p0-1 clone -- break_copy:p0 break_copy:p0 same_token"},
    {"freeze_against_write", "populate:p0-1 fill:p0,w -- freeze:all write:p0"},
    {"harvest_against_write", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 write:p0"},
    {"harvest_against_unmap", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 unmap:p0"},
    {"harvest_against_upgrade", "populate:p0-1,rwx fill:p0,w write:p0 -- harvest:p0 fill:p0,x"},
    {"harvest_against_harvest", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 harvest:p0"},
    {"harvest_against_migrate", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 migrate:p0"},
    {"harvest_migrate_fill", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 migrate:p0 fill:p0,w"},
    {"harvest_against_dropped_view", "populate:p0-1 fill:p0,w write:p0 -- harvest:p0 drop_view"},
    {"split_operation_against_fill", "watch:p0,p1 populate:m0,2M -- split:m0 fill:p0"},
    {"merge_against_fill", "populate:m0,2M split:m0 fill:p0 -- merge:m0,2M fill:p1"},
    {"merge_against_unmap", "populate:m0,2M split:m0 -- merge:m0,2M unmap:p0"},
    {"merge_against_unmap_of_the_table", "populate:m0,2M split:m0 fill:p0 -- merge:m0,2M unmap:m0"},
    {"merge_against_merge", "populate:m0,2M split:m0 -- merge:m0,2M merge:m0,2M"},
    {"merge_against_migrate", "populate:m0,2M split:m0 -- merge:m0,2M migrate:p0"},
    {"migrate_of_a_large_leaf", "watch:p0,p1 populate:m0,2M fill:p0 -- migrate:m0 fill:p1,w"},
    {"migrate_of_a_walked_primary", "walked populate:p0-1 fill:p0 -- migrate:p0 write:p0,v0"},
    {"break_copy_against_unmap", "populate:p0-1 clone fill:p0 -- break_copy:p0 unmap:p0"},
    {"break_copy_against_unmap_of_the_table", "populate:p0-1 clone fill:p0 -- break_copy:p0 unmap:m0"},
    {"break_copy_against_migrate", "populate:p0-1 clone fill:p0 -- break_copy:p0 migrate:p0"},
    {"freeze_against_unmap", "populate:p0-1 fill:p0 -- freeze:all unmap:p0"},
    {"freeze_against_resize", "populate:p0-1 fill:p0 -- freeze:all resize:p0"},
    {"freeze_against_migrate", "populate:p0-1 fill:p0 -- freeze:all migrate:p0"},
    {"split_of_a_huge_leaf", "root:pud size:1G populate:g0,1G -- split:g0,2M fill:p0,w"},
    {"unmap_in_a_huge_leaf", "root:pud size:1G populate:g0,1G fill:p0 -- unmap:m0 fill:p0,w"},
    {"protect_in_a_huge_leaf", "root:pud size:1G watch:p0,p512 populate:g0,1G fill:p0 -- protect:m1 fill:p0,w"},
};

// Each of them meets each, at every place where both make sense.
constexpr Row pair_acts[] = {
    {"fill", "fill:P,w"},     {"write", "write:P"},           {"unmap", "unmap:P"},
    {"unmap_of_the_table", "unmap:T"},                        {"protect", "protect:P"},
    {"populate", "populate:PL"},                              {"invalidate", "invalidate:P"},
    {"add_view", "add_view:v2"},                              {"drop_view", "drop_view"},
    {"resize", "resize:P"},   {"split", "split:PS"},          {"merge", "merge:MN"},
    {"migrate", "migrate:P"}, {"break_copy", "break_copy:P"}, {"freeze", "freeze:all"},
    {"harvest", "harvest:P"},
};

// Of leaves of 1 GiB those that need few steps: each costs 262,144 frames.
constexpr Row huge[] = {
    {"two_fills", "populate:TL fill:P -- fill:P,w fill:P,w"},
    {"fill_against_protect", "populate:TL fill:P -- protect:P fill:P,w"},
    {"fill_against_unmap_of_the_table", "populate:TL fill:P -- fill:P,w unmap:T"},
};
constexpr Row huge_and_long[] = {
    {"fill_against_unmap", "populate:TL fill:P -- fill:P,w unmap:P"},
    {"unmap_against_protect", "populate:TL fill:P -- protect:P unmap:P"},
};

constexpr Row large_rows[] = {
    {"cold_two_fills_against_unmap", "populate:p0 -- fill:p0 fill:p0,w unmap:p0"},
    {"drop_view_fill_unmap", "populate:p0 fill:p0 -- drop_view fill:p0 unmap:p0"},
    {"split_two_fills", "populate:m0,r,2M fill:p0 -- protect:p1,rw fill:p1,w fill:p0"},
    {"upgrade_unmap_write", "populate:p0,r fill:p0 -- protect:p0,rw fill:p0,w unmap:p0 write:p0"},
    {"two_views", "view:ept view:npt populate:p0-1 fill:p1 fill:p1,v2 -- unmap:p0 fill:p0,v2 fill:p0,w"},
    {"unmap_of_the_table_fill_fill", "populate:p0-1 fill:p0 -- unmap:m0 fill:p0 fill:p1,w"},
    {"walked", "walked watch:p0,p1 populate:p0-1 fill:p0 -- unmap:p0 protect:p0-1 fill:p0"},
    {"migrate_migrate_fill", "populate:p0-1 fill:p0 -- migrate:p0 migrate:p0 fill:p0,w"},
    {"migrate_unmap_fill", "populate:p0-1 fill:p0,w -- migrate:p0 unmap:p0 fill:p0"},
    {"split_fill_unmap", "watch:p0,p1 populate:m0,2M fill:p0 -- split:m0 fill:p1,w unmap:p0"},
    {"merge_protect_write", "populate:m0,2M split:m0 fill:p0,w -- merge:m0,2M protect:p0 write:p0"},
    {"merge_merge_fill", "populate:m0,2M split:m0 -- merge:m0,2M merge:m0,2M fill:p0"},
};

constexpr Row race_rows[] = {
    {"two_fills_against_two_unmaps", "populate:p0-1 fill:p1 -- fill:p0 fill:p0,w unmap:p0 unmap:p0"},
    {"fill_against_unmap", "populate:p0-1 -- fill:p0 unmap:p0"},
    {"two_fills_against_unmap", "populate:p0-1 -- fill:p0 fill:p0,w unmap:p0"},
    {"warm_fill_against_unmap", "populate:p0-1 fill:p0 -- fill:p0,w unmap:p0 write:p0"},
    {"two_unmaps_against_fill", "populate:p0-1 fill:p0 -- fill:p0 unmap:p0 unmap:p0"},
    {"unmap_against_unmap_of_the_table", "populate:p0-1 fill:p0 -- unmap:p0 unmap:m0 fill:p0"},
    {"upgrade_against_unmap", "populate:p0-1,r fill:p0 -- protect:p0,rw fill:p0,w unmap:p0 write:p0"},
    {"protect_against_fill_and_write", "populate:p0-1 fill:p0 -- protect:p0 fill:p0,w write:p0"},
    {"two_protects", "populate:p0-1 fill:p0 -- protect:p0 protect:p0 fill:p0"},
    {"unmap_and_populate_again", "populate:p0-1 fill:p0 -- unmap:p0 populate:p0 fill:p0"},
    {"refill_during_two_unmaps", "populate:p0-1 fill:p0 -- unmap:p0 populate:p0 fill:p0 unmap:p0"},
    {"large_fill_against_small_unmap", "watch:p0,p1 populate:m0,2M -- fill:p0 unmap:p1 fill:p1"},
    {"large_leaf_split_under_a_warm_view", "watch:p0,p1 populate:m0,2M fill:p0 -- unmap:p1 fill:p1,w write:p0"},
    {"large_leaf_gives_way_to_a_table",
     "watch:p0,p1 populate:m0,r,2M fill:p0 -- protect:p1,rw fill:p1,w fill:p0 write:p0"},
    {"invalidate_against_fill", "populate:p0-1 fill:p0 -- invalidate:p0 fill:p0 unmap:p0 write:p0"},
    {"invalidate_of_the_table_against_fill", "watch:p0,p1 populate:p0-1 fill:p0 -- invalidate:m0 fill:p1 unmap:p0"},
    {"drop_view_against_fill", "populate:p0-1 fill:p0 -- drop_view fill:p0 unmap:p0 write:p0"},
    {"drop_view_against_dirty_unmap", "populate:p0-1 fill:p0 write:p0 -- drop_view unmap:p0"},
    {"add_view_against_unmap", "populate:p0-1 -- add_view:v2 fill:p0,v2 unmap:p0"},
    {"resize_against_populate", "watch:p0,p1 -- resize:p1 populate:p0-1 fill:p1"},
    {"two_views", "view:ept view:npt populate:p0-1 fill:p0 fill:p0,v2 -- unmap:p0 fill:p0,v2 write:p0 write:p0,v2"},
    {"eight_views",
     "view:ept view:npt view:ept view:npt view:ept view:npt view:ept view:npt populate:p0-1 fill:p0 fill:p0,v2 "
     "fill:p0,v3,w fill:p0,v4 fill:p0,v5 fill:p0,v7,w write:p0,v7 -- unmap:p0 fill:p0,w fill:p0,v6 fill:p0,v8,w "
     "migrate:p0 write:p0,v3"},
    {"primary_walked_by_hardware", "walked watch:p0,p1 populate:p0-1 fill:p0 -- unmap:p0 protect:p0-1 fill:p0"},
    {"split_of_a_walked_primary", "walked watch:p0,p1 populate:m0,2M -- unmap:p1 fill:p0 write:p0,v0"},
    {"pud_root_and_a_table_unlinked", "root:pud populate:p0-1 fill:p0 -- unmap:m0-1 fill:p0 populate:p0"},
    {"two_cores", "cores:2 populate:p0-1 fill:p0 -- fill:p0,w unmap:p0 write:p0 read:p0"},
    {"pte_root", "root:pte populate:p0-1 fill:p0 -- unmap:p0 fill:p0 populate:p0"},
};

// One act, or a second one at any point of the first.
constexpr Row crash_rows[] = {
    {"populate", "watch:p0,p1,p2 -- populate:p0-1"},
    {"populate_below_a_pud_root", "root:pud watch:p0,p1 -- populate:p0-1"},
    {"populate_of_a_large_leaf", "watch:p0,p511 -- populate:m0,2M"},
    {"unmap", "watch:p0,p1 populate:p0-1 -- unmap:p0"},
    {"unmap_of_a_table", "watch:p0,p1 populate:p0-1 -- unmap:m0"},
    {"unmap_splits_a_large_leaf", "watch:p0,p1 populate:m0,2M -- unmap:p0"},
    {"protect", "watch:p0,p1 populate:p0-1 -- protect:p0-1,r"},
    {"resize", "watch:p0,p1,p2 populate:p0-2 -- resize:p1"},
    {"resize_cuts_a_large_leaf", "watch:p0,p511 populate:m0,2M -- resize:p511"},
    {"split", "watch:p0,p511 populate:m0,2M -- split:m0,4K"},
    {"merge", "watch:p0,p511 populate:m0,2M split:m0,4K -- merge:m0,2M"},
    {"migrate", "watch:p0,p1 populate:p0-1 -- migrate:p0-1"},
    {"migrate_of_a_large_leaf", "watch:p0,p511 populate:m0,2M -- migrate:m0"},
    {"populate_and_fill", "-- populate:p0 fill:p0"},
    {"populate_and_populate", "watch:p0,p1 -- populate:p0 populate:p1"},
    {"populate_and_unmap", "watch:p0,p1 -- populate:p0-1 unmap:p0"},
    {"unmap_and_populate", "populate:p0 -- unmap:p0 populate:p0"},
    {"protect_and_fill", "populate:p0,r -- protect:p0,rw fill:p0,w"},
    {"migrate_and_fill", "populate:p0 -- migrate:p0 fill:p0,w"},
    {"migrate_and_unmap", "populate:p0 -- migrate:p0 unmap:p0"},
    {"migrate_and_break_copy", "populate:p0 -- migrate:p0 break_copy:p0"},
    {"split_and_unmap", "watch:p0,p1 populate:m0,2M -- split:m0,4K unmap:p0"},
    {"merge_and_unmap", "watch:p0,p1 populate:m0,2M split:m0,4K -- merge:m0,2M unmap:p0"},
};

void add(std::vector<Scenario>& to, const std::string& name, const std::string& text)
{
  to.push_back(parse_scenario(text));
  to.back().name = name;
}

// An allocation fails, and then another one: whoever needs it gives up and leaves all as it was.
void add_without_memory(std::vector<Scenario>& to, const Row& row)
{
  for (const char* nth : {"1", "2"})
    add(to, std::string(row.name) + "_without_memory_" + nth, std::string(row.text) + " fail:alloc#" + nth);
}

// What the letter stands for at this place; nothing where it stands for itself.
const char* const* meaning(const TreePlace& place, char letter)
{
  switch (letter) {
    case 'P': return &place.page;
    case 'Q': return &place.neighbour;
    case 'T': return &place.table;
    case 'L': return &place.leaf;
    case 'S': return &place.split_leaf;
    case 'M': return &place.block;
    case 'N': return &place.block_leaf;
    default: return nullptr;
  }
}

bool makes_sense(const std::string& text, const TreePlace& place)
{
  return std::none_of(text.begin(), text.end(), [&](char c) {
    const char* const* const word = meaning(place, c);
    return word && !*word;
  });
}

// The row's text at this place.
std::string put(const std::string& text, const TreePlace& place)
{
  std::string out = std::string(place.settings) + " ";
  for (const char c : text) {
    if (const char* const* const word = meaning(place, c))
      out += *word;
    else
      out += c;
  }
  return out;
}

enum class Leaf : u8 { clean, dirty };

// What must stand for these acts: a table that can be merged, a page to be copied on write.
std::string stage_of(const std::string& acts, Leaf leaf)
{
  const bool merges = acts.find("merge") != acts.npos, breaks = acts.find("break_copy") != acts.npos;
  const std::string stands = merges ? "populate:MN split:ML " : "populate:PL populate:QL ";
  return stands + (breaks ? "clone fill:P" : leaf == Leaf::dirty ? "fill:P,w write:P" : "fill:P,w");
}

// Callers see to it that these do not meet (the heads of view.hpp, clone.hpp and primary.hpp say so); and who migrates
// each page of a table that a split has just made retires more at once than the explored world holds.
bool may_meet(std::string_view a, std::string_view b)
{
  constexpr std::string_view kept_apart[][2] = {
      {"add_view", "add_view"}, {"add_view", "drop_view"}, {"drop_view", "drop_view"}, {"invalidate", "drop_view"},
      {"freeze", "freeze"},     {"resize", "resize"},      {"split", "migrate"},
  };
  return std::none_of(std::begin(kept_apart), std::end(kept_apart),
                      [&](const auto& pair) { return pair[0] == a && pair[1] == b; });
}

void add_pair(std::vector<Scenario>& to, const Row& a, const Row& b, const TreePlace& place, Leaf leaf)
{
  const std::string acts = std::string(a.text) + " " + b.text, text = stage_of(acts, leaf) + " -- " + acts;
  if (may_meet(a.name, b.name) && makes_sense(text, place))
    add(to, std::string(a.name) + "_against_" + b.name + "_" + place.name, put(text, place));
}

// Where hardware walks the primary, too.
void add_walked(std::vector<Scenario>& to, const Row& row, const TreePlace& place, Leaf leaf)
{
  const std::string text = "walked " + stage_of(row.text, leaf) + " -- " + row.text + " write:P,v0";
  if (makes_sense(text, place)) add(to, std::string(row.name) + "_of_a_walked_primary_" + place.name, put(text, place));
}

// 512 entries that one goes through while the other makes them: more than twenty million states.
bool is_long(std::string_view a, std::string_view b, const TreePlace& place)
{
  return place.split_leaf && a == "protect" && b == "split";
}

// Dirty bits of a leaf of 2 MiB are carried page by page, in 512 steps: campaigns have time for them.
void add_pairs(std::vector<Scenario>& to, const TreePlace& place, Leaf leaf)
{
  for (const Row& a : pair_acts) {
    for (const Row* b = &a; b != std::end(pair_acts); ++b)
      if (leaf == Leaf::dirty || !is_long(a.name, b->name, place)) add_pair(to, a, *b, place, leaf);
    add_walked(to, a, place, leaf);
  }
}

}  // namespace

std::vector<Scenario> scenarios(Suite suite)
{
  std::vector<Scenario> all;
  if (suite == Suite::small) {
    for (const Row& row : everywhere)
      for (const TreePlace& place : std::span(places).first<5>())
        add(all, std::string(row.name) + "_" + place.name, put(row.text, place));
    for (const Row& row : splits)
      for (const TreePlace& place : {places[1], places[2]})
        add(all, std::string(row.name) + "_" + place.name, std::string(place.settings) + " " + row.text);
    for (const Row& row : in_each_format)
      for (const FormatInfo& format : format_table)
        add(all, std::string(row.name) + "_" + std::string(format.name),
            "view:" + std::string(format.name) + " " + row.text);
    for (const Row& row : operations) add(all, row.name, row.text);
    for (const TreePlace& place : std::span(places).first<3>()) add_pairs(all, place, Leaf::dirty);
    add_pairs(all, places[3], Leaf::clean);
    for (const Row& row : huge) add(all, std::string(row.name) + "_pud_1g", put(row.text, places[5]));
    for (const Row& row : splits) add_without_memory(all, row);
    for (const Row& row : operations) add_without_memory(all, row);
  } else if (suite == Suite::large) {
    for (const Row& row : large_rows) add(all, row.name, row.text);
    add_pairs(all, places[3], Leaf::dirty);
    add_pairs(all, places[4], Leaf::clean);
    for (const Row& row : huge_and_long) add(all, std::string(row.name) + "_pud_1g", put(row.text, places[5]));
  } else {
    for (const Row& row : suite == Suite::races ? std::span<const Row>(race_rows) : std::span<const Row>(crash_rows))
      add(all, row.name, row.text);
  }
  return all;
}

}  // namespace morsel::sim
