// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session: the owner of one target, and the door through which commands reach it.
//
// Thread safety: one thread at a time.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/session/command.hpp"
#include "engine/session/recorder.hpp"
#include "engine/session/reply.hpp"
#include "engine/session/target.hpp"

namespace morsel::session {

// What there is to look at: the target as it is, or as it was at the place in its history where the session stands.
struct Scene {
  const inspect::PhysicalMemory& memory;
  std::vector<ObjectState> objects;
};

class Session {
 public:
  using Opener = std::function<std::unique_ptr<Target>()>;

  explicit Session(std::unique_ptr<Target> target, CommandTable table = session_commands());
  // The target is opened when the first command asks for it: help, formats and entry need none.
  explicit Session(Opener opener, CommandTable table = session_commands());

  // Throws Failure for bad words, for whatever the target refuses, and if there is no target.
  Reply execute(std::span<const std::string> words);
  Reply execute_line(std::string_view line);  // an empty line or a comment: an empty reply

  Target& target();
  Scene scene();
  Recorder& recorder() { return recorder_; }
  const CommandTable& table() const { return table_; }

  Style style;

 private:
  CommandTable table_;
  Opener opener_;
  std::unique_ptr<Target> target_;
  Recorder recorder_;
};

// The target's or the scene's object; Failure names the nearest if there is none.
ObjectState find_object(Target& target, const std::string& command, const std::string& name);
ObjectState find_object(const Scene& scene, const std::string& command, const std::string& name);
// "primary", a view's number, or the name of a format that only one view has.
TreeId find_tree(const ObjectState& object, const std::string& command, const std::string& word);

}  // namespace morsel::session
