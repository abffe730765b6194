// SPDX-License-Identifier: GPL-2.0-or-later
//
// walk: every entry that a hardware walk touches, decoded. With --guest the walk is two-dimensional: the address is a
// guest-virtual one, the guest's tables lie in the object, and each of their addresses goes through the nested view.
#include <fmt/format.h>

#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

inspect::TreeSource source_of(const ObjectState& object, TreeId tree)
{
  for (const ViewState& v : object.views)
    if (v.number == tree) return v.source();
  return object.source();
}

Json trace_facts(const inspect::WalkTrace& trace)
{
  Json steps = Json::array();
  for (const inspect::WalkStep& s : trace.steps) steps.push_back(step_facts(s));
  Json facts{{"end", inspect::walk_end_name(trace.end)}};
  if (trace.end == inspect::WalkEnd::translated || trace.end == inspect::WalkEnd::denied) {
    facts["target"] = hex(trace.target.value);
    facts["leaf_level"] = level_name(trace.leaf_level);
    facts["rights"] = inspect::rights_text(trace.rights) + (trace.user ? " U" : "");
  }
  facts["steps"] = std::move(steps);
  return facts;
}

Json nested_facts(const inspect::NestedWalkTrace& trace)
{
  Json guest = Json::array(), nested = Json::array();
  for (const inspect::WalkStep& s : trace.guest) guest.push_back(step_facts(s));
  for (const inspect::WalkTrace& t : trace.nested) nested.push_back(trace_facts(t));
  Json facts{{"end", inspect::walk_end_name(trace.end)}};
  if (trace.end == inspect::WalkEnd::translated) facts["target"] = hex(trace.target.value);
  facts["guest"] = std::move(guest);
  facts["nested"] = std::move(nested);
  return facts;
}

// Fields that are set, in the order of the format.
std::string fields_text(const Json& step)
{
  std::string out;
  for (const Json& f : step["fields"]) {
    const std::string name = f["name"].get<std::string>(), value = f["value"].get<std::string>();
    if (value == "0x0" || name == "ign" || name == "frame" || name == "table") continue;
    out += (out.empty() ? "" : " ") + (value == "0x1" ? name : name + "=" + value);
  }
  return out;
}

void add_step(TextTable& table, const Json& step, const Style& style, const std::string& indent)
{
  table.add({fmt::format("{}{}", indent, style.bold(step["level"].get<std::string>())),
             fmt::format("{}[{}]", step["table"].get<std::string>(), step["index"].get<u64>()),
             "@" + step["entry_address"].get<std::string>(), step["word"].get<std::string>(),
             step["text"].get<std::string>(), style.dim(fields_text(step))});
}

std::string end_text(const Json& facts, const Style& style)
{
  const std::string end = facts["end"].get<std::string>();
  if (facts.contains("target") && facts.contains("rights"))
    return fmt::format("{} {} ({} leaf, {})", end == "translated" ? style.good(end) : style.bad(end),
                       facts["target"].get<std::string>(), facts["leaf_level"].get<std::string>(),
                       facts["rights"].get<std::string>());
  if (facts.contains("target")) return fmt::format("{} {}", style.good(end), facts["target"].get<std::string>());
  return style.bad(end);
}

std::string render_nested(const Json& facts, const Style& style)
{
  std::string out;
  for (std::size_t i = 0; i < facts["nested"].size(); ++i) {
    const bool is_table = i < facts["guest"].size();
    const Json& nested = facts["nested"][i];
    TextTable table;
    for (const Json& step : nested["steps"]) add_step(table, step, style, "  ");
    out += fmt::format("{} through the nested tables: {}\n{}",
                       is_table ? fmt::format("guest {} table", facts["guest"][i]["level"].get<std::string>())
                                : std::string("guest-physical address of the result"),
                       end_text(nested, style), table.text("  "));
    if (!is_table) continue;
    TextTable own;
    add_step(own, facts["guest"][i], style, "");
    out += own.text();
  }
  return out;
}

std::optional<u64> offset_in(const ObjectState& object, u64 address)
{
  if (object.maker == inspect::Maker::engine) return address;
  return inspect::offset_of(*find_format(object.format), address);
}

Rights right_of(const std::string& word)
{
  return word == "write" ? right_write : word == "exec" ? right_exec : right_read;
}

}  // namespace

Outcome walk(Session& session, const Arguments& arguments)
{
  const Scene scene = session.scene();
  const ObjectState object = find_object(scene, arguments.command, arguments.text("NAME"));
  const TreeId tree = find_tree(object, arguments.command, arguments.text("VIEW"));
  const inspect::TreeSource source = source_of(object, tree);
  const std::string access_kind = arguments.get_or<std::string>("ACCESS", "read");
  const u64 address = arguments.number("OFFSET");
  const bool two_dimensional = arguments.has("--guest");
  Json facts{{"object", object.name},
             {"view", tree},
             {"format", find_format(source.format)->name},
             {two_dimensional ? "guest_address" : "offset", address},
             {"access", access_kind}};
  const inspect::PhysicalMemory& memory = scene.memory;
  if (two_dimensional) {
    if (tree == primary_tree && object.maker == inspect::Maker::engine)
      throw Failure(Exit::usage, arguments.command, "--guest needs a nested view, not the primary",
                    "Add one: view add " + object.name + " ept (or npt).");
    const FormatId id = arguments.get_or("--guest-format", FormatId::amd64);
    const inspect::TreeSource guest{id, PhysAddr{arguments.number("--guest")},
                                    static_cast<Level>(find_format(id)->levels.size() - 1), source.maker};
    facts["guest_root"] = hex(guest.root.value);
    facts["guest_format"] = find_format(id)->name;
    facts.update(nested_facts(inspect::trace_nested_walk(memory, guest, source, address, right_of(access_kind))));
  } else {
    const u64 offset = offset_in(object, address).value_or(object.bytes);
    if (offset >= object.bytes)
      throw Failure(Exit::usage, arguments.command + ": OFFSET", fmt::format("{:#x} lies beyond the object", address),
                    fmt::format("'{}' is {}.", object.name, range_text(object.range())));
    facts.update(trace_facts(inspect::trace_walk(memory, source, offset, right_of(access_kind))));
  }
  const bool translated = facts["end"] == inspect::walk_end_name(inspect::WalkEnd::translated);
  return {facts, translated ? 0 : static_cast<int>(Exit::check_failed)};
}

std::string render_walk(const Json& facts, const Style& style)
{
  const bool nested = facts.contains("nested");
  const u64 address = facts[nested ? "guest_address" : "offset"].get<u64>();
  const std::string whose = facts["view"] == 0u ? "primary" : fmt::format("view {}", facts["view"].get<u64>());
  std::string out = fmt::format("{} {} ({}) {} at {}{:#x}: {}\n", style.bold(facts["object"].get<std::string>()), whose,
                                facts["format"].get<std::string>(), facts["access"].get<std::string>(),
                                nested ? "guest-virtual " : "", address, end_text(facts, style));
  if (nested) return out + render_nested(facts, style);
  TextTable table;
  for (const Json& step : facts["steps"]) add_step(table, step, style, "");
  return out + table.text("  ");
}

}  // namespace morsel::session
