// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/hardware.hpp"

#include "engine/table/walker.hpp"

namespace morsel::sim {

namespace {

template <PageFormat F>
constexpr bool covers(const CachedTable& t, u64 page)
{
  return Range{t.offset, t.offset + table_span<F>(t.level)}.contains(page);
}

}  // namespace

template <PageFormat F>
void Hardware::walk(Caches& caches, PhysAddr table, Level level, u64 page)
{
  for (;; --level) {
    const u64 word = arena_.words(table)[entry_index<F>(page, level)];
    const EntryKind kind = F::kind(word, level);
    if (kind == EntryKind::leaf) {
      const PhysAddr frame = F::address(word, level) + page_within<F>(page, level);
      caches.leaves.insert({page, frame, level, F::access(word, level), F::may_be_dirty(word, level)});
      return;
    }
    if (kind != EntryKind::table) return;
    table = F::address(word, level);
    caches.tables.insert({static_cast<Level>(level - 1), align_down(page, entry_bytes<F>(level)), table});
  }
}

template <PageFormat F>
void Hardware::observe_into(Caches& caches, const Tree& tree, bool attached)
{
  const std::vector<CachedTable> known(caches.tables.begin(), caches.tables.end());
  for (const u64 page : pages_) {
    if (attached) walk<F>(caches, tree.root, tree.root_level, page);
    for (const CachedTable& t : known)
      if (covers<F>(t, page)) walk<F>(caches, t.table, t.level, page);
  }
}

void Hardware::observe(const Tree& tree, bool attached)
{
  AllFormats::dispatch(tree.format, false, [&]<class F>() {
    observe_into<F>(caches_, tree, attached);
    for (auto& [id, fresh] : fresh_) observe_into<F>(fresh, tree, attached);
    return true;
  });
}

Hardware::FlushId Hardware::begin_flush()
{
  fresh_[++last_flush_];
  return last_flush_;
}

// Cached tables are forgotten as a whole: a flush always includes them.
void Hardware::end_flush(FlushId id, Range range)
{
  const Caches fresh = std::move(fresh_[id]);
  fresh_.erase(id);
  std::erase_if(caches_.leaves, [&](const CachedLeaf& l) { return range.contains(l.page) && !fresh.leaves.count(l); });
  std::erase_if(caches_.tables, [&](const CachedTable& t) { return !fresh.tables.count(t); });
}

template <PageFormat F>
bool Hardware::set_dirty(PhysAddr table, Level level, const CachedLeaf& leaf)
{
  for (;; --level) {
    u64& word = arena_.words(table)[entry_index<F>(leaf.page, level)];
    const EntryKind kind = F::kind(word, level);
    if (kind == EntryKind::leaf) {
      const PhysAddr frame = F::address(word, level) + page_within<F>(leaf.page, level);
      if (frame != leaf.frame || !F::access(word, level).write()) return false;
      word |= F::dirty_bit | F::accessed_bit;
      return true;
    }
    if (kind != EntryKind::table) return false;
    table = F::address(word, level);
  }
}

bool Hardware::write(const Tree& tree, bool attached, u64 page, PhysAddr& written)
{
  return AllFormats::dispatch(tree.format, false, [&]<class F>() {
    for (const CachedLeaf& leaf : caches_.leaves) {
      if (leaf.page != page || !leaf.rights.write()) continue;
      written = leaf.frame;
      if (leaf.dirty) return true;
      if (attached && set_dirty<F>(tree.root, tree.root_level, leaf)) return true;
      for (const CachedTable& t : caches_.tables)
        if (covers<F>(t, page) && set_dirty<F>(t.table, t.level, leaf)) return true;
    }
    return false;
  });
}

}  // namespace morsel::sim
