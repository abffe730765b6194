// SPDX-License-Identifier: GPL-2.0-or-later
//
// What programs, journals and saved files are built on, as golden values: numbers, sizes, places and entry words. They
// are written down here once more, and by hand, so that nobody changes one without noticing.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_requests.h"
#include "engine/format/all.hpp"
#include "engine/platform/point.hpp"

namespace morsel {
namespace {

constexpr unsigned abi_version = 3, journal_version = 2;  // whose values these are

using Numbers = std::map<std::string, unsigned long>;

// New names may come with new numbers. What is there stays.
void expect_kept(const std::string& what, const Numbers& golden, const Numbers& found)
{
  for (const auto& [name, number] : golden) {
    const auto at = found.find(name);
    const std::string now = at == found.end() ? "gone" : std::to_string(at->second);
    EXPECT_TRUE(at != found.end() && at->second == number)
        << what << " " << name << " was " << number << " in version " << abi_version << " of the ABI and is " << now
        << ": programs that were built with it would go wrong. Append instead, or raise MORSEL_ABI_VERSION (the "
           "journal's record and rings: MORSEL_JOURNAL_VERSION) and write the new values down here.";
  }
  EXPECT_EQ(golden.size(), found.size()) << what << ": what was appended belongs into this test, too";
}

TEST(Abi, HasTheVersionWhoseValuesStandHere)
{
  EXPECT_EQ(MORSEL_ABI_VERSION, abi_version) << "the golden values of this test are those of another version";
  EXPECT_EQ(MORSEL_JOURNAL_VERSION, journal_version) << "the golden values of this test are those of another version";
}

// ---- requests ----

// Direction, size of the structure, 0xb7 and the number, as _IOWR and _IO put them together.
const Numbers golden_requests{
    {"VERSION", 0xc010b700},      {"CREATE", 0xc058b701},      {"COUNTERS", 0xc068b702},
    {"INJECT_ADD", 0xc068b703},   {"INJECT_LIST", 0xc068b704}, {"INJECT_CLEAR", 0x0000b705},
    {"LIST", 0xc020b706},         {"IDLE", 0x0000b707},        {"JOURNAL", 0xc028b708},
    {"GATE", 0xc008b709},         {"GATE_STOP", 0x0000b70a},   {"GATE_RUN", 0x0000b70b},
    {"GATE_STEP", 0xc008b70c},    {"GATE_UNTIL", 0xc030b70d},  {"GATE_ACTORS", 0xc028b70e},
    {"INJECT_FIRED", 0xc020b70f}, {"VCPU_LAB", 0xc0a0b718},    {"VCPU_STATE", 0xc008b719},
    {"DEVICE_STATE", 0xc008b71c}, {"DEVICE_LAB", 0xc0b8b71d},  {"INFO", 0xc1f8b720},
    {"POPULATE", 0xc028b721},     {"UNMAP", 0xc028b722},       {"PROTECT", 0xc028b723},
    {"VIEW_ADD", 0xc010b724},     {"VIEW_DROP", 0xc008b725},   {"ACCESS", 0xc028b726},
    {"MAP_VIEW", 0xc008b727},     {"SETTLE", 0x0000b728},      {"SPLIT", 0xc028b729},
    {"MERGE", 0xc028b72a},        {"MIGRATE", 0xc028b72b},     {"HARVEST", 0xc028b72c},
    {"RANGES", 0xc038b72d},       {"VCPU", 0xc0a0b738},        {"DEVICE", 0xc0b8b73c},
    {"VCPU_RUN", 0xc078b748},     {"DMA", 0xc060b74c},         {"DEVICE_INVALIDATE", 0xc010b74d},
};

Numbers listed_requests()
{
  return {
#define ROW(name, structure, target, reserved) {#name, MORSEL_IOC_##name},
      MORSEL_REQUESTS(ROW)
#undef ROW
  };
}

TEST(Abi, KeepsTheNumbersAndSizesOfRequests) { expect_kept("request", golden_requests, listed_requests()); }

TEST(Abi, ListsEveryRequestOfItsHeaders)
{
  const char* const folder = std::getenv("MORSEL_ABI_HEADERS");
  ASSERT_NE(folder, nullptr);
  const std::regex definition("#define MORSEL_IOC_(\\w+) _IO");
  std::set<std::string> defined, listed;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".h") continue;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    for (std::sregex_iterator at(text.begin(), text.end(), definition), end; at != end; ++at) defined.insert((*at)[1]);
  }
  for (const auto& [name, number] : listed_requests()) listed.insert(name);
  EXPECT_GE(defined.size(), golden_requests.size()) << folder;
  EXPECT_EQ(defined, listed) << "engine/abi/morsel_requests.h lists all requests: tests go through them by it";
}

