// SPDX-License-Identifier: GPL-2.0-or-later
//
// Leaves that were taken out of a view, and that its walkers may hold until a flush covers them. Who publishes a leaf
// of another frame or size for their pages before that lets walkers hold two translations of one page (I10).
//
// Thread safety: one thread at a time.
#pragma once
#include <map>
#include <vector>

#include "engine/base/types.hpp"

namespace morsel::session {

class OutdatedLeaves {
 public:
  struct Leaf {
    u64 end = 0;  // of its range, bytes in the object
    u64 frame = 0;
    Level level = 0;
    u64 since = 0;  // the sequence of the record that took it out
  };
  struct Clash {
    Range range;  // of which walkers may hold both
    u64 since = 0;
  };

  void taken_out(u64 start, const Leaf& leaf);
  void flushed(Range range);
  // A leaf is there now: those before it that say otherwise. Each is told once.
  std::vector<Clash> published(u64 start, const Leaf& leaf);
  std::size_t size() const { return leaves_.size(); }

 private:
  using Leaves = std::map<u64, Leaf>;
  Leaves::iterator first_in(Range range);

  Leaves leaves_;  // by where they begin; no two overlap
};

}  // namespace morsel::session
