// SPDX-License-Identifier: GPL-2.0-or-later
//
// Records by hand, and a machine of three pages: an object of 1 GiB with a root table and one table of leaves.
#pragma once
#include <vector>

#include "engine/inspect/physical_memory.hpp"
#include "engine/morsel/object.hpp"
#include "engine/session/journal.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

inline constexpr u32 small_object = 1;

// A change of an entry of the primary of `small_object`.
inline JournalRecord change(u64 sequence, Level level, u64 offset, u64 before, u64 after)
{
  JournalRecord r{};
  r.sequence = sequence;
  r.object_offset = offset;
  r.before = before;
  r.after = after;
  r.actor_id = 1;
  r.object_id = small_object;
  r.point = MORSEL_POINT_change;
  r.level = level;
  r.actor_kind = MORSEL_ACTOR_CALLER;
  return r;
}

inline u64 leaf(u64 frame) { return PrimaryFormat::make_leaf({frame << page_lg2}, 0, {rights_rw}); }

class SmallMachine {
 public:
  static constexpr u64 start = u64{1} << 20;
  static constexpr PhysAddr root{start}, leaf_table{start + page_bytes}, free_page{start + 2 * page_bytes};

  SmallMachine() : words_(3 * 512)
  {
    words_[0] = PrimaryFormat::make_table(leaf_table, 1);
    memory_ = inspect::PhysicalMemory(
        {{start, words_.size() * sizeof(u64), reinterpret_cast<const std::byte*>(words_.data())}});
  }
  SmallMachine(const SmallMachine&) = delete;
  SmallMachine& operator=(const SmallMachine&) = delete;

  const inspect::PhysicalMemory& memory() const { return memory_; }
  ObjectState state() const
  {
    ObjectState o;
    o.name = "small";
    o.id = small_object;
    o.bytes = u64{1} << 30;
    o.root = root;
    o.root_level = 1;
    return o;
  }

 private:
  std::vector<u64> words_;
  inspect::PhysicalMemory memory_;
};

}  // namespace morsel::session
