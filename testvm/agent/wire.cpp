// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests in, replies out.
#include "testvm/agent/wire.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace morsel::agent {
namespace {

std::string encode_value(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool is_plain(char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; }

void append_text(std::string& to, std::string_view text)
{
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    to += encode_value(Json(text));
    return;
  }
  to += '"';
  to += text;
  to += '"';
}

void append_key(std::string& to, std::string_view key)
{
  if (to.size() > 1) to += ',';
  append_text(to, key);
  to += ':';
}

}  // namespace

Encoded::Encoded(const Json& value) : text(encode_value(value)) {}

void EncodedObject::add(std::string_view key, std::uint64_t value)
{
  append_key(text_, key);
  std::array<char, 20> digits;  // of 2^64 - 1
  text_.append(digits.data(), std::to_chars(digits.begin(), digits.end(), value).ptr);
}

void EncodedObject::add(std::string_view key, std::string_view text)
{
  append_key(text_, key);
  append_text(text_, text);
}

void EncodedObject::add(std::string_view key, const Encoded& value)
{
  append_key(text_, key);
  text_ += value.text;
}

Encoded EncodedObject::take() &&
{
  text_ += '}';
  return Encoded(std::move(text_));
}

Encoded encode_list(const std::vector<Encoded>& values)
{
  std::string list = "[";
  for (const Encoded& value : values) {
    if (list.size() > 1) list += ',';
    list += value.text;
  }
  return Encoded(list + "]");
}

Request parse_request(const std::string& line, Json& id)
{
  Json message = Json::parse(line, nullptr, false);
  if (message.is_discarded()) throw RequestError(EBADMSG, "the line is not JSON");
  if (!message.is_object()) throw RequestError(EBADMSG, "a request is an object");
  if (const auto given = message.find("id"); given != message.end()) {
    // Only flat ids: they are echoed, and an echo must not cost more than the request.
    if (!given->is_number() && !given->is_string()) throw RequestError(EBADMSG, "id is a number or a string");
    id = *given;
  }
  Request request{.command = {}, .arguments = Json::object(), .id = id};
  for (auto& [key, value] : message.items()) {
    if (key == "execute" && value.is_string())
      request.command = value.get<std::string>();
    else if (key == "arguments" && value.is_object())
      request.arguments = std::move(value);
    else if (key != "id")
      throw RequestError(EBADMSG, "'" + key.substr(0, 64) + "' does not belong there, or has another type");
  }
  if (request.command.empty()) throw RequestError(EBADMSG, "'execute' is missing");
  return request;
}

std::string encode(const Json& message) { return session::encode_line(message); }

std::string encode_return(const Encoded& value, const Json& id)
{
  EncodedObject message;
  message.add("return", value);
  if (!id.is_null()) message.add("id", Encoded(id));
  std::string line = std::move(message).take().text + "\n";
  if (line.size() > max_line_bytes) return encode_error(EMSGSIZE, "the reply would be longer than a line may be", id);
  return line;
}

std::string encode_error(int number, const std::string& text, const Json& id)
{
  const char* name = strerrorname_np(number);
  Json message{{"error", {{"class", name ? name : "EIO"}, {"desc", text}}}};
  if (!id.is_null()) message["id"] = id;
  return encode(message);
}

std::string encode_event(std::string_view name, const Encoded& data)
{
  EncodedObject message;
  message.add("event", name);
  message.add("data", data);
  return std::move(message).take().text + "\n";
}

}  // namespace morsel::agent
