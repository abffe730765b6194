// SPDX-License-Identifier: GPL-2.0-or-later
//
// Walks both snapshots side by side. Where both have a table, entry by entry; where one ends earlier (a hole, a large
// leaf), its governing entry stands for everything below. The loop over two tables of leaves is made for each format.
#include "engine/inspect/diff.hpp"

#include <algorithm>

namespace morsel::inspect {

std::string_view diff_state_name(DiffState state)
{
  switch (state) {
    case DiffState::hole: return "hole";
    case DiffState::same: return "same";
    case DiffState::unfilled: return "unfilled";
    case DiffState::reserved: return "reserved";
    case DiffState::rights: return "rights";
    case DiffState::format: return "format";
    case DiffState::frame: return "frame";
    case DiffState::stale: return "stale";
  }
  return "unknown";
}

bool is_clean(const DiffRun& run)
{
  switch (run.state) {
    case DiffState::hole:
    case DiffState::same:
    case DiffState::unfilled:
    case DiffState::reserved: return true;
    case DiffState::rights: return !run.widened;
    case DiffState::format:
    case DiffState::frame:
    case DiffState::stale: return false;
  }
  return false;
}

namespace {

struct Verdict {
  DiffState state;
  bool widened;
  bool operator==(const Verdict&) const = default;
};

Verdict compare_leaves(PhysAddr primary_page, Rights expected, PhysAddr view_page, Rights actual)
{
  if (primary_page != view_page) return {DiffState::frame, false};
  if (expected == actual) return {DiffState::same, false};
  return {DiffState::rights, !expected.includes(actual)};
}

// The state of a page whose view entry is no leaf.
Verdict without_view_leaf(bool primary_maps, EntryKind view)
{
  if (view == EntryKind::reserved) return {DiffState::reserved, false};
  if (view != EntryKind::hole) return {DiffState::format, false};
  return {primary_maps ? DiffState::unfilled : DiffState::hole, false};
}

PhysAddr page_of(const FormatInfo& info, const EntryAt& e, u64 offset)
{
  return info.address(e.word, e.level) + align_down(offset - e.offset, page_bytes);
}

}  // namespace

DiffRun compare_entries(const FormatInfo& primary, EntryAt p, const FormatInfo& view, EntryAt v, u64 offset)
{
  const bool primary_maps = p.kind == EntryKind::leaf;
  const Range page{align_down(offset, page_bytes), align_down(offset, page_bytes) + page_bytes};
  auto run = [&](Verdict verdict) { return DiffRun{page, verdict.state, verdict.widened}; };
  if (!v.readable) return run({DiffState::format, false});
  if (v.kind != EntryKind::leaf) return run(without_view_leaf(primary_maps, v.kind));
  if (!primary_maps) return run({DiffState::stale, false});
  return run(compare_leaves(page_of(primary, p, page.start), view.reduce(primary.access(p.word, p.level)),
                            page_of(view, v, page.start), view.access(v.word, v.level)));
}

namespace {

// Entries of two trees that somebody else made.
DiffRun compare_foreign(const FormatInfo& primary, EntryAt p, const FormatInfo& view, EntryAt v, u64 offset)
{
  const DiffRun run = compare_entries(primary, p, view, v, offset);
  const bool unreadable_alike = !p.readable && !v.readable && p.word == v.word && primary.id == view.id;
  if (unreadable_alike) return {run.range, DiffState::hole, false};
  if (run.state != DiffState::same && run.state != DiffState::rights) return run;
  const SpaceRights first = space_rights(primary, p.word, p.level), second = space_rights(view, v.word, v.level);
  const SpaceRights expected{view.reduce(first.rights), first.user};
  if (expected == second) return {run.range, DiffState::same, false};
  return {run.range, DiffState::rights, !expected.rights.includes(second.rights) || (second.user && !expected.user)};
}

}  // namespace

class DiffBuilder {
 public:
  DiffBuilder(Diff& diff, const Snapshot& primary, const Snapshot& view, Range range)
      : diff_(diff),
        primary_(primary),
        view_(view),
        range_(range),
        primary_info_(primary.format_info()),
        view_info_(view.format_info())
  {
  }

  void run()
  {
    const Level level = std::min(primary_.source().root_level, view_.source().root_level);
    const u64 step = span_of_table(level);
    for (u64 base = align_down(range_.start, step); base < range_.end; base += step)
      compare(level, base, side(primary_, base, level), side(view_, base, level));
  }

