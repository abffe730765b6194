// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests about what the engine does from access to access: the journal, and the gate.
#include <algorithm>

#include "engine/abi/morsel_ioctl.h"
#include "testvm/agent/requests.hpp"

namespace morsel::agent {
namespace {

std::optional<Json> switch_journal(Context& context, const Arguments& arguments)
{
  std::vector<std::uint64_t> rings(MORSEL_JOURNAL_ROOM);
  morsel_journal_switch request{};
  request.size = sizeof request;
  request.on = arguments.flag("on");
  request.capacity_lg2 = arguments.small_number_or("capacity_lg2", request.on ? MORSEL_JOURNAL_MAX_CAPACITY_LG2 : 0);
  request.rings = reinterpret_cast<std::uintptr_t>(rings.data());
  request.room = rings.size();
  context.module.request(MORSEL_IOC_JOURNAL, &request);
  if (request.count > rings.size()) throw RequestError(EPROTO, "the module has more rings than there is room for");
  rings.resize(request.count);
  return Json{{"rings", rings}, {"capacity_lg2", request.capacity_lg2}, {"next_sequence", request.next_sequence}};
}

Gate::Reply reply_of(const Context& context) { return {context.reply_later, context.fail_later}; }

std::optional<Json> stop(Context& context, const Arguments& arguments)
{
  context.gate.stop(limit_of(arguments), reply_of(context));
  return std::nullopt;
}

std::optional<Json> run(Context& context, const Arguments&)
{
  context.gate.run();
  return Json::object();
}

std::optional<Json> step(Context& context, const Arguments& arguments)
{
  context.gate.step(arguments.small_number("actor"), limit_of(arguments), reply_of(context));
  return std::nullopt;
}

std::optional<Json> until(Context& context, const Arguments& arguments)
{
  morsel_gate_until condition{};
  condition.point = arguments.word("point", point_words());
  condition.actor = arguments.small_number_or("actor", 0);
  condition.view = arguments.small_number_or("view", ~std::uint32_t{0});
  condition.start = arguments.number_or("start", 0);
  condition.end = arguments.number_or("end", 0);
  condition.nth = arguments.number_or("nth", 1);
  if (arguments.has("name")) condition.object_id = object_id(context.module, arguments.object_name());
  context.gate.until(condition, arguments.number_if("client"), limit_of(arguments), reply_of(context));
  return std::nullopt;
}

std::optional<Json> actors(Context& context, const Arguments&)
{
  context.reply_later(context.gate.actors());
  return std::nullopt;
}

}  // namespace

std::span<const RequestKind> watch_requests()
{
  static const RequestKind kinds[] = {
      {"journal", {"on", "capacity_lg2"}, switch_journal},
      {"gate-stop", {"limit_ms"}, stop},
      {"gate-run", {}, run},
      {"gate-step", {"actor", "limit_ms"}, step},
      {"gate-until", {"point", "actor", "name", "view", "start", "end", "nth", "limit_ms", "client"}, until},
      {"gate-actors", {}, actors},
  };
  return kinds;
}

}  // namespace morsel::agent
