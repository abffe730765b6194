// SPDX-License-Identifier: GPL-2.0-or-later
//
// The machine under exploration: memory whose pages know what they are, pessimistic hardware for every tree, grace
// periods that end as early as they may, and the invariants.
//
// Its whole state is `core`, the hardware, and what the undo log covers; save() and restore() go back to earlier ones,
// last saved first.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "engine/morsel/all.hpp"
#include "engine/sim/explored_memory.hpp"
#include "engine/sim/hardware.hpp"
#include "engine/sim/scenario.hpp"

namespace morsel::sim {

std::string tree_name(TreeId id);

class ExploredWorld {
  UndoLog log_;  // before what writes to it

 public:
  explicit ExploredWorld(const Scenario& scenario);
  ExploredWorld(const ExploredWorld&) = delete;
  ExploredWorld& operator=(const ExploredWorld&) = delete;

  // A store that its actor has done and nobody else can see yet.
  struct DelayedStore {
    EntryRef entry;
    u64 value;
  };
  struct StoreBuffer {
    std::array<DelayedStore, 4> stores{};  // oldest first
    u32 count = 0;
  };
  // What was retired together. `waits_for`: a bit for each actor that was inside a section then and has not left.
  struct Batch {
    u32 first;  // in nodes_, plus 1
    u8 waits_for;
  };
  struct Copy {
    PhysAddr from, to;
    Level level;
    bool outdated;  // somebody could write `from` after it was copied
  };
  struct Core {
    Object object;
    Object base;  // of the object, if it is a clone
    std::array<View, max_views> views{};
    std::array<bool, max_views + 1> exists{}, attached{};  // trees that hardware knows; whose root it has
    u32 changes_in_flight = 0;                             // operations on the primary between their begin and return
    u8 inside = 0;                                         // a bit for each actor inside a grace section
    std::array<u8, max_owners> waits_for{};                // of an actor in wait_for_grace_period
    std::array<Batch, 16> batches{};
    u32 batch_count = 0;
    std::array<Copy, 4> copies{};
    u32 copy_count = 0;
    u32 nodes = 0;
    std::array<u32, max_owners> tokens{};
    std::array<StoreBuffer, max_owners> buffers{};
    u32 changed_trees = 0;  // a bit for each tree whose walkers may see something new
    bool check_due = false;
  };
  Core core;

  // Where a tree stands. The engine keeps pointers to these.
  Object& object() { return core.object; }
  View& view(TreeId id) { return core.views[id - 1u]; }
  Tree& tree(TreeId id) { return id == primary_tree ? core.object.primary : view(id).tree; }
  bool walked(TreeId id) const { return core.attached[id]; }
  // Those that walk a tree: each core has its own caches. An actor uses the core of its number.
  std::span<Hardware> cores(TreeId id) { return std::span(hardware_).subspan(id * scenario.cores, scenario.cores); }
  u32 core_of(u32 actor) const { return (actor + scenario.cores - 1) % scenario.cores; }
  View& make_view(TreeId id);
  void attach(TreeId id, bool attached);

