// SPDX-License-Identifier: GPL-2.0-or-later
//
// A virtual CPU of the module (engine/abi/morsel_vcpu.h) on tables that this program makes itself: the lab, 2 MiB of
// memory that holds the tables, the pages they map, and a guest's own tables. So each bit of an entry can be tried, and
// what hardware sets in it is seen.
//
//   guest-physical  1 GiB..    the place under test: level_0[0], or another word on the way there
//                   2 GiB..    the whole lab, writable, by one 2-MiB leaf
//   guest-virtual   as guest-physical; and by 4-KiB pages of its own from `small_pages`: first the place under test,
//                   then the lab. INVLPG there concerns one page, where a page of 1 GiB would take everything with it.
#pragma once
#include <span>
#include <string>

#include "engine/abi/morsel_vcpu.h"
#include "engine/format/format.hpp"
#include "engine/inspect/physical_memory.hpp"

namespace morsel::guest {

inline constexpr u64 tested_place = u64{1} << 30;
inline constexpr u64 lab_place = u64{2} << 30;
inline constexpr u64 small_pages = u64{3} << 39;
inline constexpr u64 small_lab = small_pages + (u64{1} << 20);  // of its first 256 pages

// Pages of the lab.
enum LabPage : u32 {
  lab_root,
  lab_level_2,
  lab_level_1,
  lab_level_0,
  lab_level_1_of_lab,
  lab_guest_pml4,  // for the inspector: hardware has the guest's own, of which it is a copy
  lab_guest_pdpt,
  lab_guest_pd,
  lab_guest_pt,
  lab_first_free = 10,
  lab_reset_pages = 16,
  lab_pages = 512
};

// A vCPU that cannot be had throws this: the errno, and the module's words.
struct NoVcpu {
  int number;
  std::string reason;
};

// How the entries of the lab's tables are made.
struct LabFormat {
  FormatId id;
  u64 (*table)(PhysAddr table, Level level);
  u64 (*leaf)(PhysAddr frame, Level level, LeafAttributes attributes);
};
template <PageFormat F>
inline constexpr LabFormat lab_format{
    F::id, [](PhysAddr table, Level level) { return F::make_table(table, level); },
    [](PhysAddr frame, Level level, LeafAttributes attributes) { return F::make_leaf(frame, level, attributes); }};

class Lab {
 public:
  explicit Lab(const LabFormat& format);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  // As at the beginning: the tables lead to level_0, which maps nothing; the first pages that are free are empty.
  void reset();
  u64* page(u32 number) { return words_ + u64{number} * 512; }
  PhysAddr address(u32 number) const { return {physical_ + u64{number} * page_bytes}; }
  u64& tested() { return page(lab_level_0)[0]; }
  static u64 small_pages_entry();  // of the guest's PML4, good
  // Where the guest finds a word of the lab by a 4-KiB page.
  u64 small_address(const u64& word) const { return small_lab + static_cast<u64>(&word - words_) * sizeof(u64); }
  inspect::PhysicalMemory memory() const;
  inspect::PhysicalMemory guest_memory() const;  // the same, by guest-physical addresses

  // An access at guest-physical `place`, with nothing cached from before unless `flags` say otherwise.
  morsel_vcpu_run access(Rights right, u64 place, u64 value = 0, u32 flags = MORSEL_VCPU_FLUSH);
  // An access in user mode at a guest-virtual address: `top` is the PML4's entry for it, from the fourth on. What is
  // executed is the end of the program, which a page has to begin with (`numbered`).
  morsel_vcpu_run access_in_guest(Rights right, u64 top, u64 address, u64 value = 0);
  static constexpr u32 top_index(u64 address) { return address >> 39 & 511; }
  // A word that names a page, and is the end of a program.
  u64 numbered(u32 number) const { return u64{number} << 24 | ending_; }
  // A program of one entry into guest mode, without its ending: it is tried again when an interrupt of the host has cut
  // it in two. `prepare` puts things into place before each try. The guest has its small pages then. rdx points to the
  // scratch page, whose first word is in the reply.
  template <class Prepare>
  morsel_vcpu_run uninterrupted(std::span<const u8> code, u64 rax, u64 rbx, Prepare prepare)
  {
    for (;;) {
      prepare();
      const morsel_vcpu_run run = run_code(code, rax, rbx, {small_pages_entry(), top_index(small_pages)}, 0);
      if (run.interrupts == 0) return run;
    }
  }

 private:
  struct TopEntry {
    u64 word;
    u32 index;
  };
  morsel_vcpu_run run_code(std::span<const u8> code, u64 rax, u64 rbx, TopEntry top, u32 flags);
  morsel_vcpu_run run(morsel_vcpu_run request);

  const LabFormat format_;
  int fd_ = -1;
  u32 ending_ = 0;
  u64 physical_ = 0;
  u64* words_ = nullptr;
};

}  // namespace morsel::guest
