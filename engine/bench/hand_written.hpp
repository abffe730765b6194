// SPDX-License-Identifier: GPL-2.0-or-later
//
// L: what the engine is measured against. Loops written by hand for one format (AMD64 from a PUD table down, an
// EPT-like view beside it), with only the checks that the job needs, on the same memory and the same accesses as the
// engine's platform. They share no code with engine/format, engine/table and engine/morsel.
//
// What L contains, job by job:
//   translate     present at each level, large leaf or table; returns the frame of the page
//   map           bounds; hole or not; missing tables taken, zeroed and linked; a frame for each page
//   unmap         bounds; mapped or not; each frame to the list of what is freed later; pages counted
//   protect       mapped or not; other rights or not; pages counted
// One call a page, a real one: alignment, bounds and rights; the grace section; frozen, attached; the walk from the
// root with the marks of its tables; after the change the list of views and (map) the size. Live (anybody may reach the
// object): each change is a locked compare-and-swap. Where the engine must tell views, L does the one exchange for each
// leaf that this costs.
#pragma once
#include "engine/bench/bench_platform.hpp"

namespace morsel::bench {

template <Access A>
class HandWritten {
  using W = Word<A>;

 public:
  static constexpr u64 present = 1, write = 2, user = 4, accessed = 0x20, dirty = 0x40, large = 0x80;
  static constexpr u64 no_execute = u64{1} << 63, address = 0x000f'ffff'ffff'f000;
  static constexpr u64 leaf_rw = present | write | user | accessed | no_execute;
  static constexpr u64 table_bits = present | write | user | accessed | dirty;
  static constexpr u64 table_marks = 0x7ff0'0000'0000'0200;  // a merge waits, or a base owns the table
  static constexpr u64 table_pages = 512;

  HandWritten(Pool& pool, u64 bytes) : pool_(pool), bytes_(bytes), root_(pool.table().value) {}
  HandWritten(Pool& pool, u64 bytes, u64 root) : pool_(pool), bytes_(bytes), root_(root) {}
  u64 root() const { return root_; }

  // 0: not mapped.
  u64 translate(u64 offset) const
  {
    u64 table = root_;
    for (unsigned shift = 30;; shift -= 9) {
      const u64 word = W::load(at(table, offset, shift));
      if (!(word & present)) return 0;
      if (shift == 12) return word & address;
      const u64 inside = (u64{1} << shift) - 1;
      if (word & large) return (word & address & ~inside) | (offset & inside & address);
      table = word & address;
    }
  }

  // Holes of a range; false if something is mapped there.
  bool map_range(u64 start, u64 end)
  {
    if (start >= end || end > bytes_) return false;
    for (u64 offset = start; offset < end; offset += table_pages << 12) {
      u64* const entry = middle(offset);
      if (!entry) return false;
      const u64 count = std::min<u64>(table_pages, (end - offset) >> 12);
      const u64 word = W::load(*entry);
      if (word == 0) {
        const u64 table = pool_.table().value;
        u64* const leaves = words(table);
        for (u64 i = 0; i < count; ++i) leaves[i] = pool_.frame(page_bytes).value | leaf_rw;
        if (!W::compare_exchange(*entry, 0, table | table_bits)) return false;
      } else {
        u64* const leaves = words(word & address);
        for (u64 i = 0; i < count; ++i)
          if (!W::compare_exchange(leaves[i], 0, pool_.frame(page_bytes).value | leaf_rw)) return false;
      }
    }
    return true;
  }

  // One page of 4 KiB from `start` to `end`, where `rights` are leaf bits. False if it was mapped already.
  [[gnu::noinline]] bool map_page(u64 start, u64 end, u64 rights)
  {
    if (!one_page(start, end) || !(rights & present)) return false;
    W::enter(pool_);
    bool mapped = false;
    if (u64* const entry = may_change() ? middle(start) : nullptr) {
      u64 word = W::load(*entry);
      if (word == 0) word = link(*entry);
      u64& leaf = at(word & address, start, 12);
      mapped = !(word & table_marks) && W::load(leaf) == 0 &&
               W::compare_exchange(leaf, 0, pool_.frame(page_bytes).value | rights);
    }
    const bool kept = !W::load(views) && end <= W::load(bytes_);
    W::leave(pool_);
    return mapped && kept;
  }

  // The same as libraries without concurrency do it: walk, link what is missing, store. One that was mapped stays.
  [[gnu::noinline]] bool map_page_bare(u64 offset, u64 rights)
  {
    u64* const entry = middle(offset);
    if (!entry) return false;
    const u64 word = W::load(*entry);
    u64& leaf = at((word ? word : link(*entry)) & address, offset, 12);
    return !W::load(leaf) && W::compare_exchange(leaf, 0, pool_.frame(page_bytes).value | rights);
  }

  // Pages that were mapped. Leaf by leaf: the tables stay.
  u64 unmap_range(u64 start, u64 end)
  {
    if (start >= end || end > bytes_) return 0;
    u64* const retired = pool_.retired_frames();
    u64 frames = 0;
    each_leaf(start, end, [&](u64& leaf) {
      const u64 word = W::load(leaf);
      if (word & present && W::compare_exchange(leaf, word, 0)) retired[frames++] = word & address;
    });
    return frames;
  }

