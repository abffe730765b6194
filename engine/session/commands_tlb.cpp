// SPDX-License-Identifier: GPL-2.0-or-later
//
// tlb: what the walker of a view has cached, beside what its tables say by now. Only a machine that we have made
// ourselves can be asked that.
#include <fmt/format.h>

#include "engine/inspect/walk.hpp"
#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

const ViewState& find_view(const ObjectState& object, const Arguments& arguments)
{
  const TreeId tree = find_tree(object, arguments.command, arguments.text("VIEW"));
  for (const ViewState& v : object.views)
    if (v.number == tree) return v;
  throw Failure(Exit::usage, arguments.command, "nothing is cached of a primary that no process has mapped",
                "Views have walkers: 'view list " + object.name + "'.");
}

bool is_mapped(const inspect::WalkTrace& now)
{
  return now.end == inspect::WalkEnd::translated || now.end == inspect::WalkEnd::denied;
}

bool is_stale(const WalkerCaches::Translation& t, const inspect::WalkTrace& now)
{
  if (t.absent) return is_mapped(now);
  return !is_mapped(now) || now.target != t.frame || !now.rights.includes(t.rights);
}

Json translation_facts(const WalkerCaches::Translation& t, const inspect::WalkTrace& now)
{
  Json facts{{"offset", t.page}, {"stale", is_stale(t, now)}, {"absent", t.absent}};
  if (!t.absent) {
    facts["frame"] = hex(t.frame.value);
    facts["rights"] = inspect::rights_text(t.rights);
    facts["leaf_level"] = level_name(t.level);
    facts["dirty"] = t.dirty;
  }
  if (is_mapped(now))
    facts["tables"] = {{"frame", hex(now.target.value)}, {"rights", inspect::rights_text(now.rights)}};
  return facts;
}

std::string mapping_text(const Json& facts)
{
  return facts["frame"].get<std::string>() + " " + facts["rights"].get<std::string>();
}

}  // namespace

Outcome tlb(Session& session, const Arguments& arguments)
{
  if (session.recorder().in_past())
    throw Failure(Exit::usage, arguments.command, "what walkers had cached is not recorded",
                  "'goto now' returns to the present; 'branch' makes the machine again as it was, caches included.");
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const ViewState& view = find_view(object, arguments);
  const std::optional<WalkerCaches> caches = session.target().cached(object.name, view.number);
  if (!caches)
    throw Failure(Exit::skipped, arguments.command, "hardware shows nobody what it has cached",
                  "The embedded machine does: morselctl --embedded.");
  Json translations = Json::array(), tables = Json::array();
  for (const WalkerCaches::Translation& t : caches->translations)
    translations.push_back(
        translation_facts(t, inspect::trace_walk(session.target().memory(), view.source(), t.page, right_read)));
  for (const WalkerCaches::Table& t : caches->tables)
    tables.push_back(
        {{"range", range_facts(t.range)}, {"level", level_name(t.level)}, {"address", hex(t.table.value)}});
  return {{{"object", object.name},
           {"view", view.number},
           {"translations", std::move(translations)},
           {"tables", std::move(tables)}}};
}

std::string render_tlb(const Json& facts, const Style& style)
{
  std::string out = fmt::format("{} view {}: {} pages and {} pointers to tables are cached\n",
                                style.bold(facts["object"].get<std::string>()), facts["view"].get<u64>(),
                                facts["translations"].size(), facts["tables"].size());
  TextTable table;
  for (const Json& t : facts["translations"]) {
    const bool absent = t["absent"].get<bool>();
    const std::string now = t.contains("tables") ? mapping_text(t["tables"]) : "nothing";
    table.add({fmt::format("{:#x}", t["offset"].get<u64>()), absent ? "absent" : "→ " + mapping_text(t),
               absent ? "" : t["leaf_level"].get<std::string>() + " leaf",
               !absent && t["dirty"].get<bool>() ? "dirty" : "",
               t["stale"].get<bool>() ? style.bad("stale: its tables have " + now) : ""});
  }
  for (const Json& t : facts["tables"])
    table.add({range_text(read_range(t["range"])), "→ " + t["address"].get<std::string>(),
               t["level"].get<std::string>() + " table"});
  return out + table.text("  ");
}

}  // namespace morsel::session