template <class S>
constexpr std::size_t place_of_reserved()
{
  if constexpr (requires(S s) { s.reserved; })
    return offsetof(S, reserved);
  else
    return MORSEL_NO_FIELD;
}

template <class S>
void expect_listed_as_it_is(const char* name, unsigned long number, std::size_t reserved)
{
  if constexpr (std::is_same_v<S, morsel_no_structure>) {
    EXPECT_EQ(_IOC_SIZE(number), 0u) << name;
    EXPECT_EQ(reserved, 0u) << name;
  } else {
    EXPECT_EQ(_IOC_SIZE(number), sizeof(S)) << name;
    EXPECT_EQ(offsetof(S, size), 0u) << name << ": a structure begins with its size";
    EXPECT_EQ(reserved, place_of_reserved<S>()) << name << ": tests look for its reserved field there";
  }
}

TEST(Abi, ListsStructuresAndReservedFieldsOfRequestsAsTheyAre)
{
#define ROW(name, structure, target, reserved) expect_listed_as_it_is<structure>(#name, MORSEL_IOC_##name, reserved);
  MORSEL_REQUESTS(ROW)
#undef ROW
}

TEST(Abi, KeepsTheSizesOfWhatRequestsPointTo)
{
  expect_kept("bytes of struct",
              {{"morsel_run", 24}, {"morsel_view_info", 24}, {"morsel_gate_actor", 104}, {"morsel_journal_ring", 32}},
              {{"morsel_run", sizeof(morsel_run)},
               {"morsel_view_info", sizeof(morsel_view_info)},
               {"morsel_gate_actor", sizeof(morsel_gate_actor)},
               {"morsel_journal_ring", sizeof(morsel_journal_ring)}});
}

// ---- numbers ----

TEST(Abi, KeepsTheNumbersOfFormats)
{
  const Numbers golden{{"amd64", 1},         {"amd64_l5", 2},         {"npt", 3},
                       {"ept", 4},           {"ept_l5", 5},           {"ept_no_ad", 6},
                       {"ept_mbe", 7},       {"vtd_second_stage", 8}, {"vtd_second_stage_l5", 9},
                       {"amd_iommu_v1", 10}, {"arm64_stage1", 11},    {"arm64_stage2", 12},
                       {"riscv_sv39", 13},   {"riscv_sv48", 14},      {"riscv_sv57", 15},
                       {"riscv_sv39x4", 16}, {"riscv_sv48x4", 17}};
  Numbers found;
  for (const FormatInfo& format : format_table) found[std::string(format.name)] = static_cast<unsigned long>(format.id);
  expect_kept("format", golden, found);
  EXPECT_EQ(MORSEL_FORMAT_AMD64, 1);
  EXPECT_EQ(MORSEL_FORMAT_LAST, static_cast<int>(golden.size()));
}

TEST(Abi, KeepsTheNumbersAndNamesOfPoints)
{
  const std::vector<std::string> golden{
      "enter",        "leave",       "peek",         "descend",   "link",   "load",        "reserve",
      "read_primary", "cancel_move", "read_pending", "publish",   "undo",   "find",        "link_primary",
      "split",        "change",      "cancel_merge", "read_list", "pend",   "walk_view",   "invalidate",
      "flush",        "collect",     "unpend",       "carry",     "retire", "list",        "attach",
      "detach",       "unlist",      "read_size",    "resize",    "mark",   "grace",       "copy",
      "install",      "harvest",     "report",       "persist",   "alloc",  "read_frozen", "freeze",
      "hold",
  };
  Numbers kept, found;
  for (std::size_t i = 0; i < golden.size(); ++i) kept[golden[i]] = i;
  for (const PointInfo& point : all_points) found[std::string(point.name)] = static_cast<unsigned long>(point.point);
  expect_kept("point", kept, found);
}

