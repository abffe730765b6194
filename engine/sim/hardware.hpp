// SPDX-License-Identifier: GPL-2.0-or-later
//
// A pessimistic model of the hardware that walks a tree: everything that any walker may hold in a TLB or in a cache of
// intermediate tables. Caching is eager (more cached translations only ever mean more behaviour), so it needs no steps
// of its own; only setting an accessed or dirty bit is one. A flush removes what was cached before it began.
// One of these stands for one core, which is a CPU's or a device's walker with caches of its own.
//
// Accessed and dirty bits are the format's: hardware sets them (amd64, npt, ept); nobody does, and whatever may be
// written counts as written (ept_no_ad, vtd, amd_iommu); or software does, and an access without them faults (arm64
// without FEAT_HAFDBS, RISC-V with Svade).
//
// Plain data without pointers: a state is saved by copying it.
#pragma once
#include <array>
#include <span>

#include "engine/sim/explored_memory.hpp"
#include "engine/table/tree.hpp"

namespace morsel::sim {

// `fresh`: bit i is set if a flush by actor i is under way and this was cached anew since it began: by a walk from the
// root, or from a table that was itself cached anew (a walker that still holds an old pointer has not flushed yet).
struct CachedLeaf {
  u64 page;        // byte offset of the 4-KiB page
  PhysAddr frame;  // of that page
  Level level;     // of the leaf it came from
  Rights rights;
  bool dirty;  // D was set when it was cached, or set through it: writes leave no trace in the tables any more
  u8 fresh;
  bool same(const CachedLeaf& o) const
  {
    return page == o.page && frame == o.frame && level == o.level && rights == o.rights && dirty == o.dirty;
  }
};

struct CachedTable {
  u64 offset;  // what it covers begins here
  PhysAddr table;
  Level level;  // of the table
  u8 fresh;
  bool same(const CachedTable& o) const { return offset == o.offset && table == o.table && level == o.level; }
};

// That a page is absent, in formats whose walkers may hold that (virtual IOMMUs, RISC-V). `missed`: bit i is set if
// actor i has published a leaf for it since; until a flush its walkers miss that.
struct CachedAbsence {
  u64 page;
  u8 fresh;
  u8 missed;
  bool same(const CachedAbsence& o) const { return page == o.page; }
};

// A set that is searched from end to end: it is small.
template <class T, std::size_t Capacity>
class SmallSet {
 public:
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + count_; }
  T& operator[](std::size_t i) { return items_[i]; }
  std::size_t size() const { return count_; }
  // Adds it, or adds its `fresh` bits to the same one. False: full.
  bool insert(const T& item)
  {
    for (u32 i = 0; i < count_; ++i)
      if (items_[i].same(item)) return items_[i].fresh |= item.fresh, true;
    if (count_ == Capacity) return false;
    items_[count_++] = item;
    return true;
  }
  template <class Predicate>
  void remove_if(Predicate&& gone)
  {
    u32 kept = 0;
    for (u32 i = 0; i < count_; ++i)
      if (!gone(items_[i])) items_[kept++] = items_[i];
    count_ = kept;
  }

 private:
  std::array<T, Capacity> items_;
  u32 count_ = 0;
};

class Hardware {
 public:
  const SmallSet<CachedLeaf, 40>& leaves() const { return leaves_; }
  const SmallSet<CachedTable, 24>& tables() const { return tables_; }
  const SmallSet<CachedAbsence, 8>& absences() const { return absences_; }
  u64 hash() const;

  // Caches all that a walker can reach of these pages now: from the root if it is attached, and from every cached
  // table. False: there is more than the model can hold.
  bool observe(const ExploredMemory& memory, const Tree& tree, bool attached, std::span<const u64> pages);

  // A flush in two moments, at most one by each actor at once. What is cached anew in between stays.
  enum class Pointers : u8 { forgotten, kept };  // to tables
  void begin_flush(u32 actor);
  void end_flush(u32 actor, Range range, Pointers pointers);

  // An actor has published a leaf for these pages, and its fill has come to its end.
  void published(u32 actor, Range pages);
  void fill_ended(u32 actor);

  // One write through a cached translation. If it is not dirty yet, hardware walks again to set D: false if that walk
  // no longer finds the leaf, so that the write faults. `changed`: the entry whose bits were set, if any.
  bool write(ExploredMemory& memory, const Tree& tree, bool attached, u64 page, PhysAddr& written, u64*& changed);
  // One read, whose walk sets A if the leaf that is cached still stands there.
  void read(ExploredMemory& memory, const Tree& tree, bool attached, u64 page, u64*& changed);

 private:
  template <PageFormat F>
  bool walk(const ExploredMemory& memory, PhysAddr table, Level level, u64 page, u8 fresh);
  template <PageFormat F>
  bool observe_as(const ExploredMemory& memory, const Tree& tree, bool attached, std::span<const u64> pages);
  template <PageFormat F>
  u64* set_bits(ExploredMemory& memory, const Tree& tree, bool attached, const CachedLeaf& leaf, Rights needed,
                u64 bits);
  bool observe_absence(u64 page, u8 fresh);

  SmallSet<CachedLeaf, 40> leaves_;
  SmallSet<CachedTable, 24> tables_;
  SmallSet<CachedAbsence, 8> absences_;
  u8 flushing_ = 0;  // a bit for each actor
};

}  // namespace morsel::sim
