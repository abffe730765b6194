// SPDX-License-Identifier: GPL-2.0-or-later
//
// Requests in, replies out.
#include "testvm/agent/wire.hpp"

#include <cstring>

namespace morsel::agent {

Request parse_request(const std::string& line, Json& id)
{
  const Json message = Json::parse(line, nullptr, false);
  if (message.is_discarded()) throw RequestError(EBADMSG, "the line is not JSON");
  if (!message.is_object()) throw RequestError(EBADMSG, "a request is an object");
  if (const auto given = message.find("id"); given != message.end()) {
    // Only flat ids: they are echoed, and an echo must not cost more than the request.
    if (!given->is_number() && !given->is_string()) throw RequestError(EBADMSG, "id is a number or a string");
    id = *given;
  }
  Request request{.command = {}, .arguments = Json::object(), .id = id};
  for (const auto& [key, value] : message.items()) {
    if (key == "execute" && value.is_string())
      request.command = value.get<std::string>();
    else if (key == "arguments" && value.is_object())
      request.arguments = value;
    else if (key != "id")
      throw RequestError(EBADMSG, "'" + key.substr(0, 64) + "' does not belong there, or has another type");
  }
  if (request.command.empty()) throw RequestError(EBADMSG, "'execute' is missing");
  return request;
}

std::string encode(const Json& message) { return session::encode_line(message); }

std::string encode_return(Json value, const Json& id)
{
  Json message;
  message["return"] = std::move(value);
  if (!id.is_null()) message["id"] = id;
  std::string line = encode(message);
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

std::string encode_event(const std::string& name, Json data)
{
  Json message;
  message["event"] = name;
  message["data"] = std::move(data);
  return encode(message);
}

}  // namespace morsel::agent
