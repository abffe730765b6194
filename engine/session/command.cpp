// SPDX-License-Identifier: GPL-2.0-or-later
//
// From words to a command with typed arguments: all bad input is found here, before anything is done.
#include "engine/session/command.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/session/words.hpp"

namespace morsel::session {

namespace {

std::vector<std::string> path_words(const Command& c) { return split_line(c.path); }

bool begins_with(std::span<const std::string> words, const std::vector<std::string>& path)
{
  return words.size() >= path.size() && std::equal(path.begin(), path.end(), words.begin());
}

std::string one_argument(const Argument& a)
{
  const std::string choices = fmt::format("{}", fmt::join(a.choices, "|"));
  if (a.kind == ArgumentKind::flag) return fmt::format("[{}]", a.name);
  if (a.is_option()) return fmt::format("[{} {}]", a.name, choices.empty() ? a.value : choices);
  std::string name = choices.empty() ? std::string(a.name) : choices;
  if (a.kind == ArgumentKind::rest) name += "…";
  return a.optional ? "[" + name + "]" : name;
}

template <class Names>
Value one_of(const std::string& what, const std::string& word, const Names& names)
{
  if (std::find(names.begin(), names.end(), word) != names.end()) return word;
  throw Failure(Exit::usage, what, fmt::format("'{}' is none of {}", word, fmt::join(names, ", ")),
                suggest(word, names));
}

Value parse_format(const std::string& what, const std::string& word)
{
  if (const FormatInfo* f = find_format(word)) return f->id;
  std::vector<std::string_view> names;
  for (const FormatInfo& f : format_table) names.push_back(f.name);
  throw Failure(Exit::usage, what, fmt::format("'{}' is no page-table format", word), suggest(word, names));
}

Value parse_point(const std::string& what, const std::string& word)
{
  std::vector<std::string_view> names;
  for (const PointInfo& p : all_points) {
    if (p.name == word) return p.point;
    names.push_back(p.name);
  }
  throw Failure(Exit::usage, what, fmt::format("'{}' is no point", word), suggest(word, names));
}

Value parse_value(const std::string& command, const Argument& a, const std::string& word)
{
  const std::string what = fmt::format("{}: {}", command, a.name);
  switch (a.kind) {
    case ArgumentKind::number: return parse_number(what, word);
    case ArgumentKind::range: return parse_range(what, word);
    case ArgumentKind::rights: return parse_rights(what, word);
    case ArgumentKind::level: return parse_level(what, word);
    case ArgumentKind::format: return parse_format(what, word);
    case ArgumentKind::point: return parse_point(what, word);
    case ArgumentKind::choice: return one_of(what, word, a.choices);
    default: break;
  }
  if (word.empty()) throw Failure(Exit::usage, what, "the word is empty", {});
  return word;
}

class Parser {
 public:
  Parser(const Command& command, std::span<const std::string> words) : command_(command), words_(words)
  {
    arguments_.command = command.path;
  }

  Arguments run()
  {
    while (at_ < words_.size()) {
      const std::string& word = words_[at_++];
      if (word == "--json")
        arguments_.as_json = true;
      else if (word.starts_with("--") && word.size() > 2 && word[2] != '+')  // tokens of exploration may begin so
        option(word);
      else if (!positional(word))
        break;
    }
    for (const Argument& a : command_.arguments)
      if (!a.optional && !a.is_option() && !arguments_.has(a.name)) missing(a);
    return std::move(arguments_);
  }

 private:
  void option(const std::string& word)
  {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto found = std::find_if(command_.arguments.begin(), command_.arguments.end(),
                                    [&](const Argument& a) { return a.name == name; });
    if (found == command_.arguments.end()) unknown_option(name);
    if (found->kind == ArgumentKind::flag) {
      if (equals != std::string::npos) fail(fmt::format("{} takes no value", name));
      arguments_.set(name, std::string("yes"));
      return;
    }
    if (equals == std::string::npos && at_ == words_.size()) fail(fmt::format("{} lacks its {}", name, found->value));
    const std::string value = equals == std::string::npos ? words_[at_++] : word.substr(equals + 1);
    arguments_.set(name, parse_value(arguments_.command, *found, value));
  }

