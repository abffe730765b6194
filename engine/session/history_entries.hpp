// SPDX-License-Identifier: GPL-2.0-or-later
//
// Where the entry of a record stands. A record names it by (object, tree, level, offset); the address follows from the
// way down to it. An actor may be inside a table that somebody else has unlinked meanwhile, so its own way counts, as
// its earlier records tell it; only where they do not, the tree is walked from its root as it was then.
//
// Thread safety: one thread at a time.
#pragma once
#include <array>
#include <map>
#include <optional>
#include <unordered_map>

#include "engine/session/history_image.hpp"
#include "engine/session/journal.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

// The trees that objects have, by object and number.
class TreeTable {
 public:
  // Those of `objects` count first; those of `others` where there is none of the same object and number.
  TreeTable(const std::vector<ObjectState>& objects, const std::vector<ObjectState>& others);
  const inspect::TreeSource* find(u32 object, TreeId tree) const;

 private:
  void add(const std::vector<ObjectState>& objects);
  std::map<std::pair<u32, TreeId>, inspect::TreeSource> trees_;
};

class EntryFinder {
 public:
  // Nothing if the tree has no such table in the image.
  std::optional<TableImage::Index> find(const JournalRecord& record, const inspect::TreeSource& tree,
                                        const TableImage& image) const;
  // To be told every record about an entry, after it was done.
  void passed(const JournalRecord& record, const inspect::TreeSource& tree);
  // The actor has entered or left: what it knew of the way is no longer true.
  void forget(const JournalRecord& record) { ways_.erase(key(record)); }

 private:
  static constexpr std::size_t max_levels = 5, max_ways = 4096;
  struct Step {
    u64 offset = 0;
    PhysAddr table;  // 0: not known
  };
  struct Way {
    TreeId tree = primary_tree;
    std::array<Step, max_levels> tables{};
  };
  // Of one actor in one object: the primary's way and that of the view it works on last.
  struct Ways {
    std::array<Way, 2> of{};
  };
  static u64 key(const JournalRecord& r) { return u64{r.object_id} << 32 | r.actor_id; }
  static std::size_t slot(TreeId tree) { return tree == primary_tree ? 0 : 1; }
  std::unordered_map<u64, Ways> ways_;
};

}  // namespace morsel::session