 private:
  // What stands for a table's range: a copy of the table, or the entry above that governs all of it.
  struct Side {
    u32 table = Snapshot::no_table;
    EntryAt governing;
  };

  static Side side(const Snapshot& s, u64 offset, Level level)
  {
    const u32 table = s.table_at(offset, level);
    if (table != Snapshot::no_table) return {table, {}};
    return {table, s.entry(offset, level)};
  }

  // Tables of one level may differ in size: the root of some formats is larger.
  static u32 index_of(const Snapshot& s, const FormatInfo& info, const Side& side, Level level, u64 offset)
  {
    return static_cast<u32>(offset >> info.levels[level].shift_lg2 & (s.words(side.table).size() - 1));
  }
  static EntryAt entry(const Snapshot& s, const FormatInfo& info, const Side& side, Level level, u64 offset)
  {
    if (side.table == Snapshot::no_table) return side.governing;
    const u64 word = s.words(side.table)[index_of(s, info, side, level, offset)];
    return {word, offset, level, kind_of(info, s.source().maker, word, level), true};
  }
  static Side below(const Snapshot& s, const FormatInfo& info, const Side& side, const EntryAt& e)
  {
    if (side.table == Snapshot::no_table || e.kind != EntryKind::table) return {Snapshot::no_table, e};
    const u32 child = s.child(side.table, index_of(s, info, side, e.level, e.offset));
    EntryAt governing = e;
    governing.readable = child != Snapshot::no_table;
    return {child, governing};
  }

  void compare(Level level, u64 base, const Side& p, const Side& v)
  {
    if (foreign() && ++pairs_ > max_pairs)
      return add(intersect({base, base + span_of_table(level)}, range_), {DiffState::format, false});
    if (level == 0 && p.table != Snapshot::no_table && v.table != Snapshot::no_table && !foreign())
      return compare_leaf_tables(base, primary_.words(p.table), view_.words(v.table));
    const u64 step = lg2_bytes(primary_info_.levels[level].shift_lg2);
    const u32 entries = 1u << primary_info_.levels[level].index_bits;
    for (u32 i = 0; i < entries; ++i) {
      const u64 offset = base + i * step;
      const Range span = intersect({offset, offset + step}, range_);
      if (span.empty()) continue;
      const Side pb = below(primary_, primary_info_, p, entry(primary_, primary_info_, p, level, offset));
      const Side vb = below(view_, view_info_, v, entry(view_, view_info_, v, level, offset));
      if (level > 0 && (pb.table != Snapshot::no_table || vb.table != Snapshot::no_table))
        compare(static_cast<Level>(level - 1), offset, pb, vb);
      else
        uniform(span, pb.governing, vb.governing);
    }
  }

  // One verdict holds for all of `span`: both sides are governed by one entry each.
  void uniform(Range span, const EntryAt& p, const EntryAt& v)
  {
    const auto compare = foreign() ? compare_foreign : compare_entries;
    const DiffRun r = compare(primary_info_, p, view_info_, v, span.start);
    add(span, {r.state, r.widened});
  }

  bool foreign() const { return primary_.source().maker == Maker::foreign; }

  void compare_leaf_tables(u64 base, std::span<const u64> p, std::span<const u64> v)
  {
    AllFormats::dispatch(view_.format(), false, [&]<class F>() {
      compare_leaf_words<F>(base, p.data(), v.data());
      return true;
    });
  }

  template <class F>
  static Verdict verdict(u64 p, u64 v)
  {
    using P = Amd64L4;
    const bool primary_maps = P::kind(p, 0) == EntryKind::leaf;
    const EntryKind kind = v == 0 ? EntryKind::hole : F::kind(v, 0);
    if (kind != EntryKind::leaf) return without_view_leaf(primary_maps, kind);
    if (!primary_maps) return {DiffState::stale, false};
    return compare_leaves(P::address(p, 0), F::reduce(P::access(p, 0)), F::address(v, 0), F::access(v, 0));
  }

  // A view in the primary's own bits, all of which mean something in a leaf: what does not differ is the same.
  template <class F>
  static constexpr bool same_bits = std::is_base_of_v<Amd64Bits, F> && ~present_bits<Amd64L4>[0][1] == 0 &&
                                    ~present_bits<F>[0][1] == 0;

