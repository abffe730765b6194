// SPDX-License-Identifier: GPL-2.0-or-later
//
// Facts of objects, views, entries, rules and counters. Trees and diffs: facts_tree.cpp.
#include "engine/session/facts.hpp"

#include "engine/session/words.hpp"

namespace morsel::session {

Json view_facts(const ViewState& view)
{
  return {{"view", view.number},
          {"format", find_format(view.format)->name},
          {"root", hex(view.root.value)},
          {"root_level", level_name(view.root_level)},
          {"attached", view.attached}};
}

Json object_facts(const ObjectState& object)
{
  Json views = Json::array();
  for (const ViewState& v : object.views) views.push_back(view_facts(v));
  return {{"name", object.name},
          {"id", object.id},
          {"bytes", object.bytes},
          {"format", find_format(object.source().format)->name},
          {"root", hex(object.root.value)},
          {"root_level", level_name(object.root_level)},
          {"attached", object.attached},
          {"tables", object.tables},
          {"frames", object.frames},
          {"views", std::move(views)},
          {"frozen", object.frozen},
          {"base", object.base.empty() ? Json() : Json(object.base)},
          {"clones", object.clones},
          {"foreign", object.maker == inspect::Maker::foreign}};
}

Json range_facts(Range range) { return {{"start", range.start}, {"end", range.end}}; }

Range read_range(const Json& facts) { return {facts.at("start").get<u64>(), facts.at("end").get<u64>()}; }

Json entry_facts(const inspect::DecodedEntry& entry)
{
  Json fields = Json::array();
  for (const inspect::DecodedField& f : entry.fields)
    fields.push_back({{"name", f.name},
                      {"mask", hex(f.mask)},
                      {"value", hex(f.value)},
                      {"meaning", f.meaning},
                      {"source", f.source}});
  Json facts{{"format", find_format(entry.format)->name},
             {"level", level_name(entry.level)},
             {"word", hex(entry.word)},
             {"kind", inspect::kind_name(entry.kind)},
             {"text", inspect::one_line(entry)}};
  if (entry.kind == EntryKind::leaf || entry.kind == EntryKind::table) {
    facts["address"] = hex(entry.address.value);
    facts["rights"] = inspect::rights_text(entry.rights);
  }
  if (entry.reserved_bits != 0) facts["reserved_bits"] = hex(entry.reserved_bits);
  if (entry.kind == EntryKind::reserved) {
    facts["token"] = entry.token;
    facts["stale"] = entry.stale;
  }
  facts["fields"] = std::move(fields);
  return facts;
}

Json step_facts(const inspect::WalkStep& step)
{
  Json facts = entry_facts(step.entry);
  facts["table"] = hex(step.table.value);
  facts["index"] = step.index;
  facts["entry_address"] = hex(step.entry_address.value);
  return facts;
}

std::string_view action_name(morsel_fault_action action)
{
  switch (action) {
    case MORSEL_FAULT_NONE: return "none";
    case MORSEL_FAULT_DROP: return "drop";
    case MORSEL_FAULT_FAIL: return "fail";
    case MORSEL_FAULT_DELAY: return "delay";
    case MORSEL_FAULT_DUPLICATE: return "duplicate";
    case MORSEL_FAULT_CORRUPT: return "corrupt";
    case MORSEL_FAULT_CRASH: return "crash";
  }
  return "unknown";
}

Json rule_facts(const InjectRule& rule)
{
  Json facts{{"rule", rule.number}, {"point", point_name(rule.point)}, {"action", action_name(rule.action)}};
  if (!rule.tree)
    facts["view"] = "any";
  else if (*rule.tree == primary_tree)
    facts["view"] = "primary";
  else
    facts["view"] = std::to_string(*rule.tree);
  if (rule.object) facts["object"] = *rule.object;
  facts["nth"] = rule.nth;
  facts["times"] = rule.times;
  facts["fired"] = rule.fired;
  if (rule.range) facts["range"] = range_facts(*rule.range);
  if (rule.actor) facts["actor"] = *rule.actor;
  if (rule.interval != 1) facts["interval"] = rule.interval;
  if (rule.probability != 100) {
    facts["probability"] = rule.probability;
    facts["seed"] = rule.seed;
  }
  if (rule.action == MORSEL_FAULT_DELAY) facts["until"] = point_name(rule.until);
  if (rule.bits != 0) facts["bits"] = hex(rule.bits);
  return facts;
}

Json counters_facts(const Counters& c)
{
  Json facts;
#define MORSEL_COUNTER_FACT(field, name) facts[#field] = c.field;
  MORSEL_COUNTER_LIST(MORSEL_COUNTER_FACT)
#undef MORSEL_COUNTER_FACT
  return facts;
}

}  // namespace morsel::session
