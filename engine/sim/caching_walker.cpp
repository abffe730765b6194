// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/sim/caching_walker.hpp"

#include <algorithm>

#include "engine/table/walker.hpp"

namespace morsel::sim {

// The lowest table that covers the page and is known without a walk.
template <PageFormat F>
CachingWalker::Pointer CachingWalker::nearest_table(const Tree& tree, u64 page) const
{
  for (Level level = 0; level < tree.root_level; ++level) {
    const u64 span = table_span<F>(level);
    const auto found = tables_.find({level, page / span % table_places});
    if (found != tables_.end() && found->second.to.range.contains(page)) return found->second;
  }
  return {{range_of<F>(tree), tree.root, tree.root_level}, rights_all};
}

template <PageFormat F>
std::optional<CachingWalker::Translated> CachingWalker::walk(const Arena& memory, const Tree& tree, u64 page,
                                                             Rights right)
{
  for (Pointer at = nearest_table<F>(tree, page);;) {
    const Level level = at.to.level;
    u64& word = memory.table_words(at.to.table)[entry_index<F>(page, level)];
    const EntryKind kind = F::kind(word, level);
    at.above = at.above & F::access(word, level);
    if (kind == EntryKind::table) {
      const u64 span = entry_bytes<F>(level), start = align_down(page, span);
      at.to = {{start, start + span}, F::address(word, level), static_cast<Level>(level - 1)};
      tables_[{at.to.level, start / span % table_places}] = at;
      continue;
    }
    if (kind != EntryKind::leaf) {
      if (F::caches_non_present && kind != EntryKind::malformed) keep({.page = page, .absent = true});
      return std::nullopt;
    }
    if (!at.above.includes(right)) return std::nullopt;
    word |= F::accessed_bit | (right.write() ? F::dirty_bit : 0);
    const PhysAddr frame = F::address(word, level) + page_within<F>(page, level);
    keep({page, frame, at.above, level, F::may_be_dirty(word, level)});
    return Translated{frame, false};
  }
}

std::optional<CachingWalker::Translated> CachingWalker::translate(const Arena& memory, const Tree& tree, u64 offset,
                                                                  Rights right)
{
  const u64 page = align_down(offset, page_bytes);
  const auto found = translations_.find((page >> page_lg2) % translation_places);
  if (found != translations_.end() && found->second.page == page) {
    const Translation& t = found->second;
    if (t.absent) return std::nullopt;
    if (t.rights.includes(right) && (t.dirty || !right.write())) return Translated{t.frame, true};
  }
  return AllFormats::dispatch(tree.format, std::optional<Translated>(),
                              [&]<class F>() { return walk<F>(memory, tree, page, right); });
}

void CachingWalker::flush(Range range)
{
  std::erase_if(translations_, [range](const auto& t) { return range.contains(t.second.page); });
  tables_.clear();
}

session::WalkerCaches CachingWalker::caches() const
{
  session::WalkerCaches all;
  for (const auto& [place, t] : translations_) all.translations.push_back(t);
  for (const auto& [place, t] : tables_) all.tables.push_back(t.to);
  const auto by_page = [](const auto& a, const auto& b) { return a.page < b.page; };
  std::sort(all.translations.begin(), all.translations.end(), by_page);
  return all;
}

}  // namespace morsel::sim
