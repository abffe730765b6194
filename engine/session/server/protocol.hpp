// SPDX-License-Identifier: GPL-2.0-or-later
//
// What is said on a session's door: one JSON object per line, in the shape of QEMU's machine protocol.
//
//   server   {"morselscope":{"protocol":1,"journal":…,"session":NAME,"pid":…,"target":{…},"event":N}}   the greeting
//   client   {"execute":"object-create","arguments":{"NAME":"demo","SIZE":"4M"},"id":1,"text":"plain"}
//            {"execute":"command-line","arguments":{"line":"object create demo 4M"}}       or "words":[…]
//            {"execute":"query-commands"}, and the others that it lists under "server"
//   server   {"return":{"facts":{…},"status":0,"text":…,"errors":…},"id":1}
//            {"error":{"class":…,"desc":…,"tried":…,"found":…,"advice":…,"exit":2},"id":1}
//            {"event":"OBJECT_CHANGED","number":7,"timestamp":{"seconds":…,"microseconds":…},"data":{…}}
//
// A command's name is its path in the command table with dashes; its arguments are named as in the table (options
// with or without their dashes) and are strings, numbers, true for a flag, or an array of strings for a rest. `text`
// asks for the text for people: "plain" or "color". Classes of errors: BadMessage (no request: the connection stays),
// Failure (the command could not be done; members as in docs/commands.md).
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/session/command.hpp"
#include "engine/session/wire.hpp"

namespace morsel::session {

inline constexpr int session_protocol_version = 1;

// What comes in has members in order of their names: a line of many members must not cost the square of them.
using Message = nlohmann::json;

struct Request {
  enum class Text : u8 { none, plain, color };
  std::string command;
  Message arguments = Message::object();
  Text text = Text::none;
};

// Throws BadMessage; `id` is set as far as it could be read (null: none).
Request parse_request(const std::string& line, Message& id);

// The words of the command table that the request stands for. Throws Failure(usage).
std::vector<std::string> words_of(const Request& request, const CommandTable& table);

// All commands with their arguments: the answer to query-commands.
Json commands_facts(const CommandTable& table);

std::string encode_return(Json value, const Message& id);
std::string encode_failure(const Failure& failure, const Message& id);
std::string encode_bad_message(const std::string& why, const Message& id);

}  // namespace morsel::session
