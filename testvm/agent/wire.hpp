// SPDX-License-Identifier: GPL-2.0-or-later
//
// The channel's bytes: one JSON value per line, a line at most 1 MiB, in the shape of QEMU's machine protocol. All that
// comes in is hostile.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

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
// A value as it is sent.
struct Encoded {
  Encoded(const Json& value);  // NOLINT(google-explicit-constructor): whatever is sent is encoded
  explicit Encoded(std::string encoded) : text(std::move(encoded)) {}

  std::string text;
};

// An object that is encoded member by member: the reply to a step is waited for, and by way of a tree of values it
// takes three times as long.
class EncodedObject {
 public:
  void add(std::string_view key, std::uint64_t value);
  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const Encoded& value);
  Encoded take() &&;

 private:
  std::string text_ = "{";
};

Encoded encode_list(const std::vector<Encoded>& values);

std::string encode(const Json& message);
std::string encode_return(const Encoded& value, const Json& id);
std::string encode_error(int number, const std::string& text, const Json& id);
std::string encode_event(std::string_view name, const Encoded& data);

}  // namespace morsel::agent