  // False when the rest of the words has been taken.
  bool positional(const std::string& word)
  {
    for (const Argument& a : command_.arguments) {
      if (a.is_option() || arguments_.has(a.name)) continue;
      if (a.kind != ArgumentKind::rest) {
        arguments_.set(a.name, parse_value(arguments_.command, a, word));
        return true;
      }
      arguments_.set(a.name,
                     std::vector<std::string>(words_.begin() + static_cast<std::ptrdiff_t>(at_) - 1, words_.end()));
      return false;
    }
    fail(fmt::format("'{}' is one word too many", word));
  }

  [[noreturn]] void fail(const std::string& found) const
  {
    throw Failure(Exit::usage, arguments_.command, found, "Usage: " + command_.usage());
  }

  [[noreturn]] void missing(const Argument& a) const
  {
    fail(fmt::format("{} is missing ({})", a.kind == ArgumentKind::choice ? one_argument(a) : std::string(a.name),
                     a.help));
  }

  [[noreturn]] void unknown_option(const std::string& name) const
  {
    std::vector<std::string_view> names{"--json"};
    for (const Argument& a : command_.arguments)
      if (a.is_option()) names.push_back(a.name);
    throw Failure(Exit::usage, arguments_.command, fmt::format("unknown option {}", name), suggest(name, names));
  }

  const Command& command_;
  std::span<const std::string> words_;
  std::size_t at_ = 0;
  Arguments arguments_;
};

// Words that begin like some command, but are none: say which there are.
[[noreturn]] void no_such_command(std::span<const std::string> words, const std::vector<Command>& commands)
{
  std::vector<std::string_view> all, subjects, of_subject;
  for (const Command& c : commands) {
    all.push_back(c.path);
    const std::string_view subject = c.path.substr(0, c.path.find(' '));
    if (std::find(subjects.begin(), subjects.end(), subject) == subjects.end()) subjects.push_back(subject);
    if (!words.empty() && subject == words[0]) of_subject.push_back(c.path);
  }
  if (words.empty()) throw Failure(Exit::usage, "run a command", "no command was given", "See: help");
  if (!of_subject.empty()) {
    const std::string two = words.size() > 1 ? words[0] + " " + words[1] : words[0];
    const std::string near = words.size() > 1 ? nearest(two, of_subject) : std::string();
    throw Failure(Exit::usage, "run a command", fmt::format("'{}' is no command", two),
                  near.empty() ? fmt::format("Commands: {}.", fmt::join(of_subject, ", "))
                               : fmt::format("Did you mean '{}'?", near));
  }
  std::string near = words.size() > 1 ? nearest(words[0] + " " + words[1], all) : std::string();
  if (near.empty()) near = nearest(words[0], subjects);
  throw Failure(
      Exit::usage, "run a command", fmt::format("'{}' is no command", words[0]),
      near.empty() ? "'help' lists them." : fmt::format("Did you mean '{}'? 'help' lists all commands.", near));
}

}  // namespace

std::string Command::usage() const
{
  std::string out(path);
  for (const Argument& a : arguments)
    if (!a.is_option() && a.kind != ArgumentKind::rest) out += " " + one_argument(a);
  for (const Argument& a : arguments)
    if (a.is_option()) out += " " + one_argument(a);
  if (takes_rest()) out += " " + one_argument(arguments.back());
  return out;
}

bool Command::takes_rest() const { return !arguments.empty() && arguments.back().kind == ArgumentKind::rest; }

Command& CommandTable::at(std::string_view path)
{
  const auto found =
      std::find_if(commands_.begin(), commands_.end(), [&](const Command& c) { return c.path == path; });
  if (found == commands_.end()) throw std::logic_error("there is no command " + std::string(path));
  return *found;
}

void CommandTable::mark_changing(std::string_view path) { at(path).changes = true; }

void CommandTable::mark_looking(std::string_view path) { at(path).looks = true; }

void CommandTable::add_argument(std::string_view path, Argument argument)
{
  at(path).arguments.push_back(std::move(argument));
}

const Command& CommandTable::find(std::span<const std::string> words) const
{
  const Command* best = nullptr;
  for (const Command& c : commands_)
    if (begins_with(words, path_words(c)) && (!best || c.path.size() > best->path.size())) best = &c;
  if (!best) no_such_command(words, commands_);
  return *best;
}

ParsedCommand CommandTable::parse(std::span<const std::string> words) const
{
  const Command& command = find(words);
  return {&command, Parser(command, words.subspan(path_words(command).size())).run()};
}

}  // namespace morsel::session
