// SPDX-License-Identifier: GPL-2.0-or-later
//
// view add|drop|list, access
#include <fmt/format.h>

#include "engine/session/commands.hpp"
#include "engine/session/facts.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

std::string tree_title(u64 number) { return number == primary_tree ? "primary" : fmt::format("view {}", number); }

}  // namespace

Outcome view_add(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const ViewState view = session.target().add_view(object.name, arguments.get<FormatId>("FORMAT"));
  Json facts{{"object", object.name}, {"done", "added"}};
  facts.update(view_facts(view));
  return {facts};
}

Outcome view_drop(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const TreeId tree = find_tree(object, arguments.command, arguments.text("VIEW"));
  if (tree == primary_tree)
    throw Failure(Exit::usage, arguments.command, "the primary is no view and cannot be dropped",
                  "object destroy takes the whole object away.");
  Json facts{{"object", object.name}, {"done", "dropped"}};
  for (const ViewState& v : object.views)
    if (v.number == tree) facts.update(view_facts(v));
  session.target().drop_view(object.name, tree);
  return {facts};
}

Outcome view_list(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.scene(), arguments.command, arguments.text("NAME"));
  Json views = Json::array();
  for (const ViewState& v : object.views) views.push_back(view_facts(v));
  return {{{"object", object.name}, {"views", std::move(views)}}};
}

Outcome access(Session& session, const Arguments& arguments)
{
  const ObjectState object = find_object(session.target(), arguments.command, arguments.text("NAME"));
  const std::string& kind = arguments.text("ACCESS");
  AccessRequest request;
  request.object = object.name;
  request.view = find_tree(object, arguments.command, arguments.text("VIEW"));
  request.offset = arguments.number("OFFSET");
  request.right = kind == "read" ? right_read : kind == "write" ? right_write : right_exec;
  request.value = arguments.get_or<u64>("--value", 0);
  request.populate = !arguments.has("--no-populate");
  request.touch = !arguments.has("--no-touch");
  request.vcpu = arguments.has("--vcpu");
  if (request.vcpu && !request.touch)
    throw Failure(Exit::usage, arguments.command, "--no-touch and --vcpu: a virtual CPU accesses memory", {});
  if (!request.touch && request.view == primary_tree)
    throw Failure(Exit::usage, arguments.command, "--no-touch fills a view, and the primary is none", {});
  if (arguments.has("--value") && kind != "write")
    throw Failure(Exit::usage, arguments.command, fmt::format("--value has no meaning for '{}'", kind), {});
  if (!is_aligned(request.offset, sizeof(u64)))
    throw Failure(Exit::usage, arguments.command + ": OFFSET",
                  fmt::format("{:#x} is no multiple of 8: accesses are of one 64-bit word", request.offset), {});
  if (request.offset >= object.bytes)
    throw Failure(Exit::usage, arguments.command + ": OFFSET",
                  fmt::format("{:#x} lies beyond the object", request.offset),
                  fmt::format("'{}' is {}.", object.name, range_text(object.range())));
  const AccessReply reply = session.target().access(request);
  Json facts{{"object", object.name},
             {"view", request.view},
             {"offset", request.offset},
             {"access", kind},
             {"outcome", outcome_name(reply.outcome)},
             {"walker", reply.walker}};
  if (reply.cached) facts["cached"] = true;
  const bool denied = reply.outcome == AccessOutcome::denied;
  if (kind == "read" && !denied && request.touch) facts["value"] = hex(reply.value);
  if (kind == "write" && !denied && request.touch) facts["value"] = hex(request.value);
  return {facts, denied ? static_cast<int>(Exit::check_failed) : 0};
}

std::string render_view_change(const Json& facts, const Style& style)
{
  return fmt::format("{}: view {} ({}) {}{}\n", style.bold(facts["object"].get<std::string>()),
                     facts["view"].get<u64>(), facts["format"].get<std::string>(), facts["done"].get<std::string>(),
                     facts["done"] == "added" ? fmt::format(", {} root {}", facts["root_level"].get<std::string>(),
                                                            facts["root"].get<std::string>())
                                              : "");
}

std::string render_views(const Json& facts, const Style& style)
{
  if (facts["views"].empty()) return fmt::format("{}: no views\n", style.bold(facts["object"].get<std::string>()));
  TextTable table;
  for (const Json& v : facts["views"])
    table.add({fmt::format("view {}", v["view"].get<u64>()), v["format"].get<std::string>(),
               fmt::format("{} root {}", v["root_level"].get<std::string>(), v["root"].get<std::string>()),
               v["attached"] == 0u ? "" : fmt::format("attached {}×", v["attached"].get<u64>())});
  return table.text();
}

std::string render_access(const Json& facts, const Style& style)
{
  const std::string outcome = facts["outcome"].get<std::string>(), kind = facts["access"].get<std::string>();
  std::string value;
  if (facts.contains("value"))
    value = fmt::format(", {} {}", kind == "read" ? "read" : "wrote", facts["value"].get<std::string>());
  const std::string walker = facts["walker"].get<std::string>() + (facts.contains("cached") ? ", cached" : "");
  return fmt::format("{} {} {} at {:#x}: {}{}  {}\n", style.bold(facts["object"].get<std::string>()),
                     tree_title(facts["view"].get<u64>()), kind, facts["offset"].get<u64>(),
                     outcome == "denied" ? style.bad(outcome) : outcome, value,
                     style.dim("(" + walker + ")"));
}

}  // namespace morsel::session
