// SPDX-License-Identifier: GPL-2.0-or-later
//
// The channel's bytes: one JSON value per line, a line at most 1 MiB, in the shape of QEMU's machine protocol. All that
// comes in is hostile.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "engine/session/wire.hpp"
#include "testvm/agent/error.hpp"

namespace morsel::agent {

using Json = nlohmann::json;

inline constexpr int protocol_version = 1;
using session::LineReader;
using session::max_line_bytes;

// A request as it came: what to do, with what, and the peer's own name for it.
struct Request {
  std::string command;
  Json arguments = Json::object();
  Json id;  // null: none
};

// Throws RequestError with `id` filled in as far as it could be read.
Request parse_request(const std::string& line, Json& id);

// Each returns one line with its newline. Text that is not UTF-8 has its broken bytes replaced.
std::string encode(const Json& message);
std::string encode_return(Json value, const Json& id);
std::string encode_error(int number, const std::string& text, const Json& id);
std::string encode_event(const std::string& name, Json data);

}  // namespace morsel::agent
