// SPDX-License-Identifier: GPL-2.0-or-later
//
// Messages between agent, holder and clients: one JSON object per line, in the shape of QEMU's machine protocol. What
// comes in is hostile: too long, cut off, nested without end, of wrong types.
#pragma once
#include <string>

#include "engine/session/failure.hpp"
#include "testvm/agent/wire.hpp"

namespace morsel::testvm {

using agent::encode;
using agent::LineReader;
using agent::max_line_bytes;
using Json = nlohmann::json;

inline constexpr int max_message_depth = 32;

class BadMessage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws BadMessage unless the line is a JSON object nested at most max_message_depth deep.
Json parse_message(const std::string& line);

// A Failure across a socket: {"error":{"class":"Failure","tried":…,"found":…,"advice":…,"exit":…}}.
Json to_json(const session::Failure& failure);
session::Failure failure_from_json(const Json& error);

// The member of that name if it is there and of that type, else an empty one. Nothing else is safe on hostile values.
Json object_at(const Json& json, const char* name);
std::string text_at(const Json& json, const char* name);

// Text from the guest for people: control characters replaced, at most `bytes` long.
std::string printable(const std::string& text, std::size_t bytes = 1000);

}  // namespace morsel::testvm
