// SPDX-License-Identifier: GPL-2.0-or-later
//
// One JSON object per line, in the shape of QEMU's machine protocol: what every channel of the project has in common
// (a session's door, the VM's holder, the guest's agent). Headers only, because the agent is a small static program.
// What comes in is hostile: too long, cut off, nested without end, of wrong types.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "engine/session/failure.hpp"

namespace morsel::session {

inline constexpr std::size_t max_line_bytes = std::size_t{1} << 20;
inline constexpr int max_message_depth = 32;

class BadMessage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Splits the incoming bytes into lines. A line that is too long is dropped up to its end and reported once.
class LineReader {
 public:
  struct TooLong {};
  using Line = std::variant<std::string, TooLong>;

  explicit LineReader(std::size_t limit = max_line_bytes) : limit_(limit) {}

  void append(std::string_view bytes) { bytes_.append(bytes); }
  std::optional<Line> next();
  // Forgets everything: a new peer begins a new line.
  void reset() { *this = LineReader(limit_); }

 private:
  std::size_t limit_;
  std::string bytes_;
  std::size_t searched_ = 0;  // no newline before here
  bool skipping_ = false;     // within a line that was reported as too long
};

inline std::optional<LineReader::Line> LineReader::next()
{
  for (;;) {
    const auto newline = bytes_.find('\n', searched_);
    if (newline == std::string::npos) {
      if (skipping_) {
        bytes_.clear();
      } else if (bytes_.size() > limit_) {
        bytes_.clear();
        searched_ = 0;
        skipping_ = true;
        return TooLong{};
      }
      searched_ = bytes_.size();
      return std::nullopt;
    }
    std::string line = bytes_.substr(0, newline);
    bytes_.erase(0, newline + 1);
    searched_ = 0;
    if (skipping_) {
      skipping_ = false;
      continue;
    }
    if (line.size() > limit_) return TooLong{};
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    return line;
  }
}

// Throws BadMessage unless the line is a JSON object nested at most max_message_depth deep.
template <class AnyJson>
AnyJson parse_object(const std::string& line)
{
  // The parser itself does not recurse, but whatever walks the result later would.
  const auto guard = [](int depth, typename AnyJson::parse_event_t, AnyJson&) {
    if (depth > max_message_depth) throw BadMessage("it is nested too deeply");
    return true;
  };
  try {
    AnyJson message = AnyJson::parse(line, guard);
    if (!message.is_object()) throw BadMessage("it is not a JSON object");
    return message;
  } catch (const typename AnyJson::exception&) {
    throw BadMessage("it is not JSON");
  }
}

// Text that is not UTF-8 has its broken bytes replaced.
template <class AnyJson>
std::string encode_line(const AnyJson& message)
{
  return message.dump(-1, ' ', false, AnyJson::error_handler_t::replace) + "\n";
}

// The member of that name if it is there and of that type, else an empty one. Nothing else is safe on hostile values.
template <class AnyJson>
AnyJson object_member(const AnyJson& json, const char* name)
{
  if (!json.is_object()) return AnyJson::object();
  const auto found = json.find(name);
  return found != json.end() && found->is_object() ? *found : AnyJson::object();
}

template <class AnyJson>
std::string text_member(const AnyJson& json, const char* name)
{
  if (!json.is_object()) return {};
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->template get<std::string>() : std::string();
}

// A Failure across a socket: {"error":{"class":"Failure","desc":…,"tried":…,"found":…,"advice":…,"exit":…}}.
template <class AnyJson>
AnyJson failure_message(const Failure& failure)
{
  return {{"error",
           {{"class", "Failure"},
            {"desc", failure.what()},
            {"tried", failure.tried()},
            {"found", failure.found()},
            {"advice", failure.advice()},
            {"exit", static_cast<int>(failure.code())}}}};
}

// The reverse, from what stands under "error".
template <class AnyJson>
Failure failure_of(const AnyJson& error)
{
  int number = 0;
  if (error.is_object())
    if (const auto code = error.find("exit"); code != error.end() && code->is_number_integer())
      number = code->template get<int>();
  Exit exit = Exit::target_lost;
  for (const Exit known : {Exit::check_failed, Exit::usage, Exit::skipped})
    if (static_cast<int>(known) == number) exit = known;
  return {exit, text_member(error, "tried"), text_member(error, "found"), text_member(error, "advice")};
}

}  // namespace morsel::session
