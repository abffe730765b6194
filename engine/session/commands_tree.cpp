// SPDX-License-Identifier: GPL-2.0-or-later
//
// tree, diff: the trees beside each other, and where they differ.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

constexpr u64 default_limit = 200;
constexpr std::size_t most_anomalies = 20;  // in a text; facts have all that are kept

Range half_of(const ObjectState& object, const Arguments& arguments)
{
  const u64 boundary =
      object.maker == inspect::Maker::foreign ? inspect::sign_boundary(*find_format(object.format)) : 0;
  if (boundary == 0)
    throw Failure(Exit::usage, arguments.command + ": --half", fmt::format("'{}' has no halves", object.name),
                  "Address spaces of dumps and foreign guests have, where hardware sign-extends addresses.");
  if (arguments.has("--range")) throw Failure(Exit::usage, arguments.command, "--half and --range exclude each other");
  return arguments.text("--half") == "user" ? Range{0, boundary} : Range{boundary, 2 * boundary};
}

// In a foreign tree a range is of addresses, sign-extended where hardware wants them so.
Range range_in(const ObjectState& object, const Arguments& arguments)
{
  const Range range = arguments.get_or("--range", whole_object);
  if (arguments.has("--half")) return half_of(object, arguments);
  if (range == whole_object || object.maker == inspect::Maker::engine) return range;
  const FormatInfo& format = *find_format(object.format);
  const auto start = inspect::offset_of(format, range.start), last = inspect::offset_of(format, range.end - 1);
  if (start && last && *start <= *last) return {*start, *last + 1};
  throw Failure(Exit::usage, arguments.command + ": --range",
                fmt::format("{} is no range of addresses of {}", range_text(range), format.name),
                fmt::format("They have {} bits{}.", std::countr_zero(inspect::space_range(format).end),
                            inspect::sign_boundary(format) != 0 ? ", and the highest is repeated in those above" : ""));
}

AlignedTree capture(Session& session, const Arguments& arguments, const std::optional<std::string>& view)
{
  const Scene scene = session.scene();
  const ObjectState object = find_object(scene, arguments.command, arguments.text("NAME"));
  std::optional<std::vector<TreeId>> views;
  if (view) {
    const TreeId tree = find_tree(object, arguments.command, *view);
    views = tree == primary_tree ? std::vector<TreeId>{} : std::vector<TreeId>{tree};
  }
  const Range range = range_in(object, arguments);
  if (range != whole_object && range.start >= object.bytes)
    throw Failure(Exit::usage, arguments.command + ": --range",
                  fmt::format("{} lies beyond the object", range_text(range)),
                  fmt::format("'{}' is {}.", object.name, range_text(object.range())));
  return AlignedTree::capture(scene.memory, object, range, views);
}

Folding folding_of(const std::string& word)
{
  return word == "none" ? Folding::none : word == "step" ? Folding::step : Folding::like;
}

std::string cell_text(const Json& row, const Json& cell, bool is_view, const Style& style)
{
  if (cell.contains("exists")) return {};
  const std::string state = cell["state"].get<std::string>();
  std::string text;
  if (cell.contains("readable")) {
    text = "(table unreadable)";
  } else {
    text = cell["text"].get<std::string>();
    // Governed by an entry further up: say where. A hole there has been shown in its own row.
    if (cell["level"] != row["level"])
      text = cell["kind"] == "hole" ? "" : fmt::format("({} {})", cell["level"].get<std::string>(), text);
    if (cell.contains("shown_before")) text += " (shown above)";
  }
  if (!is_view) return state == "hole" ? style.dim(text) : text;
  const std::optional<inspect::DiffState> known = find_state(state);
  const std::string sign(known ? state_sign(*known) : "?");
  return style.state(state, sign + " " + text);
}

std::string row_label(const Json& row, const Style& style)
{
  const std::string indent(2 * row["depth"].get<std::size_t>(), ' ');
  const u64 count = row["count"].get<u64>();
  return fmt::format("{}{} {}{}", indent, style.dim(fmt::format("{:4}", row["level"].get<std::string>())),
                     range_text(read_range(row)), count > 1 ? style.bold(fmt::format(" ×{}", count)) : "");
}

std::string pages_text(const Json& pages, const Style& style)
{
  std::string out;
  for (const auto& [state, count] : pages.items()) {
    if (count == 0u || state == "hole") continue;
    out += fmt::format(
        "{}{}", out.empty() ? "" : ", ",
        style.state(state, fmt::format("{} {} {}", state_sign(find_state(state).value_or(inspect::DiffState::hole)),
                                       count.get<u64>(), state)));
  }
  return out.empty() ? "nothing mapped" : out + " (pages)";
}

std::string verdict(bool clean, const Style& style) { return clean ? style.good("clean") : style.bad("not clean"); }

std::string anomalies_text(const Json& list, u64 count, std::string_view whose)
{
  std::string out;
  const std::size_t shown = std::min(list.size(), most_anomalies);
  for (std::size_t n = 0; n < shown; ++n) {
    const Json& a = list[n];
    out += fmt::format("  {}: {} at {} {:#x}, entry {}\n", whose, a["kind"].get<std::string>(),
                       a["level"].get<std::string>(), a["offset"].get<u64>(), a["word"].get<std::string>());
  }
  if (count > shown) out += fmt::format("  {}: {} more anomalies\n", whose, count - shown);
  return out;
}

