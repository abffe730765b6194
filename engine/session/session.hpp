// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session: the owner of one target, and the door through which commands reach it.
//
// While the target's gate is closed, a command that changes the machine is a task (tasks.hpp): its reply may say where
// its actor waits. What it answers in the end is told by the command that let it go on.
//
// Thread safety: one thread at a time, but for what says otherwise. Listeners are called from any.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "engine/session/command.hpp"
#include "engine/session/recorder.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/target.hpp"
#include "engine/session/tasks.hpp"
#include "engine/session/verify.hpp"

namespace morsel::session {

// What there is to look at: the target as it is, or as it was at the place in its history where the session stands.
struct Scene {
  const inspect::PhysicalMemory& memory;
  std::vector<ObjectState> objects;
  bool has_roots = false;  // the objects are address spaces: Roots
};

class Session {
 public:
  using Opener = std::function<std::unique_ptr<Target>()>;

  explicit Session(std::unique_ptr<Target> target, CommandTable table = session_commands());
  // The target is opened when the first command asks for it: help, formats and entry need none.
  explicit Session(Opener opener, CommandTable table = session_commands());
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Throws Failure for bad words, for whatever the target refuses, and if there is no target.
  Reply execute(std::span<const std::string> words) { return execute(words, {}); }
  // Of one of several clients: when it has `gone`, a program that it waits for is killed. Another one's stop() lets a
  // command that changes the machine go on as a task.
  Reply execute(std::span<const std::string> words, const std::stop_token& gone);
  Reply execute_line(std::string_view line);  // an empty line or a comment: an empty reply

  Target& target();
  // Goes over to another target. Failure while something waits at the gate or is recorded.
  void replace_target(std::unique_ptr<Target> target);
  Scene scene();
  Recorder& recorder() { return recorder_; }
  // From any thread, while execute() waits in another one: `stop` and `run` (the gate) act at once, and what waits for
  // others does so no longer. They are to be executed all the same. The target must have been reached before.
  void act_on_gate(std::span<const std::string> words);
  // While execute() waits for somebody's program, it calls this, and again whenever look_meanwhile() was called, from
  // any thread: it may execute commands that only look (Command::looks).
  void when_waiting(std::function<void()> meanwhile) { meanwhile_ = std::move(meanwhile); }
  void look_meanwhile() { tasks_->poke(); }
  // From any thread: opens the gate for good, because the session is about to end.
  void let_all_go();
  // Hears what the target tells, and when a task has ended. It must not call back. An empty one ends it.
  void listen(std::function<void(const Event&)> listener);
  // Tasks that have ended since the last call; waits until all others wait, or the limit is over.
  std::vector<Tasks::Finished> settle(Milliseconds limit);
  // Goes on from where the session stands in the past, as another branch (Recorder::branch). Commands that wait now
  // come to their end before, and count no more: how they are called.
  std::vector<std::string> branch();
  // Waits until `over` is true of the actors; false: the limit came first.
  bool wait_for_actors(Milliseconds limit, const std::function<bool(const std::vector<ActorState>&)>& over);
  const CommandTable& table() const { return table_; }

  Style style;

 private:
  Reply perform(const ParsedCommand& parsed, const Style& with);
  void look_back(const Command& command, Reply& reply);
  Failure with_look_back(const Command& command, const Failure& failure);
  bool may_have_broken(const Command& command);
  void report_violations(Reply& reply);
  Reply begin_task(ParsedCommand parsed, std::span<const std::string> words);
  Reply perform_in_front(ParsedCommand parsed, std::span<const std::string> words, const std::stop_token& gone,
                         u64 hurries);
  Reply started(Tasks::Begun begun, const std::string& command, bool as_json, const Style& with);
  void hear_target();
  void hear(const Event& event);
  void tell(const Event& event);

  CommandTable table_;
  Opener opener_;
  std::mutex listener_mutex_;
  std::function<void(const Event&)> listener_;
  std::mutex gate_mutex_;  // of target_, where it is used or replaced by one of two threads
  std::unique_ptr<Target> target_;
  Recorder recorder_;
  std::vector<Violation> reported_;
  u64 looked_at_ = 0;   // the sequence up to which views were looked at
  bool faults_ = false;  // were injected
  std::function<void()> meanwhile_;
  std::stop_source ending_;  // no task waits for a program any more
  std::optional<Tasks> tasks_{std::in_place, [this](u32 actor, const std::string& command) {
                               tell({Event::Kind::command_finished, {}, command, actor});
                             }};
};

// The target's stepping; Failure if it has none.
Stepping& stepping_of(Session& session, const std::string& command);
// The target's roots; Failure if it makes its objects itself.
Roots& roots_of(Session& session, const std::string& command);

// The target's or the scene's object; Failure names the nearest if there is none.
ObjectState find_object(Target& target, const std::string& command, const std::string& name);
ObjectState find_object(const Scene& scene, const std::string& command, const std::string& name);
// What --view says where no object is named: 'primary' or a number; nothing without it.
std::optional<TreeId> tree_option(const Arguments& arguments);
// With --object also a format's name, if one of its views has it.
std::optional<TreeId> tree_option(Session& session, const Arguments& arguments);
// "primary", a view's number, or the name of a format that only one view has.
TreeId find_tree(const ObjectState& object, const std::string& command, const std::string& word);

}  // namespace morsel::session
