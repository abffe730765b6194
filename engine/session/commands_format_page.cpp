// SPDX-License-Identifier: GPL-2.0-or-later
//
// Drawings of entries, bit by bit, and docs/formats.md, which `morselctl formats --markdown` prints: out of the facts
// of `formats`, and so out of the formats' own fields[].
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "engine/session/commands_format.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

constexpr std::size_t widest_drawing = 118;

struct Cell {
  int high = 0, low = 0;
  std::string name;  // empty: must be zero
  std::size_t width() const
  {
    const std::string first = std::to_string(high), last = std::to_string(low);
    const std::size_t numbers = high == low ? first.size() : first.size() + 1 + last.size();
    const std::size_t bits = static_cast<std::size_t>(high) - static_cast<std::size_t>(low) + 1;
    return std::max({name.size() + 2, numbers + 2, std::min<std::size_t>(bits / 2, 18)});
  }
};

// From bit 63 down, gaps included.
std::vector<Cell> cells_of(const Json& format, unsigned level, std::string_view shape)
{
  std::vector<Cell> cells;
  for (const Json& f : format["fields"]) {
    const auto has = [](const Json& list, const auto& wanted) {
      return std::find(list.begin(), list.end(), wanted) != list.end();
    };
    if (!has(f["levels"], level) || !has(f["shapes"], shape)) continue;
    const u64 mask = read_hex(f["mask"]);
    cells.push_back({63 - std::countl_zero(mask), std::countr_zero(mask), f["name"].get<std::string>()});
  }
  std::sort(cells.begin(), cells.end(), [](const Cell& a, const Cell& b) { return a.high > b.high; });
  std::vector<Cell> whole;
  int next = 63;
  for (const Cell& c : cells) {
    if (c.high < next) whole.push_back({next, c.high + 1, {}});
    whole.push_back(c);
    next = c.low - 1;
  }
  if (next >= 0) whole.push_back({next, 0, {}});
  return whole;
}

std::string centred(std::string_view text, std::size_t width)
{
  const std::size_t left = (width - text.size()) / 2;
  return std::string(left, ' ') + std::string(text) + std::string(width - text.size() - left, ' ');
}

std::string numbers_of(const Cell& c)
{
  const std::string first = std::to_string(c.high), last = std::to_string(c.low);
  if (c.high == c.low) return centred(first, c.width());
  return " " + first + std::string(c.width() - 2 - first.size() - last.size(), ' ') + last + " ";
}

std::string without_trailing_blanks(std::string line) { return line.erase(line.find_last_not_of(' ') + 1); }

// As many rows as it takes, of about one width.
std::string draw(const std::vector<Cell>& cells, std::string_view indent)
{
  std::size_t whole = 1;
  for (const Cell& c : cells) whole += c.width() + 1;
  const std::size_t rows = (whole + widest_drawing - 1) / widest_drawing;
  const std::size_t widest = std::min(widest_drawing, whole / rows + 24);
  std::string out;
  for (auto c = cells.begin(); c != cells.end();) {
    std::string numbers = " ", edge = "+", names = "|";
    for (; c != cells.end() && (edge.size() == 1 || edge.size() + c->width() + 1 <= widest); ++c) {
      numbers += numbers_of(*c) + " ";
      edge += std::string(c->width(), '-') + "+";
      names += centred(c->name.empty() ? "0" : c->name, c->width()) + "|";
    }
    for (const std::string& line : {numbers, edge, names, edge})
      out += std::string(indent) + without_trailing_blanks(line) + "\n";
  }
  return out;
}

std::string span_text(const Json& bits)
{
  return fmt::format("{}:{}", bits["high"].get<u64>(), bits["low"].get<u64>());
}

std::string address_text(const Json& format)
{
  std::string out;
  for (const Json& l : format["levels"]) out += fmt::format("{}[{}]", out.empty() ? "" : " ", span_text(l["index"]));
  return out + " [11:0]";
}

