// SPDX-License-Identifier: GPL-2.0-or-later
//
// What a CPU makes of the entries of AMD64, the primary's format: a guest's own tables, walked in user mode, as a
// process's are. (A process whose tables were made by hand would be Linux's to end.)
#include "testvm/guest/hardware/lab_rows.hpp"

namespace morsel::guest {
namespace {

using Stage = OwnStage;
using F = Stage::Format;

Section entry_section(Lab& lab)
{
  Rows<Stage> rows(lab);
  rows.add("a hole", 0, 0, each_right);
  rows.add("a reserved entry of the protocol", 0, software::make_reserved(77, software::Stale::yes),
           {right_read, right_write});
  rows.add("4-KiB leaf, r--", 0, leaf_of<Stage>(lab, 0, right_read), each_right);
  rows.add("4-KiB leaf, rw-", 0, leaf_of<Stage>(lab, 0, rights_rw), each_right);
  rows.add("4-KiB leaf, rwx", 0, leaf_of<Stage>(lab, 0, rights_all), each_right);
  rows.add("4-KiB leaf, r-x", 0, leaf_of<Stage>(lab, 0, right_read | right_exec), each_right);
  rows.add("4-KiB leaf without U/S", 0, leaf_of<Stage>(lab, 0, rights_all) & ~F::user, each_right);
  rows.add("4-KiB leaf with all that is available to software", 0,
           leaf_of<Stage>(lab, 0, rights_rw) | bits(11, 9) | bits(62, 52), {right_read});
  add_pat_and_large(rows, lab);
  add_addresses_beyond(rows, lab);
  for (const Level level : {Level{1}, Level{2}, Level{3}}) {
    const std::string name = "table at level " + std::to_string(level);
    const u64 table = table_of<Stage>(lab, level);
    rows.add(name + ", r-x", level, table & ~F::writable, each_right);
    rows.add(name + ", rw-", level, table | F::no_execute, each_right);
    rows.add(name + " without U/S", level, table & ~F::user, {right_read});
  }
  rows.add("table at the top with PS", 3, table_of<Stage>(lab, 3) | F::page_size, {right_read});
  return {"Entries",
          "engine/format/amd64.hpp: kind() and access() of the word; of too large addresses APM volume 2, 5.3.1",
          rows.take()};
}

// rax: where the leaf stands. rbx: the page that it maps; rdx: the scratch page.
constexpr u8 touch[] = {0x48, 0x8b, 0x33};                            // mov (%rbx), %rsi
constexpr u8 touch_next[] = {0x48, 0x8b, 0xb3, 0, 0x10, 0, 0};        // mov 0x1000(%rbx), %rsi
constexpr u8 keep[] = {0x48, 0x89, 0x32};                             // mov %rsi, (%rdx)
constexpr u8 clear[] = {0x48, 0xc7, 0x00, 0, 0, 0, 0};                // movq $0, (%rax)
constexpr u8 clear_next[] = {0x48, 0xc7, 0x40, 8, 0, 0, 0, 0};        // movq $0, 8(%rax)
constexpr u8 forbid_writes[] = {0x48, 0x83, 0x20, 0xfd};              // andq $~2, (%rax)
constexpr u8 clear_marks[] = {0x48, 0x83, 0x20, 0x9f};                // andq $~0x60, (%rax)
constexpr u8 exchange[] = {0x48, 0x8b, 0x48, 8,                       // mov 8(%rax), %rcx
                           0x48, 0x89, 0x08};                         // mov %rcx, (%rax)
constexpr u8 flush[] = {0x0f, 0x01, 0x3b};                            // invlpg (%rbx)
constexpr u8 flush_next[] = {0x0f, 0x01, 0xbb, 0, 0x10, 0, 0};        // invlpg 0x1000(%rbx)
constexpr u8 flush_far[] = {0x48, 0xb9, 0,   0, 0, 0, 0, 0x7f, 0, 0,  // mov $0x7f0000000000, %rcx
                            0x0f, 0x01, 0x39};                        // invlpg (%rcx)
constexpr u8 load[] = {0x48, 0x8b, 0x03};                             // mov (%rbx), %rax
constexpr u8 load_next[] = {0x48, 0x8b, 0x83, 0, 0x10, 0, 0};         // mov 0x1000(%rbx), %rax
constexpr u8 store_first[] = {0x48, 0xc7, 0x03, 40, 0, 0, 0};         // movq $40, (%rbx)
constexpr u8 store[] = {0x48, 0xc7, 0x03, 43, 0, 0, 0};               // movq $43, (%rbx)
static_assert((F::accessed | F::dirty) == 0x60 && F::writable == 2);

// In one entry into guest mode the guest changes its own tables, and goes on. It flushes by INVLPG, one page each.
class Invalidations {
 public:
  explicit Invalidations(Lab& lab) : lab_(lab) {}

