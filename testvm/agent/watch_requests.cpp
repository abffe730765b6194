// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests about what the engine does from access to access: the journal.
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

}  // namespace

std::span<const RequestKind> watch_requests()
{
  static const RequestKind kinds[] = {
      {"journal", {"on", "capacity_lg2"}, switch_journal},
  };
  return kinds;
}

}  // namespace morsel::agent
