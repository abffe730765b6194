// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/journal_text.hpp"

#include <fmt/format.h>

#include "engine/abi/morsel_ioctl.h"
#include "engine/morsel/object.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

constexpr u64 max_memory_bytes = u64{1} << 40;
constexpr Level max_primary_root = 2;

void require(bool holds, const std::string& otherwise)
{
  if (!holds) throw BadText("its description " + otherwise);
}

// Numbers stand as numbers: positions, sizes, addresses below 2^53.
u64 number(const Json& facts, const char* name)
{
  const auto found = facts.find(name);
  require(found != facts.end() && found->is_number_unsigned(), fmt::format("has no number '{}'", name));
  return found->get<u64>();
}

std::string text(const Json& facts, const char* name)
{
  const auto found = facts.find(name);
  require(found != facts.end() && found->is_string(), fmt::format("has no text '{}'", name));
  return found->get<std::string>();
}

const Json& list(const Json& facts, const char* name)
{
  const auto found = facts.find(name);
  require(found != facts.end() && found->is_array(), fmt::format("has no list '{}'", name));
  return *found;
}

Json tree_text(const inspect::TreeSource& tree)
{
  return {{"format", find_format(tree.format)->name}, {"root", tree.root.value}, {"root_level", tree.root_level}};
}

Json object_text(const ObjectState& o)
{
  Json views = Json::array();
  for (const ViewState& v : o.views) {
    Json view{{"number", v.number}, {"attached", v.attached}};
    view.update(tree_text(v.source()));
    views.push_back(std::move(view));
  }
  return {{"name", o.name},
          {"id", o.id},
          {"bytes", o.bytes},
          {"root", o.root.value},
          {"root_level", o.root_level},
          {"attached", o.attached},
          {"tables", o.tables},
          {"frames", o.frames},
          {"views", std::move(views)},
          {"frozen", o.frozen ? 1 : 0},
          {"base", o.base},
          {"clones", o.clones}};
}

ViewState view_of(const Json& facts, Level primary_root)
{
  ViewState v;
  const u64 n = number(facts, "number"), level = number(facts, "root_level");
  const std::string name = text(facts, "format");
  const FormatInfo* const format = find_format(std::string_view(name));
  require(format != nullptr, fmt::format("names the format '{}', which is unknown", name));
  require(n >= 1 && n <= MORSEL_MAX_VIEWS, fmt::format("has a view of the number {}", n));
  require(level < format->levels.size() && level >= primary_root,
          fmt::format("has a view with a level-{} root", level));
  v.number = static_cast<TreeId>(n);
  v.format = format->id;
  v.root = {number(facts, "root")};
  v.root_level = static_cast<Level>(level);
  v.attached = static_cast<u32>(number(facts, "attached"));
  return v;
}

ObjectState object_of(const Json& facts)
{
  ObjectState o;
  const u64 level = number(facts, "root_level");
  o.name = text(facts, "name");
  o.id = static_cast<u32>(number(facts, "id"));
  o.bytes = number(facts, "bytes");
  require(level <= max_primary_root, fmt::format("has a primary with a level-{} root", level));
  o.root_level = static_cast<Level>(level);
  require(o.bytes <= page_bytes << 9u * (level + 1), fmt::format("has an object of {} bytes", o.bytes));
  o.root = {number(facts, "root")};
  o.attached = static_cast<u32>(number(facts, "attached"));
  o.tables = number(facts, "tables");
  o.frames = number(facts, "frames");
  o.frozen = number(facts, "frozen") != 0;
  o.base = text(facts, "base");
  o.clones = static_cast<u32>(number(facts, "clones"));
  for (const Json& v : list(facts, "views")) o.views.push_back(view_of(v, o.root_level));
  return o;
}

