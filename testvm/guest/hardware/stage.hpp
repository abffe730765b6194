// SPDX-License-Identifier: GPL-2.0-or-later
//
// What is under test in a lab: the tables of a view, walked by the machine's second stage, or the guest's own tables,
// walked in user mode as those of a process are.
#pragma once
#include "engine/format/amd64.hpp"
#include "testvm/guest/hardware/lab.hpp"

namespace morsel::guest {

// Marks are seen in the lab's entries of these levels. The topmost one is a copy elsewhere: in the root that hardware
// is given, or in the guest's PML4.
inline constexpr Level seen_levels = 3;

template <class F>
struct SecondStage {
  using Format = F;
  static constexpr u32 tables[] = {lab_level_0, lab_level_1, lab_level_2, lab_root};  // by level
  static constexpr u32 index[] = {0, 0, 1, 0};                                        // the way to `place`
  static constexpr u64 place = tested_place;
  static constexpr u64 first_place = u64{3} << 30, last_place = u64{1} << 39;  // where else there may be one
  static u64 address(const Lab& lab, u32 page) { return lab.address(page).value; }
  static inspect::PhysicalMemory memory(const Lab& lab) { return lab.memory(); }
  static morsel_vcpu_run access(Lab& lab, Rights want, u64 place, u64 value = 0)
  {
    return lab.access(want, place, value);
  }
};

struct OwnStage {
  using Format = Amd64L4;
  static constexpr u32 tables[] = {lab_guest_pt, lab_guest_pd, lab_guest_pdpt, lab_guest_pml4};
  static constexpr u32 index[] = {0, 0, 0, 3};
  static constexpr u64 place = small_pages;
  static constexpr u64 first_place = small_pages, last_place = u64{1} << 48;  // those of higher half are made canonical
  static u64 address(const Lab&, u32 page) { return lab_place + u64{page} * page_bytes; }
  static inspect::PhysicalMemory memory(const Lab& lab) { return lab.guest_memory(); }
  static morsel_vcpu_run access(Lab& lab, Rights want, u64 place, u64 value = 0)
  {
    return lab.access_in_guest(want, lab.page(lab_guest_pml4)[Lab::top_index(place)], place, value);
  }
};

}  // namespace morsel::guest
