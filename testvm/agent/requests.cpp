// SPDX-License-Identifier: GPL-2.0-or-later
//
// Dispatch.
#include "testvm/agent/requests.hpp"

#include <algorithm>

namespace morsel::agent {
namespace {

const RequestKind* find_kind(const std::string& name)
{
  for (const auto kinds : {object_requests(), page_requests(), watch_requests(), machine_requests()}) {
    const auto found = std::find_if(kinds.begin(), kinds.end(), [&name](auto& kind) { return kind.name == name; });
    if (found != kinds.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

std::optional<Json> execute(Context& context, const Request& request)
{
  const RequestKind* const kind = find_kind(request.command);
  if (!kind) throw RequestError(ENOSYS, "the agent knows no '" + request.command.substr(0, 64) + "'");
  for (const auto& [key, value] : request.arguments.items())
    if (!kind->arguments.contains(key))
      throw RequestError(EINVAL, kind->name + " has no argument '" + key.substr(0, 64) + "'");
  return kind->handler(context, Arguments(request.arguments));
}

}  // namespace morsel::agent
