// SPDX-License-Identifier: GPL-2.0-or-later
//
// A pessimistic model of the hardware that walks a tree: everything that any walker may hold in a TLB or in a cache of
// intermediate tables. Caching is eager (more cached translations only ever mean more behaviour), so it needs no steps
// of its own; only setting a dirty bit is one. A flush removes what was cached before it began.
#pragma once
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "engine/sim/arena.hpp"
#include "engine/table/tree.hpp"

namespace morsel::sim {

struct CachedLeaf {
  u64 page;        // byte offset of the 4-KiB page
  PhysAddr frame;  // of that page
  Level level;     // of the leaf it came from
  Rights rights;
  bool dirty;  // D was set when it was cached, or set through it: writes leave no trace in the tables any more
  auto key() const { return std::tuple(page, frame.value, level, rights.bits(), dirty); }
  bool operator<(const CachedLeaf& o) const { return key() < o.key(); }
};

struct CachedTable {
  Level level;  // of the table
  u64 offset;   // what it covers begins here
  PhysAddr table;
  auto key() const { return std::tuple(level, offset, table.value); }
  bool operator<(const CachedTable& o) const { return key() < o.key(); }
};

class Hardware {
 public:
  // Only these pages are ever accessed.
  Hardware(Arena& arena, std::vector<u64> pages) : arena_(arena), pages_(std::move(pages)) {}

  const std::set<CachedLeaf>& leaves() const { return caches_.leaves; }
  const std::set<CachedTable>& tables() const { return caches_.tables; }

  // Caches all that a walker can reach now: from the root if it is attached, and from every cached table.
  void observe(const Tree& tree, bool attached);

  // A flush in two moments, several at once. What is cached anew in between stays: by walks from the root, or from a
  // table that was itself cached anew (a walker that still holds an old pointer has not flushed yet).
  using FlushId = u64;
  FlushId begin_flush();
  void end_flush(FlushId flush, Range range);

  // One write through a cached translation. If it is not dirty yet, hardware walks again to set D: false if that walk
  // no longer finds the leaf, so that the write faults.
  bool write(const Tree& tree, bool attached, u64 page, PhysAddr& written);

 private:
  struct Caches {
    std::set<CachedLeaf> leaves;
    std::set<CachedTable> tables;
  };
  template <PageFormat F>
  void observe_into(Caches& caches, const Tree& tree, bool attached);
  template <PageFormat F>
  void walk(Caches& caches, PhysAddr table, Level level, u64 page);
  template <PageFormat F>
  bool set_dirty(PhysAddr table, Level level, const CachedLeaf& leaf);

  Arena& arena_;
  std::vector<u64> pages_;
  Caches caches_;
  std::map<FlushId, Caches> fresh_;  // for each flush under way: what was cached anew since it began
  FlushId last_flush_ = 0;
};

}  // namespace morsel::sim
