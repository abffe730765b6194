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

u64 Hardware::hash() const
{
  u64 sum = flushing_;
  for (const CachedLeaf& l : leaves_)
    sum +=
        mix(mix(l.page, l.frame.value), u64{l.level} << 32 | u64{l.rights.bits()} << 16 | u64{l.dirty} << 8 | l.fresh);
  for (const CachedTable& t : tables_) sum += mix(mix(t.offset + 1, t.table.value), u64{t.level} << 8 | t.fresh);
  return sum;
}

template <PageFormat F>
bool Hardware::walk(const ExploredMemory& memory, PhysAddr table, Level level, u64 page, u8 fresh)
{
  for (;; --level) {
    const u64 word = memory.words(table)[entry_index<F>(page, level)];
    const EntryKind kind = F::kind(word, level);
    if (kind == EntryKind::leaf) {
      const PhysAddr frame = F::address(word, level) + page_within<F>(page, level);
      return leaves_.insert({page, frame, level, F::access(word, level), F::may_be_dirty(word, level), fresh});
    }
    if (kind != EntryKind::table) return true;
    table = F::address(word, level);
    if (!memory.holds(table)) return true;  // no memory answers there
    const u64 start = align_down(page, entry_bytes<F>(level));
    if (!tables_.insert({start, table, static_cast<Level>(level - 1), fresh})) return false;
  }
}

template <PageFormat F>
bool Hardware::observe_as(const ExploredMemory& memory, const Tree& tree, bool attached, std::span<const u64> pages)
{
  const std::size_t known = tables_.size();
  bool room = true;
  for (const u64 page : pages) {
    if (attached) room = walk<F>(memory, tree.root, tree.root_level, page, flushing_) && room;
    for (std::size_t i = 0; i < known; ++i) {
      const CachedTable t = tables_[i];
      if (covers<F>(t, page)) room = walk<F>(memory, t.table, t.level, page, t.fresh) && room;
    }
  }
  return room;
}

bool Hardware::observe(const ExploredMemory& memory, const Tree& tree, bool attached, std::span<const u64> pages)
{
  return AllFormats::dispatch(tree.format, false,
                              [&]<class F>() { return observe_as<F>(memory, tree, attached, pages); });
}

void Hardware::begin_flush(u32 actor)
{
  const auto bit = static_cast<u8>(1u << actor);
  flushing_ |= bit;
  for (std::size_t i = 0; i < leaves_.size(); ++i) leaves_[i].fresh &= static_cast<u8>(~bit);
  for (std::size_t i = 0; i < tables_.size(); ++i) tables_[i].fresh &= static_cast<u8>(~bit);
}

// Cached tables are forgotten as a whole, whatever the range is.
void Hardware::end_flush(u32 actor, Range range, Pointers pointers)
{
  const auto bit = static_cast<u8>(1u << actor);
  leaves_.remove_if([&](const CachedLeaf& l) { return range.contains(l.page) && !(l.fresh & bit); });
  if (pointers == Pointers::forgotten) tables_.remove_if([&](const CachedTable& t) { return !(t.fresh & bit); });
  flushing_ &= static_cast<u8>(~bit);
  for (std::size_t i = 0; i < leaves_.size(); ++i) leaves_[i].fresh &= flushing_;
  for (std::size_t i = 0; i < tables_.size(); ++i) tables_[i].fresh &= flushing_;
}

template <PageFormat F>
u64* Hardware::set_dirty(ExploredMemory& memory, PhysAddr table, Level level, const CachedLeaf& leaf)
{
  for (;; --level) {
    u64* const word = memory.words(table) + entry_index<F>(leaf.page, level);
    const EntryKind kind = F::kind(*word, level);
    if (kind == EntryKind::leaf) {
      const PhysAddr frame = F::address(*word, level) + page_within<F>(leaf.page, level);
      if (frame != leaf.frame || !F::access(*word, level).write()) return nullptr;
      memory.write(word, *word | F::dirty_bit | F::accessed_bit);
      return word;
    }
    if (kind != EntryKind::table) return nullptr;
    table = F::address(*word, level);
    if (!memory.holds(table)) return nullptr;
  }
}

bool Hardware::write(ExploredMemory& memory, const Tree& tree, bool attached, u64 page, PhysAddr& written,
                     u64*& dirtied)
{
  return AllFormats::dispatch(tree.format, false, [&]<class F>() {
    for (const CachedLeaf& leaf : leaves_) {
      if (leaf.page != page || !leaf.rights.write()) continue;
      written = leaf.frame;
      if (leaf.dirty) return true;
      if (attached && (dirtied = set_dirty<F>(memory, tree.root, tree.root_level, leaf))) return true;
      for (const CachedTable& t : tables_)
        if (covers<F>(t, page) && (dirtied = set_dirty<F>(memory, t.table, t.level, leaf))) return true;
    }
    return false;
  });
}

}  // namespace morsel::sim