std::vector<Extent> extents_of_text(const Json& facts)
{
  std::vector<Extent> extents;
  u64 total = 0, end = 0;
  for (const Json& part : list(facts, "memory")) {
    const Extent e{number(part, "start"), number(part, "bytes")};
    const bool good = is_aligned(e.start, page_bytes) && is_aligned(e.bytes, page_bytes) && e.start >= end &&
                      e.bytes <= max_memory_bytes - total && e.start <= ~u64{0} - e.bytes;
    require(good, fmt::format("has memory at {:#x} of {:#x} bytes", e.start, e.bytes));
    total += e.bytes;
    end = e.start + e.bytes;
    extents.push_back(e);
  }
  return extents;
}

std::vector<ObjectsSince> objects_of_text(const Json& facts, u64 records)
{
  std::vector<ObjectsSince> states;
  for (const Json& since : list(facts, "objects")) {
    const u64 position = number(since, "position");
    require(states.empty() ? position == 0 : position > states.back().position && position <= records,
            fmt::format("has objects at position {}", position));
    states.push_back({position, {}});
    for (const Json& o : list(since, "objects")) states.back().objects.push_back(object_of(o));
  }
  require(!states.empty(), "says nothing of the objects");
  return states;
}

}  // namespace

std::string chronicle_text(const Chronicle& chronicle)
{
  Json memory = Json::array(), objects = Json::array(), gaps = Json::array(), doubts = Json::array(),
       findings = Json::array();
  for (const Extent& e : chronicle.history->extents()) memory.push_back({{"start", e.start}, {"bytes", e.bytes}});
  for (const ObjectsSince& since : chronicle.history->objects_since()) {
    Json states = Json::array();
    for (const ObjectState& o : since.objects) states.push_back(object_text(o));
    objects.push_back({{"position", since.position}, {"objects", std::move(states)}});
  }
  for (const JournalGap& g : chronicle.journal.gaps()) gaps.push_back({{"before", g.before}, {"lost", g.lost}});
  for (const Doubt& d : chronicle.history->doubts()) doubts.push_back({{"from", d.from}, {"to", d.to}});
  for (const Finding& f : chronicle.findings) findings.push_back({{"position", f.position}, {"text", f.text}});
  const Journal& journal = chronicle.journal;
  return json_line({{"target", chronicle.target},
                    {"lost", journal.lost},
                    {"garbage", journal.garbage},
                    {"forgotten", journal.forgotten},
                    {"memory", std::move(memory)},
                    {"objects", std::move(objects)},
                    {"gaps", std::move(gaps)},
                    {"doubts", std::move(doubts)},
                    {"findings", std::move(findings)}});
}

Chronicle chronicle_of_text(std::string_view text_bytes, u64 records)
{
  const Json facts = Json::parse(text_bytes, nullptr, false);
  require(facts.is_object(), "is no JSON object");
  std::vector<Doubt> doubts;
  for (const Json& d : list(facts, "doubts")) {
    const Doubt doubt{number(d, "from"), number(d, "to")};
    require(doubt.from <= doubt.to && doubt.to <= records, "doubts positions that are not there");
    doubts.push_back(doubt);
  }
  Chronicle chronicle;
  chronicle.target = text(facts, "target");
  if (facts.contains("findings"))
    for (const Json& f : list(facts, "findings")) {
      require(number(f, "position") <= records, "has a finding behind the last record");
      chronicle.findings.push_back({number(f, "position"), text(f, "text")});
    }
  // Gaps show in the records; one before the first does not.
  for (const Json& g : list(facts, "gaps")) {
    require(number(g, "before") <= records, "has a gap behind the last record");
    if (number(g, "before") == 0) chronicle.journal.append_gap({0, number(g, "lost")});
  }
  chronicle.journal.lost = number(facts, "lost");
  chronicle.journal.garbage = number(facts, "garbage");
  chronicle.journal.forgotten = number(facts, "forgotten");
  chronicle.history =
      std::make_unique<History>(extents_of_text(facts), objects_of_text(facts, records), std::move(doubts));
  return chronicle;
}

}  // namespace morsel::session
