// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/message.hpp"

namespace morsel::testvm {

using session::Exit;
using session::Failure;

Json parse_message(const std::string& line)
{
  // The parser itself does not recurse, but whatever walks the result later would.
  const auto guard = [](int depth, Json::parse_event_t, Json&) {
    if (depth > max_message_depth) throw BadMessage("it is nested too deeply");
    return true;
  };
  try {
    Json message = Json::parse(line, guard);
    if (!message.is_object()) throw BadMessage("it is not a JSON object");
    return message;
  } catch (const Json::exception&) {
    throw BadMessage("it is not JSON");
  }
}

Json to_json(const Failure& failure)
{
  return {{"error",
           {{"class", "Failure"},
            {"desc", failure.what()},
            {"tried", failure.tried()},
            {"found", failure.found()},
            {"advice", failure.advice()},
            {"exit", static_cast<int>(failure.code())}}}};
}

Json object_at(const Json& json, const char* name)
{
  if (!json.is_object()) return Json::object();
  const auto found = json.find(name);
  return found != json.end() && found->is_object() ? *found : Json::object();
}

std::string text_at(const Json& json, const char* name)
{
  if (!json.is_object()) return {};
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Failure failure_from_json(const Json& error)
{
  const auto code = error.find("exit");
  const int number = code != error.end() && code->is_number_integer() ? code->get<int>() : 0;
  Exit exit = Exit::target_lost;
  for (const Exit known : {Exit::check_failed, Exit::usage, Exit::skipped})
    if (static_cast<int>(known) == number) exit = known;
  return {exit, text_at(error, "tried"), text_at(error, "found"), text_at(error, "advice")};
}

std::string printable(const std::string& text, std::size_t bytes)
{
  std::string result;
  for (const char c : text.substr(0, bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r') continue;
    result += c == '\n' || c == '\t' || (byte >= 0x20 && byte != 0x7f) ? c : '?';
  }
  if (text.size() > bytes) result += "…";
  return result;
}

}  // namespace morsel::testvm
