// SPDX-License-Identifier: GPL-2.0-or-later
//
// The aligned tree and its diffs as facts.
#include <fmt/format.h>

#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

using inspect::Diff;
using inspect::DiffRun;
using inspect::DiffState;

namespace {

// The entry's line with the address left out: a run of frames in no order.
std::string without_address(std::string line, u64 address)
{
  const std::string text = hex(address);
  if (const std::size_t at = line.find(text); at != std::string::npos) line.replace(at, text.size(), "(scattered)");
  return line;
}

Json anomalies_facts(const AlignedTree& tree, std::size_t column)
{
  Json list = Json::array();
  for (const inspect::Anomaly& a : tree.snapshot(column).anomalies())
    list.push_back({{"kind", inspect::anomaly_name(a.kind)},
                    {"level", level_name(a.level)},
                    {"offset", tree.addresses({a.offset, a.offset + 1}).start},
                    {"word", hex(a.word)}});
  return list;
}

Json pages_facts(const Diff& diff)
{
  Json pages = Json::object();
  for (std::size_t n = 0; n < inspect::diff_state_count; ++n) {
    const DiffState state = static_cast<DiffState>(n);
    pages[std::string(inspect::diff_state_name(state))] = diff.pages(state);
  }
  return pages;
}

Json column_facts(const AlignedTree& tree, std::size_t column)
{
  const inspect::Snapshot& snapshot = tree.snapshot(column);
  Json facts{{"tree", tree.tree(column)},
             {"title", tree.title(column)},
             {"format", tree.format(column).name},
             {"root", hex(snapshot.source().root.value)},
             {"root_level", level_name(snapshot.source().root_level)},
             {"tables", snapshot.table_count()},
             {"anomalies", anomalies_facts(tree, column)},
             {"anomaly_count", snapshot.anomaly_count()}};
  if (column != 0) {
    facts["clean"] = tree.diff(column).clean();
    facts["pages"] = pages_facts(tree.diff(column));
  }
  return facts;
}

// The frame that a leaf maps for one page inside it.
std::string page_frame(const AlignedTree& tree, std::size_t column, const AlignedCell& cell, u64 offset)
{
  return hex(tree.format(column).address(cell.word, cell.level).value + (offset - cell.offset));
}

inspect::DecodedEntry decoded(const AlignedTree& tree, std::size_t column, const AlignedCell& cell)
{
  return inspect::decode(tree.format(column), cell.level, cell.word, tree.snapshot(column).source().maker);
}

std::string why(const AlignedTree& tree, std::size_t column, const DiffRun& run, const AlignedCell& primary,
                const AlignedCell& view)
{
  if (tree.object().maker == inspect::Maker::foreign && run.state == DiffState::stale)
    return fmt::format("only the other root maps it, to frame {}", page_frame(tree, column, view, run.range.start));
  const auto rights = [&](std::size_t c, const AlignedCell& cell) {
    const inspect::DecodedEntry entry = decoded(tree, c, cell);
    return inspect::rights_text(entry.rights) + (entry.user ? " U" : "");
  };
  switch (run.state) {
    case DiffState::stale:
      return fmt::format(
          "the view still maps frame {}, the primary {}", page_frame(tree, column, view, run.range.start),
          primary.kind == EntryKind::hole ? "maps nothing here"
                                          : "has a " + std::string(inspect::kind_name(primary.kind)) + " entry");
    case DiffState::frame:
      return fmt::format("the view maps frame {}, the primary frame {}",
                         page_frame(tree, column, view, run.range.start),
                         page_frame(tree, 0, primary, run.range.start));
    case DiffState::rights:
      return fmt::format("the view allows {}, the primary {}", rights(column, view), rights(0, primary));
    case DiffState::format:
      if (!view.readable) return "the view's table cannot be read";
      return fmt::format("the view's entry is {}", inspect::kind_name(view.kind));
    case DiffState::reserved: return "a fill is under way";
    case DiffState::unfilled: return "the view has not been asked for it yet";
    default: return {};  // nothing differs, and nobody asks: shown()
  }
}

Json run_facts(const AlignedTree& tree, std::size_t column, const DiffRun& run)
{
  const AlignedRow page{0, run.range.start};
  const AlignedCell primary = tree.cell(page, 0), view = tree.cell(page, column);
  const Range addresses = tree.addresses(run.range);
  return {{"start", addresses.start},
          {"end", addresses.end},
          {"pages", run.range.bytes() / page_bytes},
          {"state", inspect::diff_state_name(run.state)},
          {"clean", inspect::is_clean(run)},
          {"widened", run.widened},
          {"why", why(tree, column, run, primary, view)},
          {"primary", cell_facts(tree, 0, primary, false)},
          {"view", cell_facts(tree, column, view, false)}};
}

bool shown(const DiffRun& run, bool behind_too)
{
  if (!inspect::is_clean(run)) return true;
  return behind_too && run.state != DiffState::hole && run.state != DiffState::same;
}

}  // namespace