  void read(const char* what, const char* expected, std::initializer_list<std::span<const u8>> code)
  {
    rows_.push_back({what, expected, read_text(run(code))});
  }
  void write(const char* what, const char* expected, std::initializer_list<std::span<const u8>> code)
  {
    const auto outcome = outcome_of(run(code));
    rows_.push_back(
        {what, expected,
         std::string(outcome_word(outcome)) + ", " + std::to_string(lab_.page(frame_page)[0]) + " stands there"});
  }
  void late(const char* what, const char* expected, std::initializer_list<std::span<const u8>> code)
  {
    const auto end = run(code);
    rows_.push_back({what, expected, "reads " + std::to_string(end.scratch) + ", then " + read_text(end)});
  }
  void marks(const char* what, const char* expected, std::initializer_list<std::span<const u8>> code)
  {
    run(code);
    rows_.push_back({what, expected, leaf() & F::dirty ? "dirty" : "the bit is lost"});
  }
  std::vector<Row> take() { return std::move(rows_); }

 private:
  u64& leaf() { return entry_of<Stage>(lab_, 0); }
  morsel_vcpu_run run(std::initializer_list<std::span<const u8>> code)
  {
    return lab_.uninterrupted(together(code), lab_.small_address(leaf()), Stage::place, [&] {
      lab_.reset();
      for (const u32 page : {frame_page, other_page})
        (&leaf())[page - frame_page] = F::make_leaf({Stage::address(lab_, page)}, 0, {rights_rw, false, false});
      lab_.page(frame_page)[0] = 41;
      lab_.page(other_page)[0] = 42;
    });
  }

  Lab& lab_;
  std::vector<Row> rows_;
};

Section invalidation_section(Lab& lab)
{
  Invalidations rows(lab);
  rows.read("nothing left out: leaf cleared, flushed, read", "absent", {touch, clear, flush, load});
  rows.read("dropped-flush: leaf cleared, read", "reads 41", {touch, clear, load});
  rows.read("wrong-range: leaf cleared, a page of 127 TiB flushed, read", "reads 41", {touch, clear, flush_far, load});
  rows.read("wrong-range: leaf cleared, the next page flushed, read", "reads 41 or absent",
            {touch, clear, flush_next, load});
  rows.read("wrong-range: the next page, whose leaf was cleared too: what it did flush is walked again", "absent",
            {touch, touch_next, clear_next, clear, flush_next, load_next});
  rows.read("the next page, without any flush", "reads 42", {touch, touch_next, clear_next, clear, load_next});
  rows.late("too late: leaf cleared, read, flushed, read", "reads 41, then absent",
            {touch, clear, touch, keep, flush, load});
  rows.read("leaf exchanged, read", "reads 41", {touch, exchange, load});
  rows.read("leaf exchanged, flushed, read", "reads 42", {touch, exchange, flush, load});
  rows.write("leaf becomes r--, written", "allowed, 43 stands there", {store_first, forbid_writes, store});
  rows.write("leaf becomes r--, flushed, written", "denied, 41 stands there", {touch, forbid_writes, flush, store});
  rows.marks("dirty bit cleared, no flush: written again", "the bit is lost", {store, clear_marks, store});
  rows.marks("dirty bit cleared, flushed: written again", "dirty", {store, clear_marks, flush, store});
  return {"Invalidation", "APM volume 2, 5.5.2: what was changed without a flush may still be used; by INVLPG",
          rows.take()};
}

}  // namespace

std::vector<Section> own_stage_sections(const LabFormat& second_stage)
{
  Lab lab(second_stage);
  return {entry_section(lab), marks_section<Stage>(lab, "What hardware sets", "engine/format/amd64.hpp"),
          reshaping_section<Stage>(lab), invalidation_section(lab)};
}

}  // namespace morsel::guest
