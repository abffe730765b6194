// SPDX-License-Identifier: GPL-2.0-or-later
#include "gui/models/differences.hpp"

#include <algorithm>
#include <tuple>

namespace morsel::gui {
namespace {

using inspect::DiffRun;

bool before(const DifferencePlace& a, const DifferencePlace& b)
{
  return std::tie(a.offset, a.column) < std::tie(b.offset, b.column);
}

// Calls visit(place) for every difference of every view.
template <class V>
void forEachDifference(const session::AlignedTree& tree, V&& visit)
{
  for (std::size_t column = 1; column < tree.columns(); ++column)
    for (const DiffRun& run : tree.diff(column).runs())
      if (!inspect::is_clean(run)) visit(DifferencePlace{run.range.start, column});
}

// `ahead(a, b)`: a comes before b in the direction of the search.
template <class Ahead>
std::optional<DifferencePlace> find(const session::AlignedTree& tree, std::optional<DifferencePlace> from, Ahead ahead)
{
  std::optional<DifferencePlace> nearest, first;
  forEachDifference(tree, [&](const DifferencePlace& d) {
    if (!first || ahead(d, *first)) first = d;
    if (from && ahead(*from, d) && (!nearest || ahead(d, *nearest))) nearest = d;
  });
  if (nearest || !from || !first) return nearest ? nearest : first;
  first->wrapped = true;
  return first;
}

}  // namespace

std::optional<DifferencePlace> nextDifference(const session::AlignedTree& tree, std::optional<DifferencePlace> from)
{
  return find(tree, from, before);
}

std::optional<DifferencePlace> previousDifference(const session::AlignedTree& tree, std::optional<DifferencePlace> from)
{
  return find(tree, from, [](const DifferencePlace& a, const DifferencePlace& b) { return before(b, a); });
}

u64 uncleanPages(const inspect::Diff& diff)
{
  u64 pages = 0;
  for (const DiffRun& run : diff.runs())
    if (!inspect::is_clean(run)) pages += run.range.bytes() / page_bytes;
  return pages;
}

}  // namespace morsel::gui
