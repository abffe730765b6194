// SPDX-License-Identifier: GPL-2.0-or-later
//
// Dumps that lie. Whatever the bytes are, they are refused with a Failure, or give memory that lies inside them, in
// segments apart from each other, with trees of every format that can be read, walked, compared and searched.
// dump_corpus.cpp makes dumps to start from.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "engine/inspect/diff.hpp"
#include "engine/inspect/find_roots.hpp"
#include "engine/inspect/walk.hpp"
#include "engine/session/dump_file.hpp"

namespace morsel::session {
namespace {

void require(bool holds)
{
  if (!holds) std::abort();
}

void check_segments(const Dump& dump, std::span<const std::byte> bytes)
{
  u64 end = 0;
  for (const inspect::MemorySegment& s : dump.segments) {
    require(s.start >= end && s.bytes != 0 && is_aligned(s.start | s.bytes, page_bytes));
    end = s.start + s.bytes;
    require(end > s.start && s.host >= bytes.data() && s.host + s.bytes <= bytes.data() + bytes.size());
  }
}

void look(const inspect::PhysicalMemory& memory, const inspect::TreeSource& root)
{
  const FormatInfo& format = *find_format(root.format);
  const Range space = inspect::space_range(format);
  const inspect::SnapshotLimits limits{64, 16};
  const auto tree = inspect::Snapshot::take(memory, root, space, limits);
  require(tree.table_count() <= limits.max_tables && tree.anomalies().size() <= limits.max_anomalies);
  const auto diff = inspect::Diff::compare(tree, tree, space);
  require(diff.pages(inspect::DiffState::stale) + diff.pages(inspect::DiffState::frame) == 0);
  const std::size_t walked = std::min<std::size_t>(diff.runs().size(), 32);
  for (std::size_t n = 0; n < walked; ++n) {
    const auto trace = inspect::trace_walk(memory, root, diff.runs()[n].range.start, right_read);
    require(trace.steps.size() <= format.levels.size());
  }
}

void read(std::span<const std::byte> bytes, std::optional<MemoryLayout> layout)
{
  const Dump dump = read_dump(bytes, "input", layout);
  check_segments(dump, bytes);
  const inspect::PhysicalMemory memory(dump.segments);
  for (const inspect::MemorySegment& s : dump.segments)
    require(memory.words({s.start + s.bytes - page_bytes}, page_bytes / sizeof(u64)) != nullptr);
  std::size_t looked_at = 0;
  for (const CpuState& cpu : dump.cpus)
    if (const auto root = tables_of(cpu); root && ++looked_at <= 2) {
      look(memory, *root);
      for (const inspect::FoundRoot& found : inspect::find_roots(memory, *root))
        require(memory.words(found.root, 512) != nullptr);
    }
  if (dump.kernel) look(memory, *dump.kernel);
  // The first page taken for a root of every format.
  for (const FormatInfo& format : format_table)
    if (!dump.segments.empty())
      look(
          memory,
          {format.id, {dump.segments[0].start}, static_cast<Level>(format.levels.size() - 1), inspect::Maker::foreign});
}

}  // namespace
}  // namespace morsel::session

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  using namespace morsel::session;
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const auto layout : {std::optional<MemoryLayout>{}, std::optional(MemoryLayout::q35)}) try {
      read(bytes, layout);
    } catch (const Failure&) {
    }
  return 0;
}
