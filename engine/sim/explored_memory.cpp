// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/explored_memory.hpp"

#include <algorithm>

namespace morsel::sim {

namespace {

constexpr u64 pages_of(Level level) { return u64{1} << (9u * level); }

}  // namespace

ExploredMemory::ExploredMemory(UndoLog& log)
    : log_(log),
      words_(new u64[table_bytes / sizeof(u64)]),
      flags_(table_bytes >> page_lg2),
      small_(max_owners * small_each),
      large_(max_owners * large_each * pages_of(1))
{
}

u8* ExploredMemory::flags_at(PhysAddr page) const
{
  if (holds(page)) return &flags_[(page.value - first_table) >> page_lg2];
  const u64 distance = page.value - first_frame;
  const u64 owner = distance >> region_lg2;
  if (owner >= max_owners) return nullptr;
  const u64 number = (distance & ((u64{1} << region_lg2) - 1)) >> page_lg2;
  const u64 unit = number >> 18;  // of 1 GiB
  const u64 within = number & (pages_of(2) - 1);
  if (unit == 0) return within < small_each ? &small_[owner * small_each + within] : nullptr;
  if (unit == 1)
    return within < large_each * pages_of(1) ? &large_[owner * large_each * pages_of(1) + within] : nullptr;
  if (unit - 2 >= huge_each) return nullptr;
  std::vector<u8>& flags = huge_[owner * huge_each + unit - 2];
  if (flags.empty()) flags.resize(pages_of(2));
  return &flags[within];
}

u8 ExploredMemory::flags_of(PhysAddr page) const
{
  const u8* const flags = flags_at(page);
  return flags ? *flags : 0;
}

void ExploredMemory::change_flags(PhysAddr page, u8& flags, u8 value)
{
  if (flags == value) return;
  constexpr u8 hashed = PageFlags::written | PageFlags::carried;
  counts.hash += member(page.value + 1, value & hashed) - member(page.value + 1, flags & hashed);
  log_.set(flags, value);
}

void ExploredMemory::set_flags(PhysAddr page, u8 set, u8 clear)
{
  if (u8* const flags = flags_at(page)) change_flags(page, *flags, static_cast<u8>((*flags & ~clear) | set));
}

Expected<PhysAddr> ExploredMemory::allocate_table(u32 owner, u32 order)
{
  const u16 count = static_cast<u16>(1u << order);
  u16& next = counts.tables[owner];
  const u16 first = static_cast<u16>((next + count - 1) & ~(count - 1));
  if (first + count > tables_each) return Error::no_memory;
  next = static_cast<u16>(first + count);
  const PhysAddr at{first_table + (owner * tables_each + first) * page_bytes};
  std::fill_n(words(at), count * words_per_table, u64{0});
  for (u32 i = 0; i < count; ++i) {
    set_flags(at + i * page_bytes, PageFlags::table);
    fresh_.push_back({at + i * page_bytes, owner});
  }
  counts.used_pages += count;
  return at;
}

Expected<PhysAddr> ExploredMemory::allocate_frame(u32 owner, Level level)
{
  const u64 region = first_frame + (u64{owner} << region_lg2);
  PhysAddr at;
  if (level == 0) {
    if (counts.small_frames[owner] == small_each) return Error::no_memory;
    at = {region + u64{counts.small_frames[owner]++} * page_bytes};
  } else {
    u8& next = counts.large_frames[owner][level - 1u];
    if (level > 2 || next == (level == 1 ? large_each : huge_each)) return Error::no_memory;
    at = {region + (u64{level} << 30) + u64{next++} * (page_bytes << (9u * level))};
  }
  for (u64 i = 0; i < pages_of(level); ++i) set_flags(at + i * page_bytes, PageFlags::frame);
  counts.used_pages += pages_of(level);
  return at;
}

bool ExploredMemory::free_table(PhysAddr table, u32 order)
{
  for (u32 i = 0; i < 1u << order; ++i) {
    const PhysAddr page = table + i * page_bytes;
    if (!is_table(page)) return false;
    if (is_fresh(page))
      std::erase_if(fresh_, [page](const Fresh& f) { return f.table == page; });
    else
      counts.hash -= hash_of(page);
    set_flags(page, 0, 0xff);
  }
  counts.used_pages -= u64{1} << order;
  return true;
}

bool ExploredMemory::free_frame(PhysAddr frame, Level level)
{
  for (u64 i = 0; i < pages_of(level); ++i) {
    const PhysAddr page = frame + i * page_bytes;
    if (!(flags_of(page) & PageFlags::frame)) return false;
    set_flags(page, 0, 0xff);
  }
  counts.used_pages -= pages_of(level);
  return true;
}

void ExploredMemory::write(u64* word, u64 value)
{
  if (*word == value) return;
  const PhysAddr at = address(word);
  if (fresh_.empty() || !is_fresh({align_down(at.value, page_bytes)}))
    counts.hash += member(at.value, value) - member(at.value, *word);
  log_.set(*word, value);
}

bool ExploredMemory::is_fresh(PhysAddr table) const
{
  return std::any_of(fresh_.begin(), fresh_.end(), [table](const Fresh& f) { return f.table == table; });
}

u64 ExploredMemory::hash_of(PhysAddr table) const
{
  const u64* const at = words(table);
  u64 sum = 0;
  for (std::size_t i = 0; i < words_per_table; i += 8) {
    u64 any = 0;
    for (std::size_t k = i; k < i + 8; ++k) any |= at[k];
    if (any == 0) continue;
    for (std::size_t k = i; k < i + 8; ++k) sum += member(table.value + k * sizeof(u64), at[k]);
  }
  return sum;
}

u64 ExploredMemory::fresh_hash() const
{
  u64 sum = 0;
  for (const Fresh& f : fresh_) sum += hash_of(f.table);
  return sum;
}

void ExploredMemory::settle_fresh(u32 owner)
{
  std::erase_if(fresh_, [&](const Fresh& f) {
    if (f.owner != owner) return false;
    counts.hash += hash_of(f.table);
    return true;
  });
}

}  // namespace morsel::sim
