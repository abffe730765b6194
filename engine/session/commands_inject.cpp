// SPDX-License-Identifier: GPL-2.0-or-later
//
// inject add|list|clear: faults at points, deterministic and counted.
#include <fmt/format.h>

#include "engine/abi/morsel_ioctl.h"
#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

std::optional<TreeId> any_tree(const Arguments& arguments)
{
  if (!arguments.has("--view")) return {};
  const std::string& word = arguments.text("--view");
  if (word == "primary") return primary_tree;
  const u64 number = parse_number(arguments.command + ": --view", word);
  if (number > MORSEL_MAX_VIEWS)
    throw Failure(Exit::usage, arguments.command + ": --view", fmt::format("{} is no view's number", number),
                  "Write 'primary' or a number from 1; without --view the rule holds for every tree.");
  return static_cast<TreeId>(number);
}

}  // namespace

Outcome inject_add(Session& session, const Arguments& arguments)
{
  InjectRule rule;
  rule.point = arguments.get<SyncPoint>("POINT");
  rule.action = arguments.text("ACTION") == "fail" ? MORSEL_FAULT_FAIL : MORSEL_FAULT_DROP;
  rule.tree = any_tree(arguments);
  rule.nth = arguments.get_or<u64>("--nth", 1);
  rule.times = arguments.get_or<u64>("--times", 1);
  if (rule.nth == 0 || rule.times == 0)
    throw Failure(Exit::usage, arguments.command, "--nth and --times count from 1", "1 is the next access, once.");
  rule.number = session.target().inject(rule);
  return {{{"rules", Json::array({rule_facts(rule)})}}};
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

std::string render_rules(const Json& facts, const Style& style)
{
  if (facts["rules"].empty()) return "no rules\n";
  TextTable table;
  for (const Json& r : facts["rules"]) {
    const std::string view = r["view"].get<std::string>();
    table.add(
        {fmt::format("rule {}", r["rule"].get<u64>()),
         fmt::format("{} at {}", style.bold(r["action"].get<std::string>()), style.bold(r["point"].get<std::string>())),
         view == "any"       ? "of any tree"
         : view == "primary" ? "of the primary"
                             : "of view " + view,
         fmt::format("from access {}, {}", r["nth"].get<u64>(), plural(r["times"].get<u64>(), "time")),
         fmt::format("fired {}", plural(r["fired"].get<u64>(), "time"))});
  }
  return table.text();
}

}  // namespace morsel::session
