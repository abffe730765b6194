// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "engine/session/commands.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

constexpr std::size_t shown_bytes = 64;  // of what a client sent, in messages to it

// About the session and its events, not about the target.
struct ServerCommand {
  std::string_view name, help;
};
constexpr ServerCommand own_commands[] = {
    {"command-line", "Does one line of the command table: {\"line\":…}, or {\"words\":[…]}."},
    {"query-commands", "Tells all commands with their arguments."},
    {"query-session", "Tells what the greeting told."},
    {"events",
     "Returns the events after number \"since\" (0: all that are kept), at most \"limit\", and in \"missed\" the "
     "numbers of those that are no longer kept."},
    {"subscribe",
     "From now on events are sent as they happen, after those since number \"since\" (without it, new ones only). What "
     "is no longer kept is told by an event MISSED."},
    {"unsubscribe", "Ends that."},
    {"end-session", "Ends the session and its server."},
};

std::string dashed(std::string_view path)
{
  std::string name(path);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

std::string shown(std::string_view text) { return printable(text.substr(0, shown_bytes)); }

const Command& command_named(const std::string& name, const CommandTable& table)
{
  std::vector<std::string> names;
  for (const Command& c : table.commands()) {
    names.push_back(dashed(c.path));
    if (names.back() == name) return c;
  }
  for (const ServerCommand& c : own_commands) names.emplace_back(c.name);
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const std::string near = nearest(name.substr(0, shown_bytes), candidates);
  throw Failure(Exit::usage, "run a command", fmt::format("'{}' is no command", shown(name)),
                near.empty() ? "query-commands lists them." : fmt::format("Did you mean '{}'?", near));
}

const Argument& argument_named(const std::string& name, const Command& command)
{
  std::vector<std::string_view> names;
  for (const Argument& a : command.arguments) {
    if (a.name == name || (a.is_option() && a.name.substr(2) == name)) return a;
    names.push_back(a.name);
  }
  throw Failure(Exit::usage, std::string(command.path), fmt::format("it has no argument '{}'", shown(name)),
                names.empty() ? "It takes none." : suggest(name.substr(0, shown_bytes), names));
}

[[noreturn]] void wrong_type(const Command& command, const Argument& a, std::string_view wanted)
{
  throw Failure(Exit::usage, fmt::format("{}: {}", command.path, a.name), fmt::format("the value is not {}", wanted),
                "query-commands tells the kinds of all arguments.");
}

std::string word_of(const Command& command, const Argument& a, const Message& value)
{
  std::string word;
  if (value.is_number_unsigned())
    word = std::to_string(value.get<u64>());
  else if (value.is_string())
    word = value.get<std::string>();
  else
    wrong_type(command, a, "a string or a whole number");
  if (!a.is_option() && word.starts_with("--"))
    throw Failure(Exit::usage, fmt::format("{}: {}", command.path, a.name),
                  fmt::format("'{}' would be an option", shown(word)), "No value begins with two dashes.");
  return word;
}

void append_rest(std::vector<std::string>& words, const Command& command, const Argument& a, const Message& value)
{
  if (!value.is_array() || value.empty()) wrong_type(command, a, "an array of strings, at least one");
  // Behind the first word everything belongs to the rest, whatever it looks like.
  words.push_back(word_of(command, a, value[0]));
  for (std::size_t i = 1; i < value.size(); ++i) {
    if (!value[i].is_string()) wrong_type(command, a, "an array of strings");
    words.push_back(value[i].get<std::string>());
  }
}

std::vector<std::string> words_of_line(const Message& arguments)
{
  const std::string tried = "command-line";
  const auto line = arguments.find("line"), list = arguments.find("words");
  if (arguments.size() != 1 || (line == arguments.end() && list == arguments.end()))
    throw Failure(Exit::usage, tried, "it takes one argument", "Either \"line\", a string, or \"words\", an array.");
  if (line != arguments.end()) {
    if (!line->is_string()) throw Failure(Exit::usage, tried, "\"line\" is no string");
    return split_line(line->get<std::string>());
  }
  if (!list->is_array() || !std::all_of(list->begin(), list->end(), [](const Message& w) { return w.is_string(); }))
    throw Failure(Exit::usage, tried, "\"words\" is no array of strings");
  return list->get<std::vector<std::string>>();
}

}  // namespace

