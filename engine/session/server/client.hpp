// SPDX-License-Identifier: GPL-2.0-or-later
//
// The other side of a session's door, for programs of this project: blocking calls.
//
// Thread safety: one thread at a time.
#pragma once
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/session/reply.hpp"
#include "engine/session/unique_fd.hpp"
#include "engine/session/wire.hpp"

namespace morsel::session {

class Client {
 public:
  // Throws Failure if no session of that name runs.
  explicit Client(const std::string& name);

  const Json& greeting() const { return greeting_; }
  // As Session::execute(), the session's Failure included.
  Reply execute(std::span<const std::string> words, bool color);
  // A command by its name, with its arguments; returns what stands under "return".
  Json call(const std::string& command, const Json& arguments = Json::object());

  // Events that have come, after subscribe. Waits until there is one, or the descriptor `or_readable` can be read.
  std::optional<Json> next_event(int or_readable = -1);
  // Forgets those that have come by now.
  void drop_events();

 private:
  Json ask(const Json& request);
  Json read_message();
  std::optional<Json> take_message();
  void receive();

  std::string name_;
  UniqueFd socket_;
  LineReader lines_;
  Json greeting_;
  std::deque<Json> events_;
  std::string ending_;  // why the session ends, when it has said so
};

// The names of the sessions that run, in order.
std::vector<std::string> running_sessions();

}  // namespace morsel::session
