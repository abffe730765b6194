// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests about an object's pages: the size of leaves, moves to other frames, what was used, what is mapped.
#include "engine/abi/morsel_ioctl.h"
#include "testvm/agent/requests.hpp"

namespace morsel::agent {
namespace {

constexpr std::uint64_t page_bytes = 4096;
// Of one reply: with the longest offsets they fill three quarters of a line.
constexpr std::size_t max_runs = 8192;
constexpr std::uint64_t harvest_step = std::uint64_t{64} << 20;  // its bitmaps hold 8192 runs at the most, each

void announce(Context& context, const std::string& name) { context.emit("OBJECT_CHANGED", Json{{"name", name}}); }

Json change(Context& context, const Arguments& arguments, unsigned long code, std::uint32_t leaf_level)
{
  const std::string name = arguments.object_name();
  morsel_range request{};
  request.size = sizeof request;
  request.start = arguments.number("start");
  request.end = arguments.number("end");
  request.leaf_level = leaf_level;
  try {
    context.module.request_on(name, Open::for_writing, code, &request);
  } catch (const RequestError& error) {
    if (error.number() == ENOMEM) announce(context, name);  // as far as memory reached
    if (error.number() == EBUSY && code == MORSEL_IOC_MERGE)
      throw RequestError(EBUSY, "a process has mapped the object, or another merge is under way");
    throw;
  }
  announce(context, name);
  return {{"changed_pages", request.changed_pages}};
}

std::optional<Json> split(Context& context, const Arguments& arguments)
{
  return change(context, arguments, MORSEL_IOC_SPLIT, arguments.small_number_or("leaf_level", 0));
}

std::optional<Json> merge(Context& context, const Arguments& arguments)
{
  return change(context, arguments, MORSEL_IOC_MERGE, arguments.small_number_or("leaf_level", 1));
}

std::optional<Json> migrate(Context& context, const Arguments& arguments)
{
  return change(context, arguments, MORSEL_IOC_MIGRATE, 0);
}

// Appends the runs of ones: bit n is the page at `start` + n * 4 KiB.
void add_runs(Json& runs, const std::vector<std::uint64_t>& bits, std::uint64_t start, std::uint64_t pages)
{
  const auto is_set = [&](std::uint64_t page) { return page < pages && (bits[page / 64] >> page % 64 & 1) != 0; };
  for (std::uint64_t page = 0; page < pages; ++page) {
    if (!is_set(page)) continue;
    const std::uint64_t first = page;
    while (is_set(page)) ++page;
    runs.push_back({start + first * page_bytes, start + page * page_bytes});
  }
}

// As far as one reply reaches: `next` is where the next request goes on.
std::optional<Json> harvest(Context& context, const Arguments& arguments)
{
  const std::string name = arguments.object_name();
  const std::uint64_t end = arguments.number("end");
  std::uint64_t next = arguments.number("start");
  Json accessed = Json::array(), dirty = Json::array();
  do {
    morsel_harvest request{};
    request.size = sizeof request;
    request.start = next;
    request.end = end > next && end - next > harvest_step ? next + harvest_step : end;
    const std::uint64_t pages = request.end > next ? (request.end - next) / page_bytes : 0;
    std::vector<std::uint64_t> accessed_bits(pages / 64 + 1), dirty_bits(pages / 64 + 1);
    request.accessed = reinterpret_cast<std::uintptr_t>(accessed_bits.data());
    request.dirty = reinterpret_cast<std::uintptr_t>(dirty_bits.data());
    context.module.request_on(name, Open::for_writing, MORSEL_IOC_HARVEST, &request);
    add_runs(accessed, accessed_bits, next, pages);
    add_runs(dirty, dirty_bits, next, pages);
    next = request.end;
  } while (next < end && accessed.size() + dirty.size() < max_runs);
  announce(context, name);
  return Json{{"accessed", accessed}, {"dirty", dirty}, {"next", next}};
}

std::optional<Json> ranges(Context& context, const Arguments& arguments)
{
  std::vector<morsel_run> runs(MORSEL_RANGES_ROOM);
  morsel_ranges request{};
  request.size = sizeof request;
  request.kind = arguments.flag("dirty") ? MORSEL_RANGES_DIRTY : MORSEL_RANGES_POPULATED;
  request.start = arguments.number("start");
  request.end = arguments.number("end");
  request.runs = reinterpret_cast<std::uintptr_t>(runs.data());
  request.room = runs.size();
  context.module.request_on(arguments.object_name(), Open::for_reading, MORSEL_IOC_RANGES, &request);
  if (request.count > runs.size()) throw RequestError(EPROTO, "the module gave more runs than there is room for");
  Json list = Json::array();
  for (std::size_t i = 0; i < request.count; ++i) list.push_back({runs[i].start, runs[i].end, runs[i].rights});
  return Json{{"runs", list}, {"next", request.next}};
}

}  // namespace

std::span<const RequestKind> page_requests()
{
  static const RequestKind kinds[] = {
      {"object-split", {"name", "start", "end", "leaf_level"}, split, Place::worker},
      {"object-merge", {"name", "start", "end", "leaf_level"}, merge, Place::worker},
      {"object-migrate", {"name", "start", "end"}, migrate, Place::worker},
      {"object-harvest", {"name", "start", "end"}, harvest, Place::worker},
      {"object-ranges", {"name", "start", "end", "dirty"}, ranges, Place::worker},
  };
  return kinds;
}

}  // namespace morsel::agent
