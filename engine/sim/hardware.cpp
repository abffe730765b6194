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

// Flags that software must have set in a leaf: without them an access, or a write, faults.
constexpr u64 needed_to_access(const void*) { return 0; }
constexpr u64 needed_to_access(const Arm64Bits*) { return Arm64Bits::access_flag; }
template <unsigned depth, RiscvStage stage>
constexpr u64 needed_to_access(const Riscv<depth, stage>*)
{
  return Riscv<depth, stage>::accessed;
}
constexpr u64 needed_to_write(const void*) { return 0; }
template <unsigned depth, RiscvStage stage>
constexpr u64 needed_to_write(const Riscv<depth, stage>*)
{
  return Riscv<depth, stage>::dirty;
}

template <PageFormat F>
Rights usable(u64 leaf, Level level)
{
  constexpr const F* format = nullptr;
  if (~leaf & needed_to_access(format)) return {};
  const Rights rights = F::access(leaf, level);
  return ~leaf & needed_to_write(format) ? rights & (right_read | right_exec) : rights;
}

// Sets the bits in the leaf below this table, if it still gives what is cached and at least these rights.
template <PageFormat F>
u64* set_bits_below(ExploredMemory& memory, PhysAddr table, Level level, const CachedLeaf& leaf, Rights needed,
                    u64 bits)
{
  for (;; --level) {
    u64* const word = memory.words(table) + entry_index<F>(leaf.page, level);
    const EntryKind kind = F::kind(*word, level);
    if (kind == EntryKind::leaf) {
      const PhysAddr frame = F::address(*word, level) + page_within<F>(leaf.page, level);
      if (frame != leaf.frame || !usable<F>(*word, level).includes(needed)) return nullptr;
      memory.write(word, *word | bits);
      return word;
    }
    if (kind != EntryKind::table) return nullptr;
    table = F::address(*word, level);
    if (!memory.holds(table)) return nullptr;
  }
}

}  // namespace

u64 Hardware::hash() const
{
  u64 sum = flushing_;
  for (const CachedLeaf& l : leaves_)
    sum +=
        mix(mix(l.page, l.frame.value), u64{l.level} << 32 | u64{l.rights.bits()} << 16 | u64{l.dirty} << 8 | l.fresh);
  for (const CachedTable& t : tables_) sum += mix(mix(t.offset + 1, t.table.value), u64{t.level} << 8 | t.fresh);
  for (const CachedAbsence& a : absences_) sum += mix(a.page + 2, u64{a.missed} << 8 | a.fresh);
  return sum;
}

// Whoever sees it anew misses nothing.
bool Hardware::observe_absence(u64 page, u8 fresh)
{
  if (!absences_.insert({page, fresh, 0})) return false;
  for (std::size_t i = 0; i < absences_.size(); ++i)
    if (absences_[i].page == page) absences_[i].missed = 0;
  return true;
}

void Hardware::published(u32 actor, Range pages)
{
  for (std::size_t i = 0; i < absences_.size(); ++i)
    if (pages.contains(absences_[i].page)) absences_[i].missed |= static_cast<u8>(1u << actor);
}

void Hardware::fill_ended(u32 actor)
{
  for (std::size_t i = 0; i < absences_.size(); ++i) absences_[i].missed &= static_cast<u8>(~(1u << actor));
}

template <PageFormat F>
bool Hardware::walk(const ExploredMemory& memory, PhysAddr table, Level level, u64 page, u8 fresh)
{
  for (;; --level) {
    const u64 word = memory.words(table)[entry_index<F>(page, level)];
    const EntryKind kind = F::kind(word, level);
    if (kind == EntryKind::leaf) {
      const PhysAddr frame = F::address(word, level) + page_within<F>(page, level);
      const Rights rights = usable<F>(word, level);
      return rights.none() || leaves_.insert({page, frame, level, rights, F::may_be_dirty(word, level), fresh});
    }
    if constexpr (F::caches_non_present)
      if (kind == EntryKind::hole || kind == EntryKind::reserved) return observe_absence(page, fresh);
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
  for (std::size_t i = 0; i < absences_.size(); ++i) absences_[i].fresh &= static_cast<u8>(~bit);
}

// Cached tables are forgotten as a whole, whatever the range is.
void Hardware::end_flush(u32 actor, Range range, Pointers pointers)
{
  const auto bit = static_cast<u8>(1u << actor);
  leaves_.remove_if([&](const CachedLeaf& l) { return range.contains(l.page) && !(l.fresh & bit); });
  if (pointers == Pointers::forgotten) tables_.remove_if([&](const CachedTable& t) { return !(t.fresh & bit); });
  absences_.remove_if([&](const CachedAbsence& a) { return range.contains(a.page) && !(a.fresh & bit); });
  flushing_ &= static_cast<u8>(~bit);
  for (std::size_t i = 0; i < leaves_.size(); ++i) leaves_[i].fresh &= flushing_;
  for (std::size_t i = 0; i < tables_.size(); ++i) tables_[i].fresh &= flushing_;
  for (std::size_t i = 0; i < absences_.size(); ++i) absences_[i].fresh &= flushing_;
}

template <PageFormat F>
u64* Hardware::set_bits(ExploredMemory& memory, const Tree& tree, bool attached, const CachedLeaf& leaf, Rights needed,
                        u64 bits)
{
  u64* set = attached ? set_bits_below<F>(memory, tree.root, tree.root_level, leaf, needed, bits) : nullptr;
  for (const CachedTable& t : tables_)
    if (!set && covers<F>(t, leaf.page)) set = set_bits_below<F>(memory, t.table, t.level, leaf, needed, bits);
  return set;
}

bool Hardware::write(ExploredMemory& memory, const Tree& tree, bool attached, u64 page, PhysAddr& written,
                     u64*& changed)
{
  return AllFormats::dispatch(tree.format, false, [&]<class F>() {
    for (const CachedLeaf& leaf : leaves_) {
      if (leaf.page != page || !leaf.rights.write()) continue;
      written = leaf.frame;
      if (leaf.dirty) return true;
      changed = set_bits<F>(memory, tree, attached, leaf, right_write, F::dirty_bit | F::accessed_bit);
      if (changed) return true;
    }
    return false;
  });
}

void Hardware::read(ExploredMemory& memory, const Tree& tree, bool attached, u64 page, u64*& changed)
{
  AllFormats::dispatch(tree.format, false, [&]<class F>() {
    for (const CachedLeaf& leaf : leaves_)
      if (F::accessed_bit != 0 && !changed && leaf.page == page && leaf.rights.read())
        changed = set_bits<F>(memory, tree, attached, leaf, right_read, F::accessed_bit);
    return true;
  });
}

}  // namespace morsel::sim
