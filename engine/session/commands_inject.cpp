// SPDX-License-Identifier: GPL-2.0-or-later
//
// inject add|preset|presets|list|clear: faults at points, deterministic and counted.
#include <fmt/format.h>

#include <algorithm>

#include "engine/abi/morsel_ioctl.h"
#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/presets.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

morsel_fault_action action_of(const std::string& word)
{
  for (const auto action : {MORSEL_FAULT_DROP, MORSEL_FAULT_FAIL, MORSEL_FAULT_DELAY, MORSEL_FAULT_DUPLICATE,
                            MORSEL_FAULT_CORRUPT, MORSEL_FAULT_CRASH})
    if (action_name(action) == word) return action;
  return MORSEL_FAULT_NONE;  // the parser has let no other through
}

// What says when a rule fires; the same for all rules.
void read_when(const Arguments& arguments, InjectRule& rule)
{
  rule.nth = arguments.get_or<u64>("--nth", 1);
  rule.times = arguments.get_or<u64>("--times", 1);
  rule.interval = arguments.get_or<u64>("--interval", 1);
  if (rule.nth == 0 || rule.times == 0 || rule.interval == 0)
    throw Failure(Exit::usage, arguments.command, "--nth, --times and --interval count from 1",
                  "1 is the next access, once.");
  const u64 percent = arguments.get_or<u64>("--probability", 100);
  if (percent == 0 || percent > 100)
    throw Failure(Exit::usage, arguments.command + ": --probability",
                  fmt::format("{} is no percentage from 1 to 100", percent), {});
  rule.probability = static_cast<u32>(percent);
  rule.seed = arguments.get_or<u64>("--seed", 0);
  if (arguments.has("--range")) rule.range = arguments.get<Range>("--range");
  if (!arguments.has("--actor")) return;
  const u64 actor = arguments.number("--actor");
  if (actor == 0 || actor > ~u32{0})
    throw Failure(Exit::usage, arguments.command + ": --actor", fmt::format("{} is no actor", actor), "See: actors");
  rule.actor = static_cast<u32>(actor);
}

void read_action(const Arguments& arguments, InjectRule& rule)
{
  rule.action = action_of(arguments.text("ACTION"));
  const bool delays = rule.action == MORSEL_FAULT_DELAY;
  const bool corrupts = rule.action == MORSEL_FAULT_CORRUPT && rule.point != SyncPoint::copy;
  if (arguments.has("--until") != delays)
    throw Failure(Exit::usage, arguments.command, "--until POINT belongs to delay, and delay needs it",
                  "The access happens when its actor has passed that point, or else leaves its section.");
  if (arguments.has("--bits") != corrupts)
    throw Failure(Exit::usage, arguments.command, "--bits WORD belongs to corrupt, and corrupt needs it (but at copy)",
                  "The bits that are set in WORD are flipped in what is stored.");
  if (delays) rule.until = arguments.get<SyncPoint>("--until");
  if (corrupts) rule.bits = arguments.number("--bits");
  if (corrupts && rule.bits == 0) throw Failure(Exit::usage, arguments.command + ": --bits", "0 flips nothing", {});
}

Json preset_facts(const Preset& preset)
{
  return {{"name", preset.name},
          {"tree", preset.where == Preset::Where::view ? "view" : "primary"},
          {"point", point_name(preset.point)},
          {"action", action_name(preset.action)},
          {"does", preset.does},
          {"hardware", preset.hardware},
          {"breaks", preset.breaks}};
}

std::string object_text(const std::string& name) { return name.empty() ? "an object that is gone" : name; }

std::string when_text(const Json& r)
{
  std::string out = fmt::format("from access {}, {}", r["nth"].get<u64>(), plural(r["times"].get<u64>(), "time"));
  if (r.contains("range")) out += ", in " + range_text(read_range(r["range"]));
  if (r.contains("actor")) out += fmt::format(", actor {}", r["actor"].get<u64>());
  if (r.contains("interval")) out += fmt::format(", each {}th", r["interval"].get<u64>());
  if (r.contains("probability"))
    out += fmt::format(", {} % of seed {}", r["probability"].get<u64>(), r["seed"].get<u64>());
  if (r.contains("until")) out += ", until " + r["until"].get<std::string>();
  if (r.contains("bits")) out += ", bits " + r["bits"].get<std::string>();
  return out;
}

}  // namespace

