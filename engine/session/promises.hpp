// SPDX-License-Identifier: GPL-2.0-or-later
//
// What an operation owes before it leaves its section, followed in the journal: broken promises leave no trace in
// tables, because what has been cached, forgotten or copied by half stands in none.
//
//   taken out of a view (invalidate, harvest)          → a flush of the view that covers it, before unpend and leave
//   a leaf or table of the primary changed by one who
//   has raised its pending count: hardware walks it    → the same of the primary
//   a stale reservation, made or met                   → the same, before publish, undo or link, but where the new leaf
//                                                        allows all that the old one did
//   a dirty bit removed (change, invalidate, reserve,
//   harvest; met in an unlinked table: collect)        → a carry of the frame, before leave
//   a moved or copied page installed                   → a whole copy to its frame, before
//
// And what everybody owes everybody (outdated_leaves.hpp): until somebody's flush covers a leaf that was taken out of a
// view, no leaf of another frame or size is published for its pages.
//
// The rules are the protocol's (operation.hpp, fill.hpp, migrate.hpp): what breaks them may be an injected fault or a
// mistake. Not followed: the flush of a leaf which replaces none, and of one that is split; for I10 the primary, and
// the leaves of a table that was taken out as a whole.
//
// A section counts from its `enter` on; where records are missing, all are forgotten, so that nobody is accused of
// what was not seen; likewise where more is owed, or under way, than there is room for (a hostile guest).
// What a tree owed goes with it: whoever gets its number next, with a new root, owes nothing.
// Recordings of exploration are not followed: the explorer knows what was cached.
//
// Thread safety: one thread at a time.
#pragma once
#include <array>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "engine/session/journal.hpp"
#include "engine/session/outdated_leaves.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

struct BrokenPromise {
  enum class Kind : u8 { flush, carry, copy, make } kind;
  u32 object = 0;
  TreeId tree = primary_tree;
  FormatId format = FormatId::amd64;
  Range range;               // in the object
  PhysAddr frame;            // carry, copy; make: the new one
  u64 since = 0;             // sequences: of the access that owed it,
  u64 broken = 0;            // and of the one that came too early for it
  std::optional<u64> fault;  // of the injected fault that hit what was owed
};

class Promises {
 public:
  // The next records, and the objects that there are after them; first of all, no record, and those there are before.
  void follow(std::span<const JournalRecord> records, const std::vector<ObjectState>& objects);
  // The sequence of the last record that was followed.
  u64 followed() const { return followed_; }
  // Those of trees that are still there, in the order in which they were broken; of more than `most_kept` the latest.
  const std::vector<BrokenPromise>& broken() const { return broken_; }
  // How many of them are not kept.
  u64 dropped() const;
  static constexpr std::size_t most_kept = 1000;
  static constexpr std::size_t most_sections = 4096;
  static constexpr std::size_t most_held = std::size_t{1} << 20;  // in all of them

 private:
  struct Debt {
    u64 end = 0;     // of the range, or of the frames
    u64 offset = 0;  // in the object; or nowhere, of what was met in an unlinked table
    TreeId tree = primary_tree;
    u64 since = 0;
  };
  static constexpr u64 nowhere = ~u64{0};
  struct Tree {
    FormatId format = FormatId::amd64;
    Level root_level = 0;
  };
  using Trees = std::map<std::pair<u32, TreeId>, Tree>;  // by object and number
  // By where they begin. No two overlap, and what lies side by side is one.
  using Debts = std::map<u64, Debt>;
  // A stale reservation that was made or met, and not flushed yet.
  struct Stale {
    u64 leaf = 0;  // that it stands for; 0: another one's
    u64 since = 0;
  };
  struct Section {
    std::map<TreeId, Debts> flushes;
    std::map<std::pair<TreeId, u64>, Stale> stale;  // by tree and offset
    Debts carries;                                  // by physical address
    std::set<u64> copies;                           // frames that were filled
    bool primary_walked = false;
    std::size_t held() const;
    std::array<std::optional<u64>, 3> faults{};  // by kind
  };
  struct Outdated {
    OutdatedLeaves leaves;
    std::optional<u64> fault;  // the last that hit a flush of that view
  };
  using Kind = BrokenPromise::Kind;

  static bool goes_on(u64 start, const Debt& debt, u64 next_start, const Debt& next);
  static void owe(Debts& debts, u64 start, Debt debt);
  static void pay(Debts& debts, u64 start, u64 end);
  void follow_record(const JournalRecord& record, const Trees& after);
  void follow_section(const JournalRecord& record);
  void follow_leaves(const JournalRecord& record);
  void published(Outdated& outdated, const JournalRecord& record, const FormatInfo& format);
  void forget_all();
  void begin_tree(const JournalRecord& record, const Trees& after);
  void make_room();
  void took(Section& section, const JournalRecord& record, const FormatInfo& format);
  void removed_dirty(Section& section, const JournalRecord& record, const FormatInfo& format);
  void met(Section& section, const JournalRecord& record, const FormatInfo& format);
  void replaced(Section& section, const JournalRecord& record, const FormatInfo& format);
  void flushed(Section& section, const JournalRecord& record);
  void installed(Section& section, const JournalRecord& record);
  void came_before_flush(Section& section, TreeId tree, const JournalRecord& record);
  void left(Section& section, const JournalRecord& record);
  void note(std::optional<u64> fault, Kind kind, const JournalRecord& at, const Debt& debt, u64 start);
  const FormatInfo* format_of(const JournalRecord& record) const;
  static u64 key(const JournalRecord& r) { return u64{r.object_id} << 32 | r.actor_id; }

  std::unordered_map<u64, Section> sections_;  // open ones, by object and actor
  std::map<std::pair<u32, TreeId>, Outdated> outdated_;  // by object and view
  std::size_t held_ = 0;  // at most so much is in all of these
  Trees trees_;
  std::vector<BrokenPromise> broken_;
  std::map<std::pair<u32, TreeId>, u64> dropped_;
  u64 followed_ = 0;
  bool explored_ = false;
};

}  // namespace morsel::session
