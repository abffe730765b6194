// SPDX-License-Identifier: GPL-2.0-or-later
//
// The requests of the agent, as one table: name, arguments it knows, handler.
#pragma once
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "testvm/agent/arguments.hpp"
#include "testvm/agent/module.hpp"
#include "testvm/agent/programs.hpp"
#include "testvm/agent/wire.hpp"

namespace morsel::agent {

// What a handler may use.
struct Context {
  Module& module;
  Programs& programs;
  std::function<void(const std::string& name, const Json& data)> emit;  // an event, after the reply
  std::function<void(const Json& value)> reply_later;                   // for a handler that returns nothing
  std::function<void()> power_off;                                      // once the reply is out
};

// Nothing: the reply comes later. A request that cannot be done throws RequestError.
using Handler = std::optional<Json> (*)(Context&, const Arguments&);

struct RequestKind {
  std::string name;
  std::set<std::string> arguments;
  Handler handler;
};

std::span<const RequestKind> object_requests();
std::span<const RequestKind> page_requests();
std::span<const RequestKind> watch_requests();
std::span<const RequestKind> machine_requests();

// Finds the kind, refuses arguments that it does not know, and calls its handler.
std::optional<Json> execute(Context& context, const Request& request);

}  // namespace morsel::agent