TEST(Abi, KeepsTheNumbersOfActorsAndFaults)
{
  expect_kept("actor kind",
              {{"none", 0},
               {"caller", 1},
               {"process_primary", 2},
               {"process_view", 3},
               {"vcpu", 4},
               {"iommu", 5},
               {"reclaim", 6}},
              {{"none", MORSEL_ACTOR_NONE},
               {"caller", MORSEL_ACTOR_CALLER},
               {"process_primary", MORSEL_ACTOR_PROCESS_PRIMARY},
               {"process_view", MORSEL_ACTOR_PROCESS_VIEW},
               {"vcpu", MORSEL_ACTOR_VCPU},
               {"iommu", MORSEL_ACTOR_IOMMU},
               {"reclaim", MORSEL_ACTOR_RECLAIM}});
  expect_kept("fault action",
              {{"none", 0}, {"drop", 1}, {"fail", 2}, {"delay", 3}, {"duplicate", 4}, {"corrupt", 5}, {"crash", 6}},
              {{"none", MORSEL_FAULT_NONE},
               {"drop", MORSEL_FAULT_DROP},
               {"fail", MORSEL_FAULT_FAIL},
               {"delay", MORSEL_FAULT_DELAY},
               {"duplicate", MORSEL_FAULT_DUPLICATE},
               {"corrupt", MORSEL_FAULT_CORRUPT},
               {"crash", MORSEL_FAULT_CRASH}});
}

// ---- the journal ----

// In 256 * offset + bytes, so that a field that moves or grows is seen.
#define PLACE(structure, field)                                         \
  {                                                                     \
#field, 256 * offsetof(structure, field) + sizeof(structure::field) \
  }

TEST(Abi, KeepsTheJournalsRecordAndRings)
{
  EXPECT_EQ(sizeof(morsel_journal_record), 64u) << "version " << journal_version << " of the journal has 64 bytes";
  EXPECT_EQ(MORSEL_JOURNAL_MAGIC, 0x4c4e524a53524f4dULL);
  expect_kept(
      "record's field (256 * offset + bytes)",
      {{"sequence", 256 * 0 + 8},
       {"time_ns", 256 * 8 + 8},
       {"object_offset", 256 * 16 + 8},
       {"before", 256 * 24 + 8},
       {"after", 256 * 32 + 8},
       {"actor_id", 256 * 40 + 4},
       {"object_id", 256 * 44 + 4},
       {"point", 256 * 48 + 2},
       {"tree", 256 * 50 + 2},
       {"level", 256 * 52 + 1},
       {"actor_kind", 256 * 53 + 1},
       {"fault_action", 256 * 54 + 1},
       {"reserved", 256 * 55 + 1},
       {"flags", 256 * 56 + 4},
       {"cpu", 256 * 60 + 4}},
      {PLACE(morsel_journal_record, sequence), PLACE(morsel_journal_record, time_ns),
       PLACE(morsel_journal_record, object_offset), PLACE(morsel_journal_record, before),
       PLACE(morsel_journal_record, after), PLACE(morsel_journal_record, actor_id),
       PLACE(morsel_journal_record, object_id), PLACE(morsel_journal_record, point), PLACE(morsel_journal_record, tree),
       PLACE(morsel_journal_record, level), PLACE(morsel_journal_record, actor_kind),
       PLACE(morsel_journal_record, fault_action), PLACE(morsel_journal_record, reserved),
       PLACE(morsel_journal_record, flags), PLACE(morsel_journal_record, cpu)});
  expect_kept(
      "ring's field (256 * offset + bytes)",
      {{"magic", 256 * 0 + 8},
       {"version", 256 * 8 + 4},
       {"record_bytes", 256 * 12 + 4},
       {"cpu", 256 * 16 + 4},
       {"capacity_lg2", 256 * 20 + 4},
       {"written", 256 * 24 + 8}},
      {PLACE(morsel_journal_ring, magic), PLACE(morsel_journal_ring, version), PLACE(morsel_journal_ring, record_bytes),
       PLACE(morsel_journal_ring, cpu), PLACE(morsel_journal_ring, capacity_lg2), PLACE(morsel_journal_ring, written)});
  expect_kept("record's flag", {{"private", 1}, {"table", 2}, {"ungated", 4}, {"lost", 8}},
              {{"private", MORSEL_RECORD_PRIVATE},
               {"table", MORSEL_RECORD_TABLE},
               {"ungated", MORSEL_RECORD_UNGATED},
               {"lost", MORSEL_RECORD_LOST}});
}