std::string leaves_text(const Json& format)
{
  std::string out;
  const Json& levels = format["levels"];
  for (auto l = levels.rbegin(); l != levels.rend(); ++l)
    if ((*l)["leaf_allowed"] == true) out += (out.empty() ? "" : ", ") + bytes_text((*l)["entry_bytes"].get<u64>());
  return out;
}

std::string cell(std::string text)
{
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
  return text;
}

constexpr std::string_view page_head = R"(# Page-table formats

This file is printed by `morselctl formats --markdown` from the `fields[]` of `engine/format/*.hpp`; do not edit it by
hand.

A primary has the format `amd64`; a view may have any. Level 0 is the table whose entries map 4-KiB frames. In the
drawings `0` is what must be zero, and `ign` what hardware ignores; bit 63 stands left.

Rights that a format cannot express are reduced, never widened, and `diff` compares with what remains. *Dirty by* says
what tells that a page may have been written: a bit that hardware sets, or, where none is, the right to write. *Caches
absent*: hardware may cache that an entry is not present, so that a fill flushes after publishing as well.

)";

constexpr std::string_view software_text = R"(
## Software words

The same in every format, because every format takes them for not present: what stands in an entry while a fill
(*reserved*) or a move (*moving*) is under way.

)";

std::string page_of(const Json& f)
{
  std::string out = fmt::format("\n## {}\n\n{}. Address: `{}`. Leaves: {}. Root table: {}.\n\n",
                                f["name"].get<std::string>(), f["title"].get<std::string>(), address_text(f),
                                leaves_text(f), bytes_text(f["root_bytes"].get<u64>()));
  out += "```\n" + entry_drawings(f, "") +
         "```\n\n| bits | field | levels | in | meaning | source |\n|---|---|---|---|---|---|\n";
  for (const Json& field : f["fields"]) {
    if (field["shapes"] == Json{"software"}) continue;
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", field["bits"].get<std::string>(),
                       cell(field["name"].get<std::string>()), joined(field["levels"], ", "),
                       joined(field["shapes"], ", "), cell(field["meaning"].get<std::string>()),
                       field["source"].get<std::string>());
  }
  return out;
}

}  // namespace

std::string entry_drawings(const Json& format, std::string_view indent)
{
  std::string out;
  for (const std::string_view shape : {"leaf", "table"}) {
    const Json& levels = format["levels"];
    std::string drawn, at;
    const auto finish = [&] {
      if (!at.empty())
        out += fmt::format("{}{} at level{} {}\n{}", indent, shape, at.find(',') == at.npos ? "" : "s", at, drawn);
      at.clear();
    };
    for (auto l = levels.rbegin(); l != levels.rend(); ++l) {
      const unsigned level = (*l)["level"].get<unsigned>();
      if (shape == "leaf" ? (*l)["leaf_allowed"] != true : level == 0) continue;
      const std::string drawing = draw(cells_of(format, level, shape), indent);
      if (!at.empty() && drawing == drawn) {
        at += fmt::format(", {}", level);
        continue;
      }
      finish();
      drawn = drawing;
      at = std::to_string(level);
    }
    finish();
  }
  return out;
}

std::string render_formats_page(const Json& facts)
{
  std::string out(page_head);
  out += "| format | levels | rights | dirty by | caches absent |\n|---|---|---|---|---|\n";
  for (const Json& f : facts["formats"])
    out += fmt::format("| [{0}](#{0}) | {1} | {2} | {3} | {4} |\n", f["name"].get<std::string>(), f["levels"].size(),
                       joined(f["rights"], ", "), f["dirty_by"].get<std::string>(),
                       f["caches_non_present"] == true ? "yes" : "no");
  out += software_text;
  out += "```\n" + draw(cells_of(facts["formats"][0], 0, "software"), "") + "```\n";
  for (const Json& f : facts["formats"]) out += page_of(f);
  return out;
}

}  // namespace morsel::session
