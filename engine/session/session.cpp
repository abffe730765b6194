// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/session.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/abi/morsel_ioctl.h"
#include "engine/session/commands.hpp"
#include "engine/session/facts_actor.hpp"
#include "engine/session/facts_journal.hpp"
#include "engine/session/waiting.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

Session::Session(std::unique_ptr<Target> target, CommandTable table)
    : table_(std::move(table)), target_(std::move(target))
{
  hear_target();
}

Session::Session(Opener opener, CommandTable table) : table_(std::move(table)), opener_(std::move(opener)) {}

// Whoever still waits at a point goes on, so that every thread comes to its end.
Session::~Session()
{
  listen({});
  if (!target_) return;
  if (Stepping* const stepping = target_->stepping(); stepping && !tasks_->empty()) try {
      stepping->run();
    } catch (const Failure&) {  // it does not answer, or somebody else holds the gate: nobody waits for that
      if (auto* const waiting = dynamic_cast<Waiting*>(target_.get())) waiting->give_up();
    }
  ending_.request_stop();
  target_->listen({});  // what it still tells would poke tasks that are gone
  tasks_.reset();
}

void Session::hear_target()
{
  if (target_) target_->listen([this](const Event& event) { hear(event); });
}

void Session::hear(const Event& event)
{
  tasks_->poke();
  tell(event);
}

void Session::tell(const Event& event)
{
  const std::lock_guard lock(listener_mutex_);
  if (listener_) listener_(event);
}

void Session::listen(std::function<void(const Event&)> listener)
{
  const std::lock_guard lock(listener_mutex_);
  listener_ = std::move(listener);
}

Target& Session::target()
{
  if (!target_ && opener_) {
    target_ = opener_();
    hear_target();
  }
  if (!target_) throw Failure(Exit::usage, "reach the target", "this session has none", {});
  return *target_;
}

void Session::replace_target(std::unique_ptr<Target> target)
{
  if (!tasks_->empty() || recorder_.on() || recorder_.in_past())
    throw Failure(Exit::usage, "go over to another target", "here a command waits, or a journal is recorded or shown",
                  "First 'run', 'goto now' and 'journal off'.");
  if (target_) target_->listen({});
  recorder_ = Recorder();
  reported_.clear();
  faults_ = false;
  {
    const std::lock_guard lock(gate_mutex_);
    target_ = std::move(target);
  }
  hear_target();
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
  return {target().memory(), target().objects(), target().roots() != nullptr};
}

Reply Session::perform(const ParsedCommand& parsed, const Style& with)
{
  Outcome outcome = parsed.command->handler(*this, parsed.arguments);
  Reply reply;
  reply.text = text_of(*parsed.command, outcome.facts, with);
  if (const auto errors = outcome.facts.find("errors"); errors != outcome.facts.end() && errors->is_string())
    reply.errors = errors->get<std::string>();
  reply.facts = std::move(outcome.facts);
  reply.status = outcome.status;
  reply.as_json = parsed.arguments.as_json;
  return reply;
}

// How long a command is waited for that neither ends nor comes to a point: a program that does something else first.
constexpr Milliseconds begin_limit{2000};
constexpr Milliseconds stop_limit{5000};
constexpr std::size_t most_tasks = 48;  // fewer than a VM's holder takes requests of one client

Reply Session::begin_task(ParsedCommand parsed, std::span<const std::string> words)
{
  const bool as_json = parsed.arguments.as_json;
  const std::string command = fmt::format("{}", fmt::join(words, " "));
  if (tasks_->under_way() >= most_tasks)
    throw Failure(Exit::usage, command, fmt::format("{} commands wait behind the closed gate already", most_tasks),
                  "'step', 'until' and 'run' let them go on.");
  parsed.arguments.given_up = ending_.get_token();
  // Its own copy of the style: the next command may be another client's.
  Tasks::Work work = [this, parsed = std::move(parsed), its_style = style] { return perform(parsed, its_style); };
  return started(tasks_->begin(*target_->stepping(), command, std::move(work), begin_limit), command, as_json, style);
}