std::string run_cell(const Json& cell)
{
  if (cell.contains("exists")) return "(no table)";
  if (cell.contains("readable")) return "(table unreadable)";
  return fmt::format("{} {} [{}]", cell["level"].get<std::string>(), cell["text"].get<std::string>(),
                     cell["word"].get<std::string>());
}

std::string run_text(const Json& run, const Style& style)
{
  const std::string state = run["state"].get<std::string>();
  const std::optional<inspect::DiffState> known = find_state(state);
  return fmt::format("  {} {} ({}): {}\n      primary: {}\n      view:    {}\n",
                     style.state(state, fmt::format("{} {}", known ? state_sign(*known) : "?", state)),
                     range_text(read_range(run)), plural(run["pages"].get<u64>(), "page"),
                     run["why"].get<std::string>(), run_cell(run["primary"]), run_cell(run["view"]));
}

}  // namespace

Outcome tree(Session& session, const Arguments& arguments)
{
  std::optional<std::string> view;
  if (arguments.has("--view")) view = arguments.text("--view");
  if (view && arguments.has("--all"))
    throw Failure(Exit::usage, arguments.command, "--view and --all exclude each other",
                  "--all is what happens without both.");
  FoldOptions options;
  options.folding = folding_of(arguments.get_or<std::string>("--fold", "like"));
  options.max_depth = static_cast<unsigned>(std::min<u64>(arguments.get_or<u64>("--depth", 64), 64));
  return {tree_facts(capture(session, arguments, view), options)};
}

Outcome diff(Session& session, const Arguments& arguments)
{
  std::optional<std::string> view;
  if (arguments.has("VIEW")) view = arguments.text("VIEW");
  const AlignedTree trees = capture(session, arguments, view);
  if (trees.columns() == 1)
    throw Failure(Exit::usage, arguments.command, fmt::format("'{}' has no view to compare with", trees.object().name),
                  fmt::format("view add {} FORMAT adds one.", trees.object().name));
  Json facts = diff_facts(trees, arguments.get_or<u64>("--limit", default_limit), arguments.has("--behind"));
  return {std::move(facts), trees.clean() ? 0 : static_cast<int>(Exit::check_failed)};
}

std::string render_tree(const Json& facts, const Style& style)
{
  const Json& columns = facts["columns"];
  TextTable table;
  std::vector<std::string> head{style.bold(facts["object"]["name"].get<std::string>()) + ", " +
                                bytes_text(facts["object"]["bytes"].get<u64>())};
  const Range range = read_range(facts["range"]);
  const bool whole_space = facts["object"]["foreign"] == true && range == Range{};
  std::vector<std::string> roots{style.dim(whole_space ? "all addresses" : range_text(range))};
  for (const Json& c : columns) {
    const bool is_view = c["tree"] != 0u;
    head.push_back((is_view ? "  " : "") + style.bold(c["title"].get<std::string>()));
    roots.push_back(style.dim(fmt::format("{}{} root {}", is_view ? "  " : "", c["root_level"].get<std::string>(),
                                          c["root"].get<std::string>())));
  }
  table.add(std::move(head));
  table.add(std::move(roots));
  for (const Json& row : facts["rows"]) {
    std::vector<std::string> cells{row_label(row, style)};
    for (std::size_t c = 0; c < columns.size(); ++c) cells.push_back(cell_text(row, row["cells"][c], c != 0, style));
    table.add(std::move(cells));
  }
  std::string out = table.text();
  for (const Json& c : columns) {
    if (c["tree"] != 0u)
      out += fmt::format("{}: {}; {}\n", c["title"].get<std::string>(), pages_text(c["pages"], style),
                         verdict(c["clean"].get<bool>(), style));
    out += anomalies_text(c["anomalies"], c["anomaly_count"].get<u64>(), c["title"].get<std::string>());
  }
  return out;
}

std::string render_diff(const Json& facts, const Style& style)
{
  std::string out = anomalies_text(facts["primary_anomalies"], facts["primary_anomaly_count"].get<u64>(), "primary");
  for (const Json& v : facts["views"]) {
    out += fmt::format("{} view {} ({}): {}; {}\n", style.bold(facts["object"].get<std::string>()),
                       v["view"].get<u64>(), v["format"].get<std::string>(), pages_text(v["pages"], style),
                       verdict(v["clean"].get<bool>(), style));
    for (const Json& run : v["runs"]) out += run_text(run, style);
    if (v["runs_total"].get<u64>() > v["runs"].size())
      out += fmt::format("  and {} more (--limit N shows more)\n", v["runs_total"].get<u64>() - v["runs"].size());
    out += anomalies_text(v["anomalies"], v["anomaly_count"].get<u64>(), fmt::format("view {}", v["view"].get<u64>()));
  }
  return out;
}

}  // namespace morsel::session
