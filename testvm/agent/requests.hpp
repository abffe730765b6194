// SPDX-License-Identifier: GPL-2.0-or-later
//
// The requests of the agent, as one table: name, arguments it knows, handler.
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "testvm/agent/arguments.hpp"
#include "testvm/agent/fault_watch.hpp"
#include "testvm/agent/gate.hpp"
#include "testvm/agent/module.hpp"
#include "testvm/agent/programs.hpp"
#include "testvm/agent/wire.hpp"
#include "testvm/agent/workers.hpp"

namespace morsel::agent {

// What a handler may use. In a worker's thread: `module` and `emit`.
struct Context {
  Module& module;
  Programs& programs;
  Gate& gate;
  FaultWatch& faults;
  Workers& workers;
  std::function<void(const std::string& name, const Encoded& data)> emit;  // an event, after the reply
  std::function<void(const Encoded& value)> reply_later;                   // for a handler that returns nothing
  std::function<void(const RequestError& error)> fail_later;
  std::function<void()> power_off;                                         // once the reply is out
};

// Nothing: the reply comes later. A request that cannot be done throws RequestError.
using Handler = std::optional<Json> (*)(Context&, const Arguments&);

// Requests that reach points run in a thread of their own: they may wait at the gate.
enum class Place { loop, worker };

struct RequestKind {
  std::string name;
  std::set<std::string> arguments;
  Handler handler;
  Place place = Place::loop;
};

std::span<const RequestKind> object_requests();
std::span<const RequestKind> page_requests();
std::span<const RequestKind> watch_requests();
std::span<const RequestKind> machine_requests();

// Finds the kind; refuses arguments that it does not know.
const RequestKind& kind_of(const Request& request);
// Of a request that waits: its argument limit_ms.
std::chrono::milliseconds limit_of(const Arguments& arguments);
// The request for people: "unmap 0x0..0x1000 of buffer".
std::string in_words(const Request& request);

const std::vector<Arguments::Word>& point_words();
// A name where there is one: a newer module may know more than this agent.
Json name_of(std::uint32_t number, const std::vector<Arguments::Word>& words);

}  // namespace morsel::agent
