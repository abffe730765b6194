// SPDX-License-Identifier: GPL-2.0-or-later
//
// entry, formats: what the bits mean, from the formats' own fields[].
#include "engine/session/commands_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

std::string bits_text(u64 mask)
{
  const int low = std::countr_zero(mask), high = 63 - std::countl_zero(mask);
  return low == high ? fmt::format("{}", low) : fmt::format("{}:{}", high, low);
}

// 64 bits in groups of four, the most significant first.
std::string ruler(u64 word)
{
  std::string out;
  for (int n = 63; n >= 0; --n) {
    out += (word >> n & 1) ? '1' : '0';
    if (n % 4 == 0 && n != 0) out += ' ';
  }
  return out;
}

bool can_stand_at(const FormatInfo& f, const Field& field, unsigned level)
{
  const bool leaf = (field.shapes & in_leaf) && f.levels[level].leaf_allowed;
  const bool table = (field.shapes & in_table) && level > 0;
  return (field.levels >> level & 1) && (leaf || table || (field.shapes & in_software));
}

// The rights that a leaf can have, least first.
Json rights_facts(const FormatInfo& f)
{
  Json list = Json::array();
  for (u8 bits = 1; bits < 8; ++bits)
    if (const Rights rights = Rights::from_bits(bits); f.reduce(rights) == rights)
      list.push_back(inspect::rights_text(rights));
  return list;
}

Json format_facts(const FormatInfo& f)
{
  Json levels = Json::array(), fields = Json::array();
  for (std::size_t n = f.levels.size(); n-- > 0;)
    levels.push_back(
        {{"level", n},
         {"name", level_name(static_cast<Level>(n))},
         {"index", {{"high", f.levels[n].shift_lg2 + f.levels[n].index_bits - 1}, {"low", f.levels[n].shift_lg2}}},
         {"entry_bytes", u64{1} << f.levels[n].shift_lg2},
         {"leaf_allowed", f.levels[n].leaf_allowed}});
  std::vector<Field> ascending(f.fields.begin(), f.fields.end());
  std::stable_sort(ascending.begin(), ascending.end(), [](const Field& a, const Field& b) {
    return std::pair(a.shapes & in_software, std::countr_zero(a.mask)) <
           std::pair(b.shapes & in_software, std::countr_zero(b.mask));
  });
  for (const Field& field : ascending) {
    Json shapes = Json::array(), at = Json::array();
    if (field.shapes & in_leaf) shapes.push_back("leaf");
    if (field.shapes & in_table) shapes.push_back("table");
    if (field.shapes & in_software) shapes.push_back("software");
    for (unsigned n = 0; n < f.levels.size(); ++n)
      if (can_stand_at(f, field, n)) at.push_back(n);
    fields.push_back({{"name", field.name},
                      {"mask", hex(field.mask)},
                      {"bits", bits_text(field.mask)},
                      {"levels", std::move(at)},
                      {"shapes", std::move(shapes)},
                      {"meaning", field.meaning},
                      {"source", field.source}});
  }
  return {{"name", f.name},
          {"title", f.title},
          {"root_bytes", sizeof(u64) << f.levels.back().index_bits},
          {"rights", rights_facts(f)},
          {"dirty_by", f.dirty_bit ? "bit" : "write right"},
          {"break_before_make", f.break_before_make},
          {"caches_non_present", f.caches_non_present},
          {"levels", std::move(levels)},
          {"fields", std::move(fields)}};
}

std::string entry_targets(const Json& level)
{
  if (level["level"] == 0u) return "leaf";
  return level["leaf_allowed"] == true ? "leaf or table" : "table";
}

}  // namespace

u64 read_hex(const Json& facts) { return std::stoull(facts.get<std::string>(), nullptr, 16); }

std::string joined(const Json& list, std::string_view separator)
{
  std::string out;
  for (const Json& item : list)
    out += std::string(out.empty() ? "" : separator) +
           (item.is_string() ? item.get<std::string>() : std::to_string(item.get<u64>()));
  return out;
}

Outcome entry(Session&, const Arguments& arguments)
{
  const FormatInfo& format = *find_format(arguments.get<FormatId>("FORMAT"));
  const Level level = arguments.get<Level>("LEVEL");
  if (level >= format.levels.size())
    throw Failure(Exit::usage, arguments.command + ": LEVEL",
                  fmt::format("{} has no level {}", format.name, level_name(level)),
                  fmt::format("Its highest is {} ({}).", format.levels.size() - 1,
                              level_name(static_cast<Level>(format.levels.size() - 1))));
  return {entry_facts(inspect::decode(format, level, arguments.number("WORD")))};
}

Outcome formats(Session&, const Arguments& arguments)
{
  Json list = Json::array();
  for (const FormatInfo& f : format_table) {
    if (arguments.has("FORMAT") && arguments.get<FormatId>("FORMAT") != f.id) continue;
    Json facts = format_facts(f);
    if (!arguments.has("FORMAT") && !arguments.has("--markdown")) facts.erase("fields");
    list.push_back(std::move(facts));
  }
  return {{{"markdown", arguments.has("--markdown")}, {"formats", std::move(list)}}};
}

std::string render_entry(const Json& facts, const Style& style)
{
  const u64 word = read_hex(facts["word"]);
  std::string out =
      fmt::format("{} {} {}: {}\n  {}\n", facts["format"].get<std::string>(), facts["level"].get<std::string>(),
                  style.bold(hex(word, 16)), style.bold(facts["text"].get<std::string>()), ruler(word));
  if (facts.contains("reserved_bits"))
    out += "  " + style.bad("reserved bits set: " + facts["reserved_bits"].get<std::string>()) + "\n";
  using Align = TextTable::Align;
  TextTable table({Align::right, Align::left, Align::right});
  for (const Json& f : facts["fields"])
    table.add({bits_text(read_hex(f["mask"])), style.bold(f["name"].get<std::string>()), f["value"].get<std::string>(),
               f["meaning"].get<std::string>(), style.dim(f["source"].get<std::string>())});
  return out + table.text("  ");
}

std::string render_formats(const Json& facts, const Style& style)
{
  if (facts["markdown"] == true) return render_formats_page(facts);
  std::string out;
  for (const Json& f : facts["formats"]) {
    out += fmt::format("{}  {}\n", style.bold(f["name"].get<std::string>()), f["title"].get<std::string>());
    TextTable levels;
    for (const Json& l : f["levels"])
      levels.add({fmt::format("level {} ({})", l["level"].get<u64>(), l["name"].get<std::string>()),
                  fmt::format("index {}:{}", l["index"]["high"].get<u64>(), l["index"]["low"].get<u64>()),
                  "an entry covers " + bytes_text(l["entry_bytes"].get<u64>()), entry_targets(l)});
    out += levels.text("  ");
    if (!f.contains("fields")) continue;
    out += entry_drawings(f, "  ");
    using Align = TextTable::Align;
    TextTable fields({Align::right});
    fields.add({"bits", "field", "levels", "in", "meaning", "source"});
    for (const Json& field : f["fields"])
      fields.add({field["bits"].get<std::string>(), style.bold(field["name"].get<std::string>()),
                  joined(field["levels"], ","), joined(field["shapes"], ","), field["meaning"].get<std::string>(),
                  style.dim(field["source"].get<std::string>())});
    out += fields.text("  ");
  }
  return out;
}

}  // namespace morsel::session
