// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/walk.hpp"

#include <algorithm>

namespace morsel::inspect {

std::string_view walk_end_name(WalkEnd end)
{
  switch (end) {
    case WalkEnd::translated: return "translated";
    case WalkEnd::not_present: return "not present";
    case WalkEnd::denied: return "denied";
    case WalkEnd::malformed: return "malformed entry";
    case WalkEnd::outside_memory: return "table outside memory";
  }
  return "unknown";
}

namespace {

u32 index_of(const FormatInfo& info, Level level, u64 address)
{
  return static_cast<u32>(address >> info.levels[level].shift_lg2 & (lg2_bytes(info.levels[level].index_bits) - 1));
}

u64 within(const FormatInfo& info, Level level, u64 address)
{
  return address & (lg2_bytes(info.levels[level].shift_lg2) - 1);
}

// Whether the walk goes on below this entry; if not, `end` says why.
bool goes_on(const DecodedEntry& entry, WalkEnd& end)
{
  switch (entry.kind) {
    case EntryKind::table: return true;
    case EntryKind::leaf: end = WalkEnd::translated; return false;
    case EntryKind::malformed: end = WalkEnd::malformed; return false;
    case EntryKind::hole:
    case EntryKind::reserved:
    case EntryKind::moving: end = WalkEnd::not_present; return false;
  }
  return false;
}

// The table's words are found by `words_at`, which translates where the table's address needs it.
template <class WordsAt>
WalkEnd walk_levels(const FormatInfo& info, TreeSource source, u64 address, std::vector<WalkStep>& steps,
                    WordsAt&& words_at)
{
  PhysAddr table = source.root;
  for (Level level = source.root_level;; --level) {
    const u32 index = index_of(info, level, address);
    const PhysAddr at = table + index * sizeof(u64);
    WalkEnd end = WalkEnd::outside_memory;
    const MemoryWord* const word = words_at(at, end);
    if (!word) return end;
    steps.push_back({table, index, at, decode(info, level, *word, source.maker)});
    if (!goes_on(steps.back().entry, end)) return end;
    table = steps.back().entry.address;
  }
}

Rights path_rights(const std::vector<WalkStep>& steps)
{
  Rights rights = rights_all;
  for (const WalkStep& s : steps) rights = rights & s.entry.rights;
  return rights;
}

}  // namespace

WalkTrace trace_walk(const PhysicalMemory& memory, TreeSource source, u64 offset, Rights wanted)
{
  WalkTrace trace;
  const FormatInfo* const info = find_format(source.format);
  if (!info || source.root_level >= info->levels.size()) return trace;
  trace.end =
      walk_levels(*info, source, offset, trace.steps, [&](PhysAddr at, WalkEnd&) { return memory.words(at, 1); });
  if (trace.end != WalkEnd::translated) return trace;
  const DecodedEntry& leaf = trace.steps.back().entry;
  trace.leaf_level = leaf.level;
  trace.rights = path_rights(trace.steps);
  trace.user = std::all_of(trace.steps.begin(), trace.steps.end(), [](const WalkStep& s) { return s.entry.user; });
  trace.target = leaf.address + within(*info, leaf.level, offset);
  if (!trace.rights.includes(wanted)) trace.end = WalkEnd::denied;
  return trace;
}

NestedWalkTrace trace_nested_walk(const PhysicalMemory& memory, TreeSource guest, TreeSource nested, u64 address,
                                  Rights wanted)
{
  NestedWalkTrace trace;
  const FormatInfo* const info = find_format(guest.format);
  if (!info || guest.root_level >= info->levels.size()) return trace;
  trace.end = walk_levels(*info, guest, address, trace.guest, [&](PhysAddr at, WalkEnd& end) -> const MemoryWord* {
    trace.nested.push_back(trace_walk(memory, nested, at.value, right_read));
    end = trace.nested.back().end;
    if (end != WalkEnd::translated) return nullptr;
    end = WalkEnd::outside_memory;
    return memory.words(trace.nested.back().target, 1);
  });
  if (trace.end != WalkEnd::translated) return trace;
  const DecodedEntry& leaf = trace.guest.back().entry;
  if (!path_rights(trace.guest).includes(wanted)) {
    trace.end = WalkEnd::denied;
    return trace;
  }
  trace.nested.push_back(trace_walk(memory, nested, leaf.address.value + within(*info, leaf.level, address), wanted));
  trace.end = trace.nested.back().end;
  trace.target = trace.nested.back().target;
  return trace;
}

}  // namespace morsel::inspect