#undef PLACE

// ---- entry words ----

constexpr const char* frozen_word =
    "an entry word of version 3 of the ABI has changed: tables, journals and replays of older builds would be misread. "
    "Raise MORSEL_ABI_VERSION and write the new word down here.";

struct Word {
  u64 word;
  EntryKind kind;
};

// reserved: token 0, 0x123456789ab of a stale entry, the largest one; moving: two of them.
const std::vector<Word> golden_words{
    {0, EntryKind::hole},
    {0xf7fffffffffff820, EntryKind::reserved},
    {0xf7f6e5d4c3b2a028, EntryKind::reserved},
    {0xf000000000000020, EntryKind::reserved},
    {0xf555edcba9876050, EntryKind::moving},
    {0xf3fffffffffff840, EntryKind::moving},
};

TEST(Abi, KeepsReservedWords)
{
  using namespace software;
  EXPECT_EQ(make_reserved(0, Stale::no), golden_words[1].word) << frozen_word;
  EXPECT_EQ(make_reserved(0x123456789ab, Stale::yes), golden_words[2].word) << frozen_word;
  EXPECT_EQ(max_token, 0xffffffffffffu) << frozen_word;
  EXPECT_EQ(make_reserved(max_token, Stale::no), golden_words[3].word) << frozen_word;
  EXPECT_EQ(reserved_token(golden_words[2].word), 0x123456789abu) << frozen_word;
  EXPECT_TRUE(is_stale(golden_words[2].word)) << frozen_word;
}

TEST(Abi, KeepsMovingWords)
{
  using namespace software;
  EXPECT_EQ(make_moving({PhysAddr{0x123456789000}, rights_rw, 0x155, true}), golden_words[4].word) << frozen_word;
  EXPECT_EQ(max_moving_token, 0x3ffu) << frozen_word;
  EXPECT_EQ(make_moving({PhysAddr{0}, right_read | right_exec, max_moving_token}), golden_words[5].word) << frozen_word;
  const Moving moving = read_moving(golden_words[4].word);
  EXPECT_EQ(moving.frame.value, 0x123456789000u) << frozen_word;
  EXPECT_EQ(moving.token, 0x155u) << frozen_word;
  EXPECT_TRUE(moving.copy_on_write) << frozen_word;
}

TEST(Abi, KeepsMarksOfPresentEntries)
{
  using namespace software;
  EXPECT_EQ(merging_mask, 0x7ff0000000000000u) << frozen_word;
  EXPECT_EQ(copy_on_write_bit, u64{1} << 52) << frozen_word;
  EXPECT_EQ(write_after_copy_bit, u64{1} << 53) << frozen_word;
  EXPECT_EQ(shared_bit, u64{1} << 9) << frozen_word;
  EXPECT_EQ(unpersisted_bit, u64{1} << 10) << frozen_word;
}

TEST(Abi, KeepsTheMeaningOfItsWordsInEveryFormat)
{
  for (const FormatInfo& format : format_table)
    for (Level level = 0; level < format.levels.size(); ++level)
      for (const Word& golden : golden_words)
        EXPECT_EQ(format.kind(golden.word, level), golden.kind)
            << format.name << " level " << int{level} << " word 0x" << std::hex << golden.word << ": " << frozen_word;
}

// Of the primary's format: bit 51:12 the address; P, W, U, A, D, as hardware has them.
TEST(Abi, KeepsEntriesOfThePrimary)
{
  const u64 table = Amd64L4::make_table(PhysAddr{0x123456789000}, 1);
  EXPECT_EQ(table, 0x123456789067u) << frozen_word;
  EXPECT_EQ(Amd64L4::kind(table | software::merging_mask, 1), EntryKind::table) << frozen_word;
  EXPECT_EQ(Amd64L4::make_leaf(PhysAddr{0x123456789000}, 0, {rights_rw, true, true}), 0x8000123456789067u)
      << frozen_word;
}

}  // namespace
}  // namespace morsel
