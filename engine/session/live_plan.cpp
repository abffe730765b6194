// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/live_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/inspect/decode.hpp"

namespace morsel::session {

namespace {

using Words = std::vector<std::string>;
using Kind = sim::Act::Kind;

// As many as a rule may have in the kernel module where an operation would otherwise try for ever.
constexpr u64 most_times = 4096;

std::string name() { return std::string(explored_name); }

std::string range_word(Range range)
{
  if (range == Range{0, ~u64{0}}) return "all";
  return fmt::format("{:#x}..{:#x}", range.start, range.end);
}

std::string rights_word(Rights rights)
{
  std::string text = inspect::rights_text(rights);
  std::erase(text, '-');
  return text;
}

std::string leaf_word(Level level)
{
  if (level > 1) refuse("leaves of 1 GiB: no command makes them");
  return level == 0 ? "4K" : "2M";
}

Words access_words(const sim::Act& act)
{
  const bool fills = act.kind == Kind::fill;
  const Rights right = fills ? act.rights : act.kind == Kind::write ? right_write : right_read;
  if (right != right_read && right != right_write && right != right_exec)
    refuse(fmt::format("'{}' asks for several rights at once; an access asks for one", sim::to_text(act)));
  Words words{"access",
              name(),
              std::to_string(act.view),
              fmt::format("{:#x}", act.range.start),
              right == right_read    ? "read"
              : right == right_write ? "write"
                                     : "exec",
              "--no-populate"};
  if (fills) words.emplace_back("--no-touch");
  return words;
}

bool reads(sim::Access access)
{
  using sim::Access;
  return access == Access::load || access == Access::read || access == Access::take_dirty || access == Access::enter;
}

constexpr std::string_view twist_names[] = {"none",  "plain",  "blind", "old",   "unmarked", "leaf", "late",  "early",
                                            "alone", "hidden", "wide",  "clean", "asked",    "both", "swept", "ahead"};
static_assert(std::size(twist_names) == static_cast<std::size_t>(sim::Twist::ahead) + 1);

}  // namespace

void refuse(const std::string& what)
{
  throw Failure(Exit::skipped, "replay with this machine's own tasks", what,
                "'replay TOKEN --how explored' does it in the explorer's machine.");
}

bool is_hardware(const sim::Act& act) { return act.kind == Kind::write || act.kind == Kind::read; }

FormatId format_of(const sim::Scenario& scenario, TreeId tree)
{
  if (tree == primary_tree) return PrimaryFormat::id;
  if (tree <= scenario.views.size()) return scenario.views[tree - 1u];
  for (const std::vector<sim::Act>* acts : {&scenario.before, &scenario.actors})
    for (const sim::Act& act : *acts)
      if (act.kind == Kind::add_view && act.view == tree) return act.format;
  return FormatId::npt;
}

Words words_of(const sim::Act& act)
{
  const std::string range = range_word(act.range);
  switch (act.kind) {
    case Kind::fill:
    case Kind::write:
    case Kind::read: return access_words(act);
    case Kind::unmap: return {"object", "unmap", name(), range};
    case Kind::protect: return {"object", "protect", name(), range, rights_word(act.rights)};
    case Kind::populate:
      return {"object",   "populate",
              name(),     range,
              "--rights", rights_word(act.rights),
              "--leaf",   leaf_word(act.leaf_level)};
    case Kind::split: return {"object", "split", name(), range, "--leaf", leaf_word(act.leaf_level)};
    case Kind::merge: return {"object", "merge", name(), range, "--leaf", leaf_word(act.leaf_level)};
    case Kind::migrate: return {"object", "migrate", name(), range};
    case Kind::harvest: return {"object", "harvest", name(), range};
    case Kind::add_view: return {"view", "add", name(), std::string(find_format(act.format)->name)};
    case Kind::drop_view: return {"view", "drop", name(), std::to_string(act.view)};
    default: refuse(fmt::format("'{}': there is no command for it", sim::to_text(act)));
  }
}

std::vector<Words> stage_of(const sim::Scenario& scenario)
{
  constexpr const char* levels[] = {"pte", "pmd", "pud"};
  std::vector<Words> commands{
      {"object", "create", name(), std::to_string(scenario.bytes), "--level", levels[scenario.root_level]}};
  for (const FormatId format : scenario.views)
    commands.push_back({"view", "add", name(), std::string(find_format(format)->name)});
  for (const sim::Act& act : scenario.before) commands.push_back(words_of(act));
  return commands;
}

// A machine's own walker uses the primary, so that a harvest clears and flushes there, too: the rule is not about that.
std::optional<TreeId> harvested_view(const sim::FaultRule& rule, const sim::Scenario& scenario)
{
  const bool harvests = std::any_of(scenario.actors.begin(), scenario.actors.end(),
                                    [](const sim::Act& act) { return act.kind == Kind::harvest; });
  const bool there = rule.point == SyncPoint::harvest || rule.point == SyncPoint::flush;
  if (!harvests || !there || rule.tree) return rule.tree;
  if (scenario.views.size() != 1)
    refuse(fmt::format("the rule for '{}' does not say of which view, and a harvest here is of the primary, too",
                       point_name(rule.point)));
  return 1;
}

InjectRule rule_of(const sim::FaultRule& rule, const sim::Scenario& scenario)
{
  const std::string word(point_name(rule.point));
  if (rule.twist != sim::Twist::none && rule.twist != sim::Twist::late)
    refuse(fmt::format("'{}:{}' makes another access of it", twist_names[static_cast<std::size_t>(rule.twist)], word));
  if (rule.when != sim::When::always) refuse(fmt::format("the rule for '{}' has a condition", word));
  InjectRule made;
  made.point = rule.point;
  made.action = rule.twist == sim::Twist::late ? MORSEL_FAULT_DELAY : rule.action;
  made.tree = harvested_view(rule, scenario);
  made.nth = rule.nth;
  made.times = std::min(rule.times, most_times);
  made.until = rule.until;
  return made;
}

void refuse_what_is_not_offered(const sim::Scenario& scenario, const ExploredChronicle& explored)
{
  if (scenario.primary_walked) refuse("'walked': no hardware walks the primary");
  if (scenario.reuse_tokens) refuse("'same_token': reservations and moves have tokens of their own");
  if (scenario.no_grace_periods || scenario.slow_release) refuse("grace periods are what they are");
  if (scenario.local_flush) refuse("'local_flush': caching is not what is compared here");
  for (const sim::Act& act : scenario.actors) words_of(act);
  stage_of(scenario);
  for (const sim::FaultRule& rule : scenario.faults) rule_of(rule, scenario);
  const auto records = explored.chronicle.journal.records();
  for (std::size_t i = 0; i < records.size(); ++i)
    if (records[i].fault_action != MORSEL_FAULT_NONE && reads(explored.steps[i].what.access))
      refuse(fmt::format("'{}' is left out there, and gives the actor nothing: only the explorer has that",
                         point_name(explored.steps[i].what.point)));
}

}  // namespace morsel::session
