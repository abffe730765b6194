// SPDX-License-Identifier: GPL-2.0-or-later
//
// Inspection of memory that lies. The input is a machine: a header that chooses formats, roots and ranges, then the
// contents of a small physical memory (input.hpp); corpus.cpp makes those to start from. Whatever stands there,
// snapshots, diffs and walks end, stay inside memory (the sanitizers watch) and agree with each other.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/inspect/diff.hpp"
#include "engine/inspect/fuzz/input.hpp"
#include "engine/inspect/snapshot.hpp"
#include "engine/inspect/walk.hpp"

namespace morsel::inspect {
namespace {

void require(bool holds)
{
  if (!holds) std::abort();
}

TreeSource source(const FuzzHeader& h, int n)
{
  const FormatInfo& format = format_table[h.formats[n] % format_table.size()];
  const auto level = static_cast<Level>(h.root_levels[n] % format.levels.size());
  return {format.id, PhysAddr{memory_start.value + (u64{h.root_pages[n]} << page_lg2)}, level};
}

void check(const PhysicalMemory& memory, const FuzzHeader& h)
{
  // The primary is what it always is; the view is anything.
  const TreeSource primary{FormatId::amd64, source(h, 0).root, static_cast<Level>(h.root_levels[0] % 4)};
  const TreeSource view = source(h, 1);
  const u64 first = h.range_pages[0] % 2048, pages = h.range_pages[1] % 2048;
  const Range range{first << page_lg2, (first + pages) << page_lg2};
  const SnapshotLimits limits{64, 16};
  const auto p = Snapshot::take(memory, primary, range, limits);
  const auto v = Snapshot::take(memory, view, range, limits);
  for (const auto* s : {&p, &v}) {
    require(s->table_count() <= limits.max_tables);
    require(s->anomalies().size() <= limits.max_anomalies && s->anomalies().size() <= s->anomaly_count());
  }
  const Diff diff = Diff::compare(p, v, range);
  u64 at = range.start;
  for (const DiffRun& run : diff.runs()) {
    require(run.range.start == at && !run.range.empty());
    at = run.range.end;
    const DiffRun one = compare_entries(p.format_info(), p.entry(run.range.start, 0), v.format_info(),
                                        v.entry(run.range.start, 0), run.range.start);
    require(one.state == run.state && one.widened == run.widened);
  }
  require(range.empty() || at == range.end);

  const Rights wanted = Rights::from_bits(static_cast<u8>(1u << h.right % 3));
  const WalkTrace trace = trace_walk(memory, view, h.address, wanted);
  require(trace.end != WalkEnd::translated || trace.rights.includes(wanted));
  (void)trace_nested_walk(memory, primary, view, h.address, wanted);
}

}  // namespace
}  // namespace morsel::inspect

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  using namespace morsel;
  inspect::FuzzHeader header;
  if (size < sizeof header) return 0;
  std::memcpy(&header, data, sizeof header);
  const std::size_t pages = (size - sizeof header) / page_bytes + 1;
  std::vector<u64> words(pages * (page_bytes / sizeof(u64)));
  std::memcpy(words.data(), data + sizeof header, size - sizeof header);
  // Roots inside memory, or every input would end at the first entry.
  for (u16& root : header.root_pages) root = static_cast<u16>(root % (pages + 1));
  const inspect::PhysicalMemory memory(
      {{inspect::memory_start.value, pages * page_bytes, reinterpret_cast<const std::byte*>(words.data())}});
  inspect::check(memory, header);
  return 0;
}