  // Do `count` pairs continue a run of equal leaves that began with (p, v)? The verdict on two leaves depends on their
  // bits beside the frame and on whether the frames are equal, on nothing else: no branch for each entry.
  template <class F>
  static bool continues(u64 p, u64 v, const u64* ps, const u64* vs, u32 count)
  {
    using P = Amd64L4;
    u64 differs = 0;
    if constexpr (same_bits<F>) {
      u64 in_all = ~u64{0};
      for (u32 i = 0; i < count; ++i) {
        differs |= ps[i] ^ vs[i];
        in_all &= ps[i];
      }
      constexpr u64 compared = P::frame_mask(0) | P::present | P::writable | P::user | P::no_execute;
      return (differs & compared) == 0 && (in_all & P::present);
    } else {
      constexpr u64 in_primary = ~(P::frame_mask(0) | P::accessed_bit | P::dirty_bit);
      constexpr u64 in_view = ~(F::frame_mask(0) | F::accessed_bit | F::dirty_bit);
      for (u32 i = 0; i < count; ++i)
        differs |= ((ps[i] ^ p) & in_primary) | ((vs[i] ^ v) & in_view) |
                   (P::address(ps[i], 0).value ^ F::address(vs[i], 0).value);
      return differs == 0;
    }
  }

  template <class F>
  void compare_leaf_words(u64 base, const u64* p, const u64* v)
  {
    constexpr u32 stride = 64;
    const Range span = intersect({base, base + table_span<F>(0)}, range_);
    if (span.empty()) return;
    const u32 end = static_cast<u32>((span.end - base) >> page_lg2);
    u32 start = static_cast<u32>((span.start - base) >> page_lg2);
    auto offset = [&](u32 i) { return base + (u64{i} << page_lg2); };
    Verdict last = verdict<F>(p[start], v[start]);
    for (u32 i = start + 1; i < end;) {
      const u32 next = std::min(stride, end - i);
      if (last.state == DiffState::same && continues<F>(p[i - 1], v[i - 1], p + i, v + i, next)) {
        i += next;
        continue;
      }
      const Verdict now = verdict<F>(p[i], v[i]);
      if (now != last) {
        add({offset(start), offset(i)}, last);
        start = i;
        last = now;
      }
      ++i;
    }
    add({offset(start), offset(end)}, last);
  }

  void add(Range range, Verdict verdict)
  {
    diff_.pages_[static_cast<std::size_t>(verdict.state)] += range.bytes() >> page_lg2;
    if (verdict.widened) diff_.widened_pages_ += range.bytes() >> page_lg2;
    if (!diff_.runs_.empty()) {
      DiffRun& back = diff_.runs_.back();
      if (back.state == verdict.state && back.widened == verdict.widened && back.range.end == range.start) {
        back.range.end = range.end;
        return;
      }
    }
    diff_.runs_.push_back({range, verdict.state, verdict.widened});
  }

  u64 span_of_table(Level level) const
  {
    return lg2_bytes(primary_info_.levels[level].shift_lg2 + primary_info_.levels[level].index_bits);
  }

  // Tables that are shared again and again would make no end of it.
  static constexpr u64 max_pairs = u64{1} << 18;
  u64 pairs_ = 0;

  Diff& diff_;
  const Snapshot& primary_;
  const Snapshot& view_;
  const Range range_;
  const FormatInfo& primary_info_;
  const FormatInfo& view_info_;
};

Diff Diff::compare(const Snapshot& primary, const Snapshot& view, Range range)
{
  Diff diff;
  DiffBuilder(diff, primary, view, range).run();
  return diff;
}

bool Diff::clean() const { return std::all_of(runs_.begin(), runs_.end(), is_clean); }

DiffState Diff::at(u64 offset) const
{
  const auto run =
      std::upper_bound(runs_.begin(), runs_.end(), offset, [](u64 o, const DiffRun& r) { return o < r.range.end; });
  return run == runs_.end() || !run->range.contains(offset) ? DiffState::hole : run->state;
}

DiffState Diff::worst(Range range) const
{
  auto run = std::upper_bound(runs_.begin(), runs_.end(), range.start,
                              [](u64 o, const DiffRun& r) { return o < r.range.end; });
  DiffState worst = DiffState::hole;
  for (; run != runs_.end() && run->range.start < range.end; ++run) worst = std::max(worst, run->state);
  return worst;
}

const DiffRun* Diff::next_difference(u64 offset) const
{
  for (const DiffRun& run : runs_)
    if (run.range.end > offset && !is_clean(run)) return &run;
  return nullptr;
}

const DiffRun* Diff::previous_difference(u64 offset) const
{
  const DiffRun* found = nullptr;
  for (const DiffRun& run : runs_) {
    if (run.range.start >= offset) break;
    if (!is_clean(run)) found = &run;
  }
  return found;
}

}  // namespace morsel::inspect
