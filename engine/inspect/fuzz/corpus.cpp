// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inspect/fuzz/corpus.hpp"

#include <cstring>
#include <memory>

#include "engine/inspect/fuzz/input.hpp"
#include "engine/sim/embedded_target.hpp"

namespace morsel::inspect {
namespace {

constexpr const char* name = "seed";
constexpr u64 object_bytes = u64{4} << 20, memory_bytes = u64{32} << 20;
constexpr u64 most_pages = 16;

u64 page_of(PhysAddr at) { return (at.value - memory_start.value) >> page_lg2; }

// The lowest pages, up to the last that is not empty: tables and some frames. In runs of four, as the largest root is.
std::vector<u8> lowest_pages(const PhysicalMemory& memory)
{
  const u64* words = memory.words(memory_start, most_pages * page_bytes / sizeof(u64));
  u64 used = most_pages * page_bytes / sizeof(u64);
  while (used > 0 && words[used - 1] == 0) --used;
  std::vector<u8> bytes(align_up(used * sizeof(u64), 4 * page_bytes));
  std::memcpy(bytes.data(), words, bytes.size());
  return bytes;
}

Seed seed_of(session::Target& target, std::string seed_name, u64 address)
{
  const session::ObjectState object = target.object(name);
  const session::ViewState& view = object.views.at(0);
  FuzzHeader header{};
  for (std::size_t i = 0; i < format_table.size(); ++i)
    if (format_table[i].id == view.format) header.formats[1] = static_cast<u8>(i);
  header.root_levels[0] = object.root_level;
  header.root_levels[1] = view.root_level;
  header.root_pages[0] = static_cast<u16>(page_of(object.root));
  header.root_pages[1] = static_cast<u16>(page_of(view.root));
  header.range_pages[1] = static_cast<u32>(object_bytes >> page_lg2);
  header.address = address;
  Seed seed{std::move(seed_name), std::vector<u8>(sizeof header)};
  std::memcpy(seed.bytes.data(), &header, sizeof header);
  const std::vector<u8> contents = lowest_pages(target.memory());
  seed.bytes.insert(seed.bytes.end(), contents.begin(), contents.end());
  return seed;
}

// Filled, unfilled, read-only and stale pages; holes in both.
Seed small_pages(const FormatInfo& format)
{
  const auto target = sim::make_embedded_target(memory_bytes);
  target->create_object(name, object_bytes, {});
  const TreeId view = target->add_view(name, format.id).number;
  target->populate(name, {0, 5 * page_bytes}, rights_rw, 0);
  for (const u64 page : {0, 1, 3})
    target->access({.object = name, .view = view, .offset = page * page_bytes, .right = right_write, .value = page});
  target->protect(name, {3 * page_bytes, 4 * page_bytes}, right_read);
  target->inject({.point = SyncPoint::invalidate, .action = MORSEL_FAULT_DROP, .tree = view, .nth = 1, .times = 1});
  target->unmap(name, {page_bytes, 2 * page_bytes});
  return seed_of(*target, std::string(format.name) + "-small", 3 * page_bytes);
}

Seed large_page(const FormatInfo& format)
{
  constexpr u64 large = u64{2} << 20;
  const auto target = sim::make_embedded_target(memory_bytes);
  target->create_object(name, object_bytes, {});
  const TreeId view = target->add_view(name, format.id).number;
  target->populate(name, {large, 2 * large}, rights_rw, 1);
  target->access({.object = name, .view = view, .offset = large, .right = right_write});
  return seed_of(*target, std::string(format.name) + "-large", large + page_bytes);
}

}  // namespace

std::vector<Seed> make_corpus()
{
  std::vector<Seed> seeds;
  for (const FormatInfo& format : format_table) {
    seeds.push_back(small_pages(format));
    seeds.push_back(large_page(format));
  }
  return seeds;
}

}  // namespace morsel::inspect