Outcome inject_add(Session& session, const Arguments& arguments)
{
  InjectRule rule;
  rule.point = arguments.get<SyncPoint>("POINT");
  rule.tree = tree_option(session, arguments);
  if (arguments.has("--object"))
    rule.object = find_object(session.target(), arguments.command, arguments.text("--object")).name;
  read_action(arguments, rule);
  read_when(arguments, rule);
  rule.number = session.target().inject(rule);
  return {{{"rules", Json::array({rule_facts(rule)})}}};
}

Outcome inject_preset(Session& session, const Arguments& arguments)
{
  const std::string& name = arguments.text("PRESET");
  const Preset* const preset = find_preset(name);
  if (!preset) {
    std::vector<std::string_view> names;
    for (const Preset& p : presets()) names.push_back(p.name);
    throw Failure(Exit::usage, arguments.command, fmt::format("'{}' is no preset", name), suggest(name, names));
  }
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  InjectRule rule;
  rule.point = preset->point;
  rule.action = preset->action;
  rule.object = object.name;
  rule.tree = primary_tree;
  FormatId format = object.source().format;
  if (preset->where == Preset::Where::view) {
    if (!arguments.has("VIEW"))
      throw Failure(Exit::usage, arguments.command, fmt::format("'{}' needs a view", name), "'view list' shows them.");
    rule.tree = find_tree(object, arguments.command, arguments.text("VIEW"));
    if (*rule.tree == primary_tree)
      throw Failure(Exit::usage, arguments.command, fmt::format("'{}' is about a view, not the primary", name), {});
    for (const ViewState& v : object.views)
      if (v.number == *rule.tree) format = v.format;
  }
  if (preset->bits) rule.bits = preset->bits(format);
  if (preset->bits && rule.bits == 0)
    throw Failure(Exit::usage, arguments.command,
                  fmt::format("a leaf of {} has no bit for '{}'", find_format(format)->name, name),
                  "Another format has: 'formats'.");
  read_when(arguments, rule);
  rule.number = session.target().inject(rule);
  return {{{"rules", Json::array({rule_facts(rule)})}, {"preset", preset_facts(*preset)}}};
}

Outcome inject_presets(Session&, const Arguments&)
{
  Json list = Json::array();
  for (const Preset& p : presets()) list.push_back(preset_facts(p));
  return {{{"presets", std::move(list)}}};
}

Outcome inject_list(Session& session, const Arguments&)
{
  Json rules = Json::array();
  for (const InjectRule& r : session.target().injected()) rules.push_back(rule_facts(r));
  return {{{"rules", std::move(rules)}}};
}

Outcome inject_clear(Session& session, const Arguments&)
{
  session.target().clear_injected();
  return inject_list(session, {});
}

std::string render_presets(const Json& facts, const Style& style)
{
  std::string out;
  for (const Json& p : facts["presets"])
    out += fmt::format("{}  {} at {}, {}\n  {}\n  Hardware: {}\n  Expected to break: {}\n",
                       style.bold(p["name"].get<std::string>()), p["action"].get<std::string>(),
                       p["point"].get<std::string>(), p["tree"] == "view" ? "of a view" : "of the primary",
                       p["does"].get<std::string>(), p["hardware"].get<std::string>(), p["breaks"].get<std::string>());
  return out;
}

std::string render_rules(const Json& facts, const Style& style)
{
  if (facts["rules"].empty()) return "no rules\n";
  TextTable table;
  for (const Json& r : facts["rules"]) {
    const std::string view = r["view"].get<std::string>();
    table.add(
        {fmt::format("rule {}", r["rule"].get<u64>()),
         fmt::format("{} at {}", style.bold(r["action"].get<std::string>()), style.bold(r["point"].get<std::string>())),
         (view == "any"       ? "of any tree"
          : view == "primary" ? "of the primary"
                              : "of view " + view) +
             (r.contains("object") ? " of " + object_text(r["object"].get<std::string>()) : ""),
         when_text(r), fmt::format("fired {}", plural(r["fired"].get<u64>(), "time"))});
  }
  if (!facts.contains("preset")) return table.text();
  const Json& p = facts["preset"];
  return table.text() + fmt::format("  {}\n  Hardware: {}\n  Expected to break: {}\n", p["does"].get<std::string>(),
                                    p["hardware"].get<std::string>(), p["breaks"].get<std::string>());
}

}  // namespace morsel::session
