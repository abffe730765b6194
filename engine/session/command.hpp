// SPDX-License-Identifier: GPL-2.0-or-later
//
// One command = one row of one table: path, arguments, help, handler, renderer. The table serves morselctl, the
// window's console and later doors, and docs/commands.md is printed from it. Adding a command means adding one row
// (engine/session/command_table.cpp).
#pragma once
#include <functional>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/format/all.hpp"
#include "engine/platform/point.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/style.hpp"

namespace morsel::session {

class Session;

enum class ArgumentKind : u8 {
  text,    // std::string
  number,  // u64: a number with an optional unit
  range,   // Range; `all` is whole_object
  rights,  // Rights
  level,   // Level
  format,  // FormatId
  point,   // SyncPoint
  choice,  // std::string, one of `choices`
  flag,    // an option without a value
  rest,    // std::vector<std::string>: all words that follow, at least one unless optional
};

struct Argument {
  std::string_view name;  // "NAME" by position; "--range" an option
  ArgumentKind kind = ArgumentKind::text;
  std::string_view help;
  bool optional = false;     // options always are
  std::string_view value{};  // of an option: how its value is called, "RANGE"
  std::vector<std::string_view> choices{};

  bool is_option() const { return name.starts_with("--"); }
};

using Value =
    std::variant<std::monostate, std::string, u64, Range, Rights, Level, FormatId, SyncPoint, std::vector<std::string>>;

class Arguments {
 public:
  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  template <class T>
  const T& get(std::string_view name) const
  {
    return std::get<T>(values_.find(name)->second);
  }
  template <class T>
  T get_or(std::string_view name, T otherwise) const
  {
    return has(name) ? get<T>(name) : otherwise;
  }
  const std::string& text(std::string_view name) const { return get<std::string>(name); }
  u64 number(std::string_view name) const { return get<u64>(name); }
  void set(std::string_view name, Value value) { values_.insert_or_assign(std::string(name), std::move(value)); }

  std::string command;  // its path, for messages
  bool as_json = false;
  std::stop_token given_up;  // nobody waits for the outcome any more

 private:
  std::map<std::string, Value, std::less<>> values_;
};

enum class Output : u8 {
  text,  // made fit for a terminal
  raw,   // byte by byte what a guest program wrote
};

struct Command {
  std::string_view group;  // heading in the help
  std::string_view path;   // "object create"
  std::vector<Argument> arguments;
  std::string_view help;  // one sentence; further ones after a line feed
  std::function<Outcome(Session&, const Arguments&)> handler;
  std::function<std::string(const Json& facts, const Style&)> render;
  Output output = Output::text;
  bool changes = false;  // the machine: refused while the session shows the past; a task while the gate is closed
  bool looks = false;    // and does nothing else: done for one client while another one's program runs

  std::string usage() const;  // "object create NAME SIZE [--level LEVEL]"
  bool takes_rest() const;
};

// What the words of one line mean.
struct ParsedCommand {
  const Command* command = nullptr;
  Arguments arguments;
};

// The flag that asks for the answer again whenever something has happened. A door that stays does it; a session answers
// once.
inline constexpr std::string_view watch_flag = "--watch";

class CommandTable {
 public:
  void add(Command command) { commands_.push_back(std::move(command)); }
  void mark_changing(std::string_view path);  // Command::changes
  void mark_looking(std::string_view path);   // Command::looks
  void add_argument(std::string_view path, Argument argument);
  const std::vector<Command>& commands() const { return commands_; }
  // The command with the longest path that the words begin with. Throws with the nearest command if there is none.
  const Command& find(std::span<const std::string> words) const;
  ParsedCommand parse(std::span<const std::string> words) const;

 private:
  Command& at(std::string_view path);

  std::vector<Command> commands_;
};

// Every command of the session library.
CommandTable session_commands();

}  // namespace morsel::session