Reply Session::perform_in_front(ParsedCommand parsed, std::span<const std::string> words, const std::stop_token& gone,
                                u64 hurries)
{
  const bool as_json = parsed.arguments.as_json;
  const std::string command = fmt::format("{}", fmt::join(words, " "));
  const bool is_program = parsed.command->path == "run";
  const Style its_style = style;  // others may have another one meanwhile
  std::stop_source given_up;
  parsed.arguments.given_up = given_up.get_token();
  // A task outlives the wait of its client, but not the session.
  const std::stop_callback with_client(gone, [&] { given_up.request_stop(); });
  Tasks::Work work = [this, given_up, parsed = std::move(parsed), its_style]() mutable {
    const std::stop_callback with_session(ending_.get_token(), [&] { given_up.request_stop(); });
    return perform(parsed, its_style);
  };
  return started(tasks_->begin_in_front(*target_->stepping(), command, std::move(work), hurries,
                                        is_program ? meanwhile_ : std::function<void()>{}),
                 command, as_json, its_style);
}

Reply Session::started(Tasks::Begun begun, const std::string& command, bool as_json, const Style& with)
{
  if (begun.reply) return std::move(*begun.reply);
  Reply reply;
  reply.facts = {{"started", command}};
  if (begun.actor) {
    reply.facts["actor"] = begun.actor->id;
    reply.facts["waits_at"] = actor_facts(*begun.actor, target_->objects());
  }
  reply.text = printable(render_started(reply.facts, with));
  reply.as_json = as_json;
  return reply;
}

void Session::act_on_gate(std::span<const std::string> words)
{
  const auto is_option = [](const std::string& word) { return word.starts_with("--"); };
  const std::lock_guard lock(gate_mutex_);
  Stepping* const stepping = target_ ? target_->stepping() : nullptr;
  if (!stepping || words.empty() || !std::all_of(words.begin() + 1, words.end(), is_option)) return;
  try {
    if (words[0] == "stop") stepping->stop(stop_limit);
    if (words[0] == "run") stepping->run();
  } catch (const Failure&) {
    // The command itself, which comes next, finds it and tells it.
  }
  tasks_->hurry();
}

void Session::let_all_go()
{
  tasks_->hurry();
  const std::lock_guard lock(gate_mutex_);
  if (Stepping* const stepping = target_ ? target_->stepping() : nullptr) stepping->run();
}

Reply Session::execute(std::span<const std::string> words, const std::stop_token& gone)
{
  ParsedCommand parsed = table_.parse(words);
  const Command& command = *parsed.command;
  if (parsed.arguments.has(watch_flag))
    throw Failure(Exit::usage, parsed.arguments.command, fmt::format("here {} is not done", watch_flag),
                  "morselctl does it; a program subscribes to events (docs/sessions.md), and asks again.");
  if (recorder_.in_past() && command.changes)
    throw Failure(Exit::usage, parsed.arguments.command,
                  fmt::format("the session shows the past, {}, which does not change any more", recorder_.place()),
                  "'goto now' returns to the present.");
  const bool opens_gate = command.path == "run" && !parsed.arguments.has("PROGRAM");
  const u64 hurries = tasks_->hurries();  // before the look at the gate
  const bool steppable = command.changes && !opens_gate && target_ && target_->stepping();
  const bool gated = steppable && target_->stepping()->stopped();
  parsed.arguments.given_up = gone;
  try {
    Reply reply = gated                               ? begin_task(std::move(parsed), words)
                  : steppable && gone.stop_possible() ? perform_in_front(std::move(parsed), words, gone, hurries)
                                                      : perform(parsed, style);
    look_back(command, reply);
    return reply;
  } catch (const Failure& failure) {
    throw with_look_back(command, failure);
  }
}

// A command that fails may be the one that met the bad entry: then it says so.
Failure Session::with_look_back(const Command& command, const Failure& failure)
{
  if (failure.code() == Exit::target_lost || !target_) return failure;
  Reply found;
  try {
    look_back(command, found);
  } catch (const Failure&) {  // the failure itself is what there is to tell
    return failure;
  }
  if (!found.facts.contains("violations")) return failure;
  const Json& violations = found.facts["violations"];
  std::string text = failure.found() + "; " + printable(violation_text(violations[0], Style{}));
  text.pop_back();  // the end of the line
  if (violations.size() > 1) text += fmt::format("; and {} more: 'verify' lists them", violations.size() - 1);
  return {failure.code(), failure.tried(), text, failure.advice()};
}

