// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/session/facts_journal.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

Session::Session(std::unique_ptr<Target> target, CommandTable table)
    : table_(std::move(table)), target_(std::move(target))
{
}

Session::Session(Opener opener, CommandTable table) : table_(std::move(table)), opener_(std::move(opener)) {}

Target& Session::target()
{
  if (!target_ && opener_) target_ = opener_();
  if (!target_) throw Failure(Exit::usage, "reach the target", "this session has none", {});
  return *target_;
}

namespace {

bool all_printable(const Json& facts)
{
  if (facts.is_string()) return printable(facts.get_ref<const std::string&>()) == facts.get_ref<const std::string&>();
  return !facts.is_structured() || std::all_of(facts.begin(), facts.end(), all_printable);
}

void make_printable(Json& facts)
{
  if (facts.is_string())
    facts = printable(facts.get_ref<const std::string&>());
  else if (facts.is_structured())
    for (Json& f : facts) make_printable(f);
}

std::string text_of(const Command& command, const Json& facts, const Style& style)
{
  if (command.output == Output::raw || all_printable(facts)) return command.render(facts, style);
  Json copy = facts;
  make_printable(copy);
  return command.render(copy, style);
}

}  // namespace

Scene Session::scene()
{
  if (recorder_.in_past()) return {recorder_.chronicle().history->memory(), recorder_.chronicle().history->objects()};
  return {target().memory(), target().objects()};
}

Reply Session::execute(std::span<const std::string> words)
{
  const ParsedCommand parsed = table_.parse(words);
  if (recorder_.in_past() && parsed.command->changes)
    throw Failure(Exit::usage, parsed.arguments.command,
                  fmt::format("the session shows the past, {}, which does not change any more", recorder_.place()),
                  "'goto now' returns to the present.");
  Outcome outcome = parsed.command->handler(*this, parsed.arguments);
  if (recorder_.on()) recorder_.sync(target());
  Reply reply;
  reply.text = text_of(*parsed.command, outcome.facts, style);
  if (recorder_.in_past() && parsed.command->output == Output::text) {
    outcome.facts["at"] = place_facts(recorder_);
    reply.text = place_text(recorder_, style) + reply.text;
  }
  if (const auto errors = outcome.facts.find("errors"); errors != outcome.facts.end() && errors->is_string())
    reply.errors = errors->get<std::string>();
  reply.facts = std::move(outcome.facts);
  reply.status = outcome.status;
  reply.as_json = parsed.arguments.as_json;
  return reply;
}

Reply Session::execute_line(std::string_view line)
{
  const std::vector<std::string> words = split_line(line);
  return words.empty() ? Reply{} : execute(words);
}

Json failure_facts(const Failure& failure)
{
  return {{"error",
           {{"exit", static_cast<int>(failure.code())},
            {"tried", failure.tried()},
            {"found", failure.found()},
            {"advice", failure.advice()}}}};
}

ObjectState find_object(Target& target, const std::string& command, const std::string& name)
{
  return find_object(Scene{target.memory(), target.objects()}, command, name);
}

ObjectState find_object(const Scene& scene, const std::string& command, const std::string& name)
{
  std::vector<std::string_view> names;
  for (const ObjectState& o : scene.objects) {
    if (o.name == name) return o;
    names.push_back(o.name);
  }
  throw Failure(Exit::usage, command, fmt::format("there is no object '{}'", name),
                names.empty() ? "There are no objects yet: object create NAME SIZE." : suggest(name, names));
}

TreeId find_tree(const ObjectState& object, const std::string& command, const std::string& word)
{
  if (word == "primary" || word == "0") return primary_tree;
  std::vector<TreeId> of_format;
  std::string known;
  for (const ViewState& v : object.views) {
    const std::string_view format = find_format(v.format)->name;
    if (word == std::to_string(v.number)) return v.number;
    if (word == format) of_format.push_back(v.number);
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", v.number, format);
  }
  if (of_format.size() == 1) return of_format[0];
  const std::string advice = known.empty() ? fmt::format("It has no views yet: view add {} FORMAT.", object.name)
                                           : fmt::format("Views: {}; 'primary' is the primary.", known);
  if (of_format.size() > 1)
    throw Failure(Exit::usage, command,
                  fmt::format("'{}' has {} views of format {}", object.name, of_format.size(), word), advice);
  throw Failure(Exit::usage, command, fmt::format("'{}' has no view '{}'", object.name, word), advice);
}

}  // namespace morsel::session
