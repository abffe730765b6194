// SPDX-License-Identifier: GPL-2.0-or-later
//
// Dispatch.
#include "testvm/agent/requests.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

namespace morsel::agent {
namespace {

const RequestKind* find_kind(const std::string& name)
{
  for (const auto kinds : {object_requests(), page_requests(), watch_requests(), machine_requests()}) {
    const auto found = std::find_if(kinds.begin(), kinds.end(), [&name](auto& kind) { return kind.name == name; });
    if (found != kinds.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

const RequestKind& kind_of(const Request& request)
{
  const RequestKind* const kind = find_kind(request.command);
  if (!kind) throw RequestError(ENOSYS, "the agent knows no '" + request.command.substr(0, 64) + "'");
  for (const auto& [key, value] : request.arguments.items())
    if (!kind->arguments.contains(key))
      throw RequestError(EINVAL, kind->name + " has no argument '" + key.substr(0, 64) + "'");
  return *kind;
}

std::chrono::milliseconds limit_of(const Arguments& arguments)
{
  constexpr std::uint64_t usual = 10'000, longest = 3'600'000;
  return std::chrono::milliseconds(std::min(arguments.number_or("limit_ms", usual), longest));
}

std::string in_words(const Request& request)
{
  const Json& arguments = request.arguments;
  const auto number = [&](const char* key) {
    std::array<char, 20> text;
    std::snprintf(text.data(), text.size(), "%#jx", static_cast<std::uintmax_t>(arguments[key].get<std::uint64_t>()));
    return std::string(text.data());
  };
  const auto has_number = [&](const char* key) {
    return arguments.contains(key) && arguments[key].is_number_unsigned();
  };
  std::string words = request.command;
  if (words.starts_with("object-")) words.erase(0, std::strlen("object-"));
  if (has_number("start") && has_number("end")) words += " " + number("start") + ".." + number("end");
  if (has_number("offset")) words += " " + number("offset");
  if (has_number("view")) words += " through view " + std::to_string(arguments["view"].get<std::uint64_t>());
  if (arguments.contains("name") && arguments["name"].is_string())
    words += " of " + arguments["name"].get<std::string>().substr(0, 64);
  return words;
}

}  // namespace morsel::agent