Json cell_facts(const AlignedTree& tree, std::size_t column, const AlignedCell& cell, bool scattered)
{
  if (!cell.exists) return {{"exists", false}};
  Json facts{{"state", inspect::diff_state_name(cell.worst)}};
  if (!cell.readable) {
    facts["readable"] = false;
    return facts;
  }
  const inspect::DecodedEntry entry = decoded(tree, column, cell);
  facts["kind"] = inspect::kind_name(cell.kind);
  facts["level"] = level_name(cell.level);
  facts["word"] = hex(cell.word);
  if (cell.kind == EntryKind::leaf || cell.kind == EntryKind::table) {
    facts["address"] = hex(entry.address.value);
    facts["rights"] = inspect::rights_text(entry.rights);
  }
  facts["text"] = scattered ? without_address(inspect::one_line(entry), entry.address.value) : inspect::one_line(entry);
  if (scattered) facts["scattered"] = true;
  return facts;
}

Json tree_facts(const AlignedTree& tree, FoldOptions options)
{
  Json columns = Json::array(), rows = Json::array();
  for (std::size_t c = 0; c < tree.columns(); ++c) columns.push_back(column_facts(tree, c));
  for (const FoldedRow& row : fold(tree, options)) {
    Json cells = Json::array();
    for (std::size_t c = 0; c < row.cells.size(); ++c) {
      cells.push_back(cell_facts(tree, c, row.cells[c], row.scattered[c]));
      if (tree.shown_before(row.first, c)) cells.back()["shown_before"] = true;
    }
    const Range addresses = tree.addresses(row.span());
    rows.push_back({{"level", level_name(row.first.level)},
                    {"start", addresses.start},
                    {"end", addresses.end},
                    {"count", row.count},
                    {"depth", row.depth},
                    {"expanded", row.expanded},
                    {"cells", std::move(cells)}});
  }
  return {{"object", object_facts(tree.object())},
          {"range", range_facts(tree.addresses(tree.range()))},
          {"columns", std::move(columns)},
          {"rows", std::move(rows)},
          {"clean", tree.clean()}};
}

Json diff_facts(const AlignedTree& tree, u64 limit, bool behind_too)
{
  Json views = Json::array();
  for (std::size_t c = 1; c < tree.columns(); ++c) {
    Json runs = Json::array();
    u64 total = 0;
    for (const DiffRun& run : tree.diff(c).runs())
      if (shown(run, behind_too) && total++ < limit) runs.push_back(run_facts(tree, c, run));
    Json facts{{"view", tree.tree(c)},
               {"format", tree.format(c).name},
               {"clean", tree.diff(c).clean()},
               {"pages", pages_facts(tree.diff(c))},
               {"widened_pages", tree.diff(c).widened_pages()},
               {"runs_total", total},
               {"runs", std::move(runs)},
               {"anomalies", anomalies_facts(tree, c)},
               {"anomaly_count", tree.snapshot(c).anomaly_count()}};
    views.push_back(std::move(facts));
  }
  return {{"object", tree.object().name},
          {"range", range_facts(tree.addresses(tree.range()))},
          {"primary_anomalies", anomalies_facts(tree, 0)},
          {"primary_anomaly_count", tree.snapshot(0).anomaly_count()},
          {"views", std::move(views)},
          {"clean", tree.clean()}};
}

}  // namespace morsel::session