  // Called by a platform; `actor` is its number. Violations are kept; the first counts.
  u64* table_words(PhysAddr table);
  void check_in_table(const u64* word);
  void write_entry(const EntryRef& e, u64 value);
  void enter(u32 actor) { core.inside |= static_cast<u8>(1u << actor); }
  void leave(u32 actor);
  void begin_wait(u32 actor);
  bool waits(u32 actor) const { return core.waits_for[actor] != 0; }
  u32 note(u32 list, const RetiredTable& table);
  u32 note(u32 list, PhysAddr frame, Level level);
  template <class Visitor>
  void for_each_table(u32 list, Visitor&& visit) const
  {
    for (; list; list = nodes_[list - 1].next)
      if (nodes_[list - 1].is_table) visit(nodes_[list - 1].table);
  }
  void retire(u32 list);
  u32 sweep(u32 list);
  // A batch whose grace period ends when this actor leaves; one with tables.
  bool frees_by_leaving(u32 actor) const;
  bool frees_tables_by_leaving(u32 actor) const;
  // A flush reaches the cores one after the other; the last is behind `cores_reached`.
  void begin_flush(u32 actor, TreeId tree);
  u32 cores_reached() const { return scenario.local_flush ? 1 : scenario.cores; }
  void end_flush(u32 actor, u32 turn, const FlushRequest& request, Hardware::Pointers pointers);
  void forget(TreeId tree)  // a flush while nobody else is there
  {
    for (Hardware& walker : cores(tree)) walker = {};
  }
  void carry(PhysAddr frame, Level level);
  bool take_dirty(PhysAddr frame);
  void copy_frame(PhysAddr from, PhysAddr to, Level level);
  void forget_writes(PhysAddr frame, Level level);
  bool is_moving_watched(PhysAddr frame, Level level);
  // For each watched page in the range: its frame, if that was written and the dirty log has not told it yet; else 0.
  std::array<PhysAddr, max_hardware_pages> written_frames(Range range);
  // A fill's leaf stands there now; it has come to its end: nobody's walker may hold that the page is absent.
  void published(u32 actor, const EntryRef& e);
  void check_new_leaves(u32 actor);
  void check_harvest(const std::array<PhysAddr, max_hardware_pages>& due, u32 reported);
  std::size_t acts_of(Act::Kind kind) const;
  bool write(u32 actor, TreeId id, u64 page);  // by hardware
  void read(u32 actor, TreeId id, u64 page);   // ... where it may
  void violation(const std::string& what)
  {
    if (violation_.empty()) violation_ = what;
  }
  void free_table(PhysAddr table, u32 order);
  void free_frame(PhysAddr frame, Level level);
  u64 token(u32 actor);
  // The rule that fires at this access, if any.
  const FaultRule* fault(SyncPoint point, TreeId tree, u32 actor, u8 whens);
  bool looks_early(SyncPoint at) const;  // a rule wants the pending counts as they are now
  bool has_faults() const { return !faults_.rules().empty(); }
  const std::vector<FaultRule>& fault_rules() const { return faults_.rules(); }
  const u64* delayed(u32 actor, const u64* word) const;  // the newest store of the actor to this word
  void delay(u32 actor, const EntryRef& e, u64 value);
  void drain_one(u32 actor);
  void drain(u32 actor)
  {
    while (core.buffers[actor].count) drain_one(actor);
  }

  // After every step: release what is over, let hardware cache, check.
  void settle();
  void check_end();
  const std::string& violated() const { return violation_; }

  struct Saved {
    UndoLog::Mark mark;
    std::size_t where = 0;
    u32 fresh = 0;
  };
  Saved save(std::vector<std::byte>& buffer) const;
  void restore(const Saved& saved, const std::vector<std::byte>& buffer);
  u64 hash() const;

  const Scenario& scenario;
  ExploredMemory memory;
  // What the last step touched besides what could be known before.
  std::vector<PhysAddr> freed_tables;
  std::vector<const u64*> dirtied;  // entries whose A or D bit was set

 private:
  struct Node {
    u32 next;
    bool is_table;
    bool alone;  // a table without what hangs below it
    RetiredTable table;
    PhysAddr frame;
    Level level;
  };
  void release_expired();
  void release_list(u32 list);
  u32 sweep_table(u32 list, const RetiredTable& table);
  void check_caches();
  void assume_writes(const Hardware& walker);
  const CachedLeaf* disagreement(TreeId id, const Hardware& one, const Hardware& two) const;
  void check_mirror(TreeId id, const Hardware& walker, std::span<const Expected<Leaf>> truth);
  void check_copies(std::span<const Expected<Leaf>> truth);
  void forget_copy(PhysAddr to);
  bool has_evidence(PhysAddr frame);
  u64 hash_of_list(u32 list) const;

  FaultPlan faults_;
  TreeId trees_ = 0;
  std::vector<Hardware> hardware_;  // by tree, then by core
  std::vector<Node> nodes_;
  std::string violation_;
};

}  // namespace morsel::sim
