// SPDX-License-Identifier: GPL-2.0-or-later
//
// The machine under exploration: memory whose pages know what they are, pessimistic hardware for every tree, grace
// periods that end as early as they may, and the invariants.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/sim/exploration.hpp"
#include "engine/sim/hardware.hpp"
#include "engine/sim/machine.hpp"

namespace morsel::sim {

class ExploredWorld {
 public:
  explicit ExploredWorld(const Scenario& scenario);

  // Called by a platform; `actor` is its number. Violations are kept; the first counts.
  u64* table_words(PhysAddr table);
  void check_in_table(const u64* word);
  void retire(RetiredList retired);
  void enter(u32 actor) { inside_[actor] = true; }
  void leave(u32 actor);
  void carry(PhysAddr frame, Level level);
  void violation(const std::string& what)
  {
    if (violation_.empty()) violation_ = what;
  }
  void free_table(PhysAddr table, u32 order);
  void free_frame(PhysAddr frame, Level level);
  Expected<PhysAddr> allocate_table(u32 order);
  Expected<PhysAddr> allocate_frame(Level level);

  Tree& tree(TreeId id) { return id == primary_tree ? object.primary : views.at(id)->tree; }
  Hardware& hardware(TreeId id) { return hardware_.at(id); }
  bool walked(TreeId id) const { return id == primary_tree ? scenario.primary_walked : attached.at(id); }
  void write(TreeId id, u64 page);

  // After every step: release what is over, let hardware cache, check.
  void settle();
  void check_end();
  const std::string& violated() const { return violation_; }

  View& make_view(TreeId id, FormatId format);

  const Scenario& scenario;
  Object object;
  std::map<TreeId, std::unique_ptr<View>> views;  // kept until the end: a mutator may still hold one
  std::map<TreeId, bool> attached;
  FaultPlan faults;
  u32 primary_changes_in_flight = 0;
  u64 last_token = 0;

 private:
  enum class Use : u8 { none, table, frame };
  struct PageState {
    Use use = Use::none;
    bool written = false;  // the truth: somebody wrote it
    bool carried = false;  // the frame's state says so
  };
  struct Batch {
    RetiredList retired;
    std::vector<bool> waits_for;
  };
  PageState& state(PhysAddr page) { return pages_[arena_.page_number(page)]; }
  void release_expired();
  void check_caches(TreeId id);
  bool has_evidence(PhysAddr frame);
  void set_use(PhysAddr at, u32 pages, Use use);

  Arena arena_;
  std::vector<PageState> pages_;
  std::map<TreeId, Hardware> hardware_;
  std::vector<bool> inside_;
  std::vector<Batch> batches_;
  std::string violation_;
};

}  // namespace morsel::sim
