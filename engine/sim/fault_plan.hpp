// SPDX-License-Identifier: GPL-2.0-or-later
//
// Faults on purpose: counted rules that fire at a point. Names and meaning of the parameters follow Linux's fault
// injection (Documentation/fault-injection): `nth` counts down to the first time, `times` limits how often.
#pragma once
#include <optional>
#include <vector>

#include "engine/abi/morsel_journal.h"
#include "engine/platform/platform.hpp"

namespace morsel::sim {

// What happens to an access instead of an action. Only under exploration.
enum class Twist : u8 {
  none,
  plain,     // a change of an entry is a load and a plain store, which others see later
  blind,     // a compare-and-swap of an entry stores whatever stands there
  old,       // a load of an entry gives what the actor saw there last
  unmarked,  // a reservation does not say that it is stale
  leaf,      // a flush leaves cached pointers to tables alone
  late,      // the access happens behind the actor's next one at the point `until`, or else before it leaves
};

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
  u64 seen = 0;
  u64 fired = 0;
  // Whether what it does depends on what it has done.
  bool counts() const { return nth != 1 || times != ~u64{0}; }
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

  // The rule that decides what happens to this access, if any. Every matching rule counts it; the first that fires
  // decides.
  const FaultRule* find(SyncPoint point, TreeId tree, u32 actor = 0)
  {
    const FaultRule* found = nullptr;
    for (FaultRule& r : rules_) {
      if (r.point != point || (r.tree && *r.tree != tree) || (r.actor && r.actor != actor)) continue;
      ++r.seen;
      if (found || r.seen < r.nth || r.fired >= r.times) continue;
      ++r.fired;
      found = &r;
    }
    return found;
  }
  morsel_fault_action decide(SyncPoint point, TreeId tree)
  {
    const FaultRule* const rule = find(point, tree);
    return rule ? rule->action : MORSEL_FAULT_NONE;
  }

 private:
  std::vector<FaultRule> rules_;
  u32 last_number_ = 0;
};

}  // namespace morsel::sim
