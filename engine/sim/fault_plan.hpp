// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults on purpose: counted rules that fire at a point (engine/platform/fault_count.hpp says when).
#pragma once
#include <optional>
#include <vector>

#include "engine/abi/morsel_journal.h"
#include "engine/platform/fault_count.hpp"
#include "engine/platform/platform.hpp"

namespace morsel::sim {

// What happens to an access instead of an action. Only under exploration.
enum class Twist : u8 {
  none,
  plain,     // a change of an entry is a load and a plain store, which others see later
  blind,     // a compare-and-swap of an entry stores whatever stands there
  old,       // a load of an entry or a word gives what the actor saw there before
  unmarked,  // a reservation does not say that it is stale
  leaf,      // a flush leaves cached pointers to tables alone
  late,      // the access happens behind the actor's next one at the point `until`, or else before it leaves
  early,     // a read of a pending count gives what stood there when the actor was at the point `until` last
  alone,     // a change of an entry or a counter is seen by the actor alone
  hidden,    // a load finds a hole where a reservation stands; a compare-and-swap from there replaces the reservation
  wide,      // a load of the primary's table gives the leaf that the table's first entry would be if it were as large
  clean,     // a change stores a leaf without its dirty bit
  asked,     // a flush is no larger than the range that the act is about
  both,      // a report of dirty pages forgets what the verdict at release needs, too
  swept,     // a retired table of a view is enumerated at once; what is linked into it later is forgotten
  ahead,     // a view is found that is not on the list yet
  unfenced,  // a write-back is not waited for: its lines are certain from the next fence on. Of crashes only
};

// What must be true of the actor for a rule to apply. Only under exploration.
enum class When : u8 {
  always,
  idle,      // it has changed nothing of the primary inside its section
  kept,      // it has taken no table away inside its section
  reserved,  // the last that it took from a view was a reservation that is not stale
  stale,     // ... a stale reservation
  dirty,     // the last that it stored in a view was a leaf with its dirty bit
};
constexpr u8 bit_of(When when) { return static_cast<u8>(1u << static_cast<u8>(when)); }

struct FaultRule {
  u32 number = 0;
  SyncPoint point = SyncPoint::invalidate;
  morsel_fault_action action = MORSEL_FAULT_DROP;
  std::optional<TreeId> tree{};  // empty: any
  u64 nth = 1;                   // fires at the nth matching access
  u64 times = 1;
  Twist twist = Twist::none;  // not none: `action` is none
  SyncPoint until = SyncPoint::leave;
  u32 actor = 0;  // not zero: of this actor only
  When when = When::always;
  std::optional<Range> range{};  // empty: any offset
  u64 interval = 1;              // of the accesses from the nth on, at every so many
  u32 probability = 100;         // percent
  u64 seed = 0;
  u64 bits = 0;  // MORSEL_FAULT_CORRUPT: flipped in what is stored
  u32 object = 0;  // its id; not zero: of this object only
  u64 seen = 0;
  u64 fired = 0;
  // Whether what it does depends on what it has done.
  bool counts() const { return nth != 1 || times != ~u64{0}; }
  // Whether it fires at the access that was seen last.
  bool due() const { return FaultCount{nth, times, interval, probability, seed, seen, fired}.due(); }
};

// What a rule is compared with.
struct FaultAccess {
  SyncPoint point;
  TreeId tree;
  u32 actor = 0;
  u8 whens = bit_of(When::always);
  Range span{};        // of the entry; empty: the access has no place, and rules with a range do not match
  bool reads = false;  // nothing can be left out or spoilt: only the machine may end here
  u32 object = 0;      // its id
};

class FaultPlan {
 public:
  u32 add(FaultRule rule)
  {
    rule.number = ++last_number_;
    rules_.push_back(rule);
    return rule.number;
  }
  void clear() { rules_.clear(); }
  const std::vector<FaultRule>& rules() const { return rules_; }
  std::vector<FaultRule>& rules() { return rules_; }

  bool empty() const { return rules_.empty(); }

  // The rule that decides what happens to this access, if any. Every matching rule counts it; the first that fires
  // decides.
  const FaultRule* find(const FaultAccess& a)
  {
    const FaultRule* found = nullptr;
    for (FaultRule& r : rules_) {
      if (r.point != a.point || (r.tree && *r.tree != a.tree) || (r.actor && r.actor != a.actor)) continue;
      if (!(a.whens & bit_of(r.when)) || (r.range && !r.range->overlaps(a.span))) continue;
      if (r.object && r.object != a.object) continue;
      if (a.reads && r.action != MORSEL_FAULT_CRASH) continue;
      ++r.seen;
      if (found || !r.due()) continue;
      ++r.fired;
      found = &r;
    }
    return found;
  }

  morsel_fault_action decide(SyncPoint point, TreeId tree)
  {
    const FaultRule* const rule = find({.point = point, .tree = tree});
    return rule ? rule->action : MORSEL_FAULT_NONE;
  }

 private:
  std::vector<FaultRule> rules_;
  u32 last_number_ = 0;
};

}  // namespace morsel::sim