  [[gnu::noinline]] u64 unmap_page(u64 start, u64 end)
  {
    if (!one_page(start, end)) return 0;
    W::enter(pool_);
    u64 frames = 0;
    if (const u64 table = may_change() ? walk_to_leaves(start) : 0) {
      u64& leaf = at(table, start, 12);
      const u64 word = W::load(leaf);
      if (word & present && !(word & dirty) && W::compare_exchange(leaf, word, 0))
        pool_.retired_frames()[frames++] = word & address;
    }
    if (W::load(views)) frames = 0;
    W::leave(pool_);
    return frames;
  }

  // The same as libraries without concurrency do it: walk, clear, remember the frame.
  [[gnu::noinline]] u64 unmap_page_bare(u64 offset)
  {
    const u64 table = walk_to_leaves(offset);
    if (!table) return 0;
    u64& leaf = at(table, offset, 12);
    const u64 word = W::load(leaf);
    if (!(word & present) || !W::compare_exchange(leaf, word, 0)) return 0;
    pool_.retired_frames()[0] = word & address;
    return 1;
  }

  // Whole tables of the middle level: one exchange each, and one look at what was in them.
  u64 unmap_subtrees(u64 start, u64 end)
  {
    u64 pages = 0;
    for (u64 offset = start; offset < end; offset += u64{1} << 30) {
      u64& entry = at(root_, offset, 30);
      const u64 word = W::load(entry);
      if (!(word & present) || !W::compare_exchange(entry, word, 0)) continue;
      pool_.unlink({primary_tree, FormatId::amd64, 1, PhysAddr{word & address}});
      for (u64 i = 0; i < table_pages; ++i) {
        const u64 upper = W::load(words(word & address)[i]);
        if (!(upper & present)) continue;
        const u64* const leaves = words(upper & address);
        for (u64 j = 0; j < table_pages; ++j) pages += W::load(leaves[j]) & present;
      }
    }
    return pages;
  }

  // Pages whose rights changed.
  u64 protect_range(u64 start, u64 end, bool may_write)
  {
    if (start >= end || end > bytes_) return 0;
    u64 changed = 0;
    each_leaf(start, end, [&](u64& leaf) {
      const u64 word = W::load(leaf);
      const u64 wanted = (word & ~write) | (may_write ? write : 0);
      if (!(word & present) || word == wanted) return;
      if (W::compare_exchange(leaf, word, wanted)) ++changed;
    });
    return changed;
  }

  // The view's leaves of a range to holes, one exchange each. `view_root` is a table at level 3.
  u64 invalidate_range(u64 view_root, u64 start, u64 end)
  {
    u64 found = 0;
    for (u64 offset = start; offset < end; offset += table_pages << 12) {
      u64 table = view_root;
      for (unsigned shift = 39; shift > 12 && table; shift -= 9) table = W::load(at(table, offset, shift)) & address;
      if (!table) continue;
      for (u64 i = 0; i < table_pages; ++i) {
        u64& leaf = words(table)[i];
        if (W::load(leaf)) found += W::exchange(leaf, 0) != 0;
      }
    }
    return found;
  }

  // Calls visit(offset, word) for each leaf of the range.
  template <class Visit>
  void iterate(u64 start, u64 end, Visit visit) const
  {
    for (u64 offset = start; offset < end; offset += table_pages << 12) {
      const u64 table = walk_to_leaves(offset);
      if (!table) continue;
      const u64* const leaves = words(table);
      for (u64 i = 0; i < table_pages; ++i) {
        const u64 word = W::load(leaves[i]);
        if (word & present) visit(offset + (i << 12), word);
      }
    }
  }

  // What a change of one page must look at: is the object frozen, may processes have its tables, are there views?
  u32 frozen = 0;
  u32 attached = 0;
  u64 views = 0;

 private:
  static u64* words(u64 table) { return reinterpret_cast<u64*>(table); }
  static u64& at(u64 table, u64 offset, unsigned shift) { return words(table)[offset >> shift & 511]; }

  bool one_page(u64 start, u64 end) const
  {
    return ((start | end) & (page_bytes - 1)) == 0 && start + page_bytes == end && end <= W::load(bytes_);
  }
  bool may_change() const { return W::load(frozen) == 0 && W::load(attached) == 0; }

  u64 link(u64& entry)
  {
    const u64 word = pool_.table().value | table_bits;
    return W::compare_exchange(entry, 0, word) ? word : W::load(entry);
  }

  // The entry that points to the table of leaves for `offset`.
  u64* middle(u64 offset)
  {
    u64& top = at(root_, offset, 30);
    u64 word = W::load(top);
    if (word == 0) word = link(top);
    return word & (large | table_marks) ? nullptr : &at(word & address, offset, 21);
  }
  u64 walk_to_leaves(u64 offset) const
  {
    u64 table = root_;
    for (unsigned shift = 30; shift > 12; shift -= 9) {
      const u64 word = W::load(at(table, offset, shift));
      if (!(word & present) || word & (large | table_marks)) return 0;
      table = word & address;
    }
    return table;
  }
  template <class Visit>
  void each_leaf(u64 start, u64 end, Visit visit) const
  {
    for (u64 offset = start; offset < end; offset += table_pages << 12) {
      const u64 table = walk_to_leaves(offset);
      if (!table) continue;
      const u64 count = std::min<u64>(table_pages, (end - offset) >> 12);
      for (u64 i = 0; i < count; ++i) visit(words(table)[i]);
    }
  }

  Pool& pool_;
  const u64 bytes_;
  u64 root_;
};

}  // namespace morsel::bench
