// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/agent_link.hpp"

#include "engine/abi/morsel_ioctl.h"
#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"

namespace morsel::testvm {

using session::Exit;
using session::Failure;

AgentLink::AgentLink(UniqueFd channel, Handlers handlers)
    : handlers_(std::move(handlers)),
      socket_(std::move(channel), {.line = [this](const std::string& line) { receive(line); },
                                   .too_long = [this] { handlers_.complaint("a line of more than 1 MiB was dropped"); },
                                   .end = [this] { handlers_.end(); }})
{
}

void AgentLink::request(const std::string& command, const Json& arguments, ReplyHandler handler)
{
  if (waiting_.size() >= max_open_requests || socket_.unsent_bytes() > max_unsent_bytes)
    return handler({{"error", {{"class", "EBUSY"}, {"desc", "the agent has too many requests waiting"}}}});
  const u64 id = next_id_++;
  const std::string line = encode({{"execute", command}, {"arguments", arguments}, {"id", id}});
  if (line.size() > max_line_bytes)
    return handler({{"error", {{"class", "EMSGSIZE"}, {"desc", "the request is longer than a line may be"}}}});
  waiting_.emplace(id, std::move(handler));
  socket_.send(line);
}

void AgentLink::receive(const std::string& line)
{
  try {
    const Json message = parse_message(line);
    if (const auto greeting = message.find("morsel"); greeting != message.end()) {
      if (greeted_) throw BadMessage("it is a second greeting");
      parse_greeting(*greeting);
      greeted_ = true;
      handlers_.greeted(*greeting);
    } else if (message.contains("event")) {
      if (!message["event"].is_string()) throw BadMessage("its event has no name");
      handlers_.event(message);
    } else {
      match_reply(message);
    }
  } catch (const BadMessage& error) {
    handlers_.complaint(std::string(error.what()) + ": " + printable(line, 200));
  }
}

void AgentLink::match_reply(const Json& message)
{
  const char* kind = message.contains("return") ? "return" : "error";
  const auto id = message.find("id");
  if (!message.contains(kind) || !message[kind].is_object())
    throw BadMessage("it is neither greeting, event nor reply");
  if (id == message.end() || !id->is_number_unsigned()) throw BadMessage("it is a reply without a number");
  auto waiting = waiting_.extract(id->get<u64>());
  if (waiting.empty()) throw BadMessage("it is a reply to no request");
  waiting.mapped()(Json{{kind, message[kind]}});
}

AgentGreeting parse_greeting(const Json& json)
{
  try {
    AgentGreeting g;
    g.agent = json.at("agent").get<u32>();
    g.abi = json.at("abi").get<u32>();
    g.points = json.at("points").get<u32>();
    g.journal = json.at("journal").get<u32>();
    g.cpus = json.at("cpus").get<u32>();
    g.kernel = printable(json.at("kernel").get<std::string>(), 100);
    g.memory_bytes = json.at("memory_bytes").get<u64>();
    g.la57 = json.at("la57").get<bool>();
    return g;
  } catch (const Json::exception&) {
    throw BadMessage("its greeting lacks a field, or a field has another type");
  }
}

void check_versions(const AgentGreeting& g, Module module)
{
  const std::string tried = "greeting the guest's agent";
  const std::string advice = "build the guest's image again, from the same sources as this program";
  const auto refuse = [&](const std::string& what, u32 theirs, u32 ours) {
    throw Failure(Exit::target_lost, tried,
                  what + " has version " + std::to_string(theirs) + ", and this program knows " + std::to_string(ours),
                  advice);
  };
  if (g.agent != agent::protocol_version) refuse("the agent's protocol", g.agent, agent::protocol_version);
  if (g.abi == 0) {
    if (module == Module::optional) return;
    throw Failure(Exit::target_lost, tried, "the image has no morsel.ko", "build the target `kmod`, then the image");
  }
  if (g.abi != MORSEL_ABI_VERSION) refuse("morsel.ko's interface", g.abi, MORSEL_ABI_VERSION);
  if (g.points != MORSEL_POINT_COUNT) refuse("morsel.ko's table of points", g.points, MORSEL_POINT_COUNT);
  if (g.journal != MORSEL_JOURNAL_VERSION) refuse("morsel.ko's journal", g.journal, MORSEL_JOURNAL_VERSION);
}

}  // namespace morsel::testvm