Request parse_request(const std::string& line, Message& id)
{
  const Message message = parse_object<Message>(line);
  if (const auto given = message.find("id"); given != message.end()) {
    // Only flat ids: they are echoed.
    if (!given->is_number() && !given->is_string()) throw BadMessage("its id is neither a number nor a string");
    id = *given;
  }
  Request request;
  for (const auto& [key, value] : message.items()) {
    if (key == "execute" && value.is_string())
      request.command = value.get<std::string>();
    else if (key == "arguments" && value.is_object())
      request.arguments = value;
    else if (key == "text" && (value == "plain" || value == "color"))
      request.text = value == "plain" ? Request::Text::plain : Request::Text::color;
    else if (key != "id")
      throw BadMessage(fmt::format("its member '{}' does not belong there, or has a wrong value", shown(key)));
  }
  if (request.command.empty()) throw BadMessage("it has no member 'execute'");
  return request;
}

std::vector<std::string> words_of(const Request& request, const CommandTable& table)
{
  if (request.command == "command-line") return words_of_line(request.arguments);
  const Command& command = command_named(request.command, table);
  std::map<std::string_view, const Message*> values;
  for (const auto& [key, value] : request.arguments.items()) values[argument_named(key, command).name] = &value;
  std::vector<std::string> words = split_line(command.path);
  std::vector<std::string> rest;
  std::string_view left_out;  // an optional argument: what stands behind it would take its place
  for (const Argument& a : command.arguments) {
    const auto given = values.find(a.name);
    if (given == values.end()) {
      if (!a.is_option() && left_out.empty()) left_out = a.name;
      continue;
    }
    const Message& value = *given->second;
    if (!a.is_option() && !left_out.empty())
      throw Failure(Exit::usage, std::string(command.path), fmt::format("{} is given, and {} is not", a.name, left_out),
                    "Usage: " + command.usage());
    if (a.kind == ArgumentKind::rest)
      append_rest(rest, command, a, value);
    else if (a.kind != ArgumentKind::flag)
      words.push_back(a.is_option() ? fmt::format("{}={}", a.name, word_of(command, a, value))
                                    : word_of(command, a, value));
    else if (!value.is_boolean())
      wrong_type(command, a, "true or false");
    else if (value.get<bool>())
      words.emplace_back(a.name);
  }
  words.insert(words.end(), rest.begin(), rest.end());
  return words;
}

Json commands_facts(const CommandTable& table)
{
  Json list = Json::array();
  for (const Command& c : table.commands()) {
    Json facts = command_facts(c);
    facts["name"] = dashed(c.path);
    list.push_back(std::move(facts));
  }
  Json own = Json::array();
  for (const ServerCommand& c : own_commands) own.push_back({{"name", c.name}, {"help", c.help}});
  return {{"commands", std::move(list)}, {"server", std::move(own)}};
}

namespace {

std::string with_id(Json message, const Message& id)
{
  if (!id.is_null()) message["id"] = id;
  return encode_line(message);
}

}  // namespace

std::string encode_return(Json value, const Message& id) { return with_id({{"return", std::move(value)}}, id); }

std::string encode_failure(const Failure& failure, const Message& id)
{
  return with_id(failure_message<Json>(failure), id);
}

std::string encode_bad_message(const std::string& why, const Message& id)
{
  const std::string tried = "read a request", advice = "A request is {\"execute\":NAME,\"arguments\":{…}} in one line.";
  Json message = failure_message<Json>(Failure(Exit::usage, tried, why, advice));
  message["error"]["class"] = "BadMessage";
  return with_id(std::move(message), id);
}

}  // namespace morsel::session
