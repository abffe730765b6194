// SPDX-License-Identifier: GPL-2.0-or-later
//
// A scenario: what stands when exploration begins, who does what at once, what hardware accesses, and which
// ingredients of the protocol are taken away. As text, words between blanks:
//
//   root:pmd size:4M view:ept view:npt walked watch:p0,p1 populate:p0-1 fill:p0 -- fill:p0,w unmap:p0 drop:flush
//
//   root:pte|pmd|pud  level of the primary's root; pmd without      view:FORMAT|none  a view; one of ept without
//   size:4M           of the object; 4M, or 2M below a pte root     walked            hardware walks the primary too
//   watch:p0,p1       pages that hardware accesses; p0 without      --                before: acts one after the other;
//   same_token        all reservations bear one token,              no_grace          what is retired is reused at once
//                     all moves try the same one first
//   drop:POINT        accesses at this point do not happen          fail:alloc        allocations fail
//   plain: blind: old: ... POINT, late: early: POINT~POINT          other twists (engine/sim/fault_plan.hpp)
//   unfenced:persist  write-backs are not waited for (of crashes)
//   ...@v1 ...@a ...?idle ...#2                                     only in this tree, by this actor, if; only the 2nd
//   slow_release      what is retired is released when all have returned: lawful, and no fault
//   cores:2           every tree is walked by two cores with caches of their own, which a flush reaches in turn; actor
//                     a is on the first, b on the second, c on the first
//   local_flush       a flush reaches only the core that asks for it
//
// behind -- stand the acts (engine/sim/acts.hpp) that run at once, each by an actor of its own: a, b, c ...
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/sim/acts.hpp"
#include "engine/sim/fault_plan.hpp"

namespace morsel::sim {

inline constexpr u32 max_actors = 7;
inline constexpr std::size_t max_hardware_pages = 4;
inline constexpr u64 max_cores = 4;

struct Scenario {
  std::string name;
  u64 bytes = u64{4} << 20;
  Level root_level = 1;
  std::vector<FormatId> views{FormatId::ept};
  bool primary_walked = false;    // hardware walks the primary too
  std::vector<Act> before;        // run one after the other to set the stage
  std::vector<Act> actors;        // run at once
  std::vector<u64> pages{0};      // pages that hardware accesses
  std::vector<FaultRule> faults;  // ingredients taken away
  bool reuse_tokens = false;      // all reservations bear the same token, all moves try the same one first
  bool no_grace_periods = false;  // what is retired is reused at once
  bool slow_release = false;      // what is retired is released when all actors have returned
  u32 cores = 1;                  // that walk each tree
  bool local_flush = false;       // a flush reaches the actor's own core only
};

// Throws session::Failure: which word is wrong, and what it may be.
Scenario parse_scenario(std::string_view text);
std::string to_text(const Scenario& scenario);

}  // namespace morsel::sim
