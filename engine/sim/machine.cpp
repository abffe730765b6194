// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/machine.hpp"

#include <cstring>

namespace morsel::sim {

namespace {

// Pages of a leaf at `level`, as a power of two.
constexpr u32 order_lg2(Level level) { return 9u * level; }

}  // namespace

void Machine::mark_dirty(PhysAddr frame, Level level)
{
  const u64 first = arena_.page_number(frame);
  for (u64 page = first; page < first + (u64{1} << order_lg2(level)); ++page) dirty_[page] = true;
}

// The last one out releases what was retired: every section that could reach it is over.
void EmbeddedPlatform::leave()
{
  if (--object_.inside != 0) return;
  const RetiredList over = std::move(object_.retired);
  object_.retired = {};
  for (const RetiredTable& t : over.tables) release(*this, t);
  for (const RetiredFrame& f : over.frames) free_frame(f.frame, f.level);
}

// A dropped view is off the list when its tables are noted for the last time, but still in the map.
FormatId EmbeddedPlatform::format_of(TreeId tree) const
{
  return tree == primary_tree ? PrimaryFormat::id : object_.views.at(tree)->tree.format;
}

Expected<PhysAddr> EmbeddedPlatform::allocate_table(TreeId tree, Level, u32 order)
{
  if (machine_.faults().decide(SyncPoint::alloc, tree) == MORSEL_FAULT_FAIL) return Error::no_memory;
  const auto table = machine_.arena().allocate(order);
  if (table) ++object_.tables;
  return table;
}

void EmbeddedPlatform::free_table(TreeId, Level, PhysAddr table, u32 order)
{
  machine_.arena().release(table, order);
  --object_.tables;
}

Expected<PhysAddr> EmbeddedPlatform::allocate_frame(Level level)
{
  if (machine_.faults().decide(SyncPoint::alloc, primary_tree) == MORSEL_FAULT_FAIL) return Error::no_memory;
  const auto frame = machine_.arena().allocate(order_lg2(level));
  if (frame) object_.frames += u64{1} << order_lg2(level);
  return frame;
}

void EmbeddedPlatform::free_frame(PhysAddr frame, Level level)
{
  machine_.arena().release(frame, order_lg2(level));
  object_.frames -= u64{1} << order_lg2(level);
}

u64 EmbeddedPlatform::exchange(SyncPoint at, const EntryRef& e, u64 desired)
{
  const u64 before = *e.word;
  if (!dropped(at, e.tree)) *e.word = desired;
  return before;
}

bool EmbeddedPlatform::compare_exchange(SyncPoint at, const EntryRef& e, u64 expected, u64 desired)
{
  const morsel_fault_action fault = machine_.faults().decide(at, e.tree);
  if (*e.word != expected || fault == MORSEL_FAULT_FAIL) return false;
  if (fault != MORSEL_FAULT_DROP) *e.word = desired;
  return true;
}

void EmbeddedPlatform::add(SyncPoint at, TreeId tree, Counter& counter, int delta)
{
  if (!dropped(at, tree)) counter.value += static_cast<u32>(delta);
}

// The walker caches nothing, so there is nothing to make it forget; the flush is counted, and can be dropped.
void EmbeddedPlatform::flush(SyncPoint at, const FlushRequest& request)
{
  if (!dropped(at, request.tree)) ++machine_.flushes;
}

void EmbeddedPlatform::carry(SyncPoint at, PhysAddr frame, Level level)
{
  if (!dropped(at, primary_tree)) machine_.mark_dirty(frame, level);
}

void EmbeddedPlatform::copy_frame(SyncPoint at, PhysAddr from, PhysAddr to, Level level)
{
  if (dropped(at, primary_tree)) return;
  const Arena& arena = machine_.arena();
  std::memcpy(arena.host(to), arena.host(from), page_bytes << order_lg2(level));
}

void EmbeddedPlatform::note_table(Retired& retired, TreeId tree, Level level, PhysAddr table)
{
  retired.tables.push_back({tree, format_of(tree), level, table});
}

void EmbeddedPlatform::retire(SyncPoint, Retired& retired)
{
  auto append = [](auto& to, auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(object_.retired.tables, retired.tables);
  append(object_.retired.frames, retired.frames);
  retired = {};
}

}  // namespace morsel::sim
