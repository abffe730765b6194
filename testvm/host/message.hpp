// SPDX-License-Identifier: GPL-2.0-or-later
//
// Messages between agent, holder and clients: those of engine/session/wire.hpp, with values without order.
#pragma once
#include <string>

#include "testvm/agent/wire.hpp"

namespace morsel::testvm {

using agent::encode;
using agent::LineReader;
using agent::max_line_bytes;
using Json = nlohmann::json;

using session::BadMessage;
using session::max_message_depth;

inline Json parse_message(const std::string& line) { return session::parse_object<Json>(line); }
inline Json to_json(const session::Failure& failure) { return session::failure_message<Json>(failure); }
inline session::Failure failure_from_json(const Json& error) { return session::failure_of(error); }
inline Json object_at(const Json& json, const char* name) { return session::object_member(json, name); }
inline std::string text_at(const Json& json, const char* name) { return session::text_member(json, name); }

// Text from the guest for people: control characters replaced, at most `bytes` long.
std::string printable(const std::string& text, std::size_t bytes = 1000);

}  // namespace morsel::testvm