// What every command's reply says besides: that it shows the past, and which invariants are broken by now.
void Session::look_back(const Command& command, Reply& reply)
{
  if (command.path.starts_with("inject add") || command.path == "inject preset") faults_ = true;
  if (recorder_.on()) recorder_.sync(target());
  if (command.output == Output::raw) return;
  if (recorder_.in_past()) {
    reply.facts["at"] = place_facts(recorder_);
    reply.text = place_text(recorder_, style) + reply.text;
    return;
  }
  try {
    if (may_have_broken(command)) report_violations(reply);
  } catch (const Failure&) {  // the target was lost by this command: the next one says so
  }
}

// Something has changed under observation, and nobody is in the middle of it.
bool Session::may_have_broken(const Command& command)
{
  if (command.path == "verify" || command.path == "replay" || (!faults_ && !recorder_.on())) return false;
  Stepping* const stepping = target().stepping();
  if (stepping && stepping->stopped() && !stepping->actors().empty()) return false;
  if (!recorder_.on()) return command.changes;
  const Journal& journal = recorder_.chronicle().journal;
  const u64 before = std::exchange(looked_at_, journal.sequence_at(journal.size()));
  return before != looked_at_;
}

std::vector<Tasks::Finished> Session::settle(Milliseconds limit)
{
  Stepping* const stepping = target_ ? target_->stepping() : nullptr;
  if (!stepping) return {};
  return tasks_->settle(*stepping, limit);
}

std::vector<std::string> Session::branch()
{
  constexpr Milliseconds end_limit{60'000};
  std::vector<std::string> undone;
  recorder_.check_branch(target());
  if (!tasks_->empty()) {
    stepping_of(*this, "branch").run();
    for (const Tasks::Finished& f : settle(end_limit)) undone.push_back(f.command);
  }
  if (!tasks_->empty())
    throw Failure(Exit::usage, "branch", "a command is under way", "'goto now' and 'run' let it come to its end.");
  recorder_.branch(target());
  reported_.clear();
  looked_at_ = 0;
  return undone;
}

bool Session::wait_for_actors(Milliseconds limit, const std::function<bool(const std::vector<ActorState>&)>& over)
{
  return tasks_->wait_until(stepping_of(*this, "actors"), limit, over);
}

Reply Session::execute_line(std::string_view line)
{
  const std::vector<std::string> words = split_line(line);
  return words.empty() ? Reply{} : execute(words);
}

Stepping& stepping_of(Session& session, const std::string& command)
{
  Stepping* const stepping = session.target().stepping();
  if (!stepping)
    throw Failure(Exit::skipped, command, "this target cannot be stepped",
                  "The embedded machine and a test VM can: morselctl --embedded, morselctl vm up.");
  return *stepping;
}

Roots& roots_of(Session& session, const std::string& command)
{
  Roots* const roots = session.target().roots();
  if (!roots)
    throw Failure(Exit::skipped, command, "this target makes its objects itself: it takes no roots",
                  "Dumps and foreign guests do: morselctl --dump FILE, morselctl --guest DOMAIN.");
  return *roots;
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
  return find_object(Scene{target.memory(), target.objects(), target.roots() != nullptr}, command, name);
}

ObjectState find_object(const Scene& scene, const std::string& command, const std::string& name)
{
  std::vector<std::string_view> names;
  for (const ObjectState& o : scene.objects) {
    if (o.name == name) return o;
    names.push_back(o.name);
  }
  const std::string_view what = scene.has_roots ? "root" : "object";
  const std::string none = scene.has_roots ? "There are no roots yet: root add NAME ROOT --format FORMAT."
                                           : "There are no objects yet: object create NAME SIZE.";
  throw Failure(Exit::usage, command, fmt::format("there is no {} '{}'", what, name),
                names.empty() ? none : suggest(name, names));
}

std::optional<TreeId> tree_option(const Arguments& arguments)
{
  if (!arguments.has("--view")) return {};
  const std::string& word = arguments.text("--view");
  if (word == "primary") return primary_tree;
  const u64 number = parse_number(arguments.command + ": --view", word);
  if (number > MORSEL_MAX_VIEWS)
    throw Failure(Exit::usage, arguments.command + ": --view", fmt::format("{} is no view's number", number),
                  "Write 'primary' or a number from 1; without --view every tree is meant.");
  return static_cast<TreeId>(number);
}

std::optional<TreeId> tree_option(Session& session, const Arguments& arguments)
{
  if (!arguments.has("--object") || !arguments.has("--view")) return tree_option(arguments);
  return find_tree(find_object(session.target(), arguments.command, arguments.text("--object")), arguments.command,
                   arguments.text("--view"));
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
