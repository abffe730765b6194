// SPDX-License-Identifier: GPL-2.0-or-later
//
// serve, connect, session list|end: sessions of several programs at once (engine/session/server). And who does a
// command of morselctl: the session in this process, or one that runs elsewhere.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "engine/session/session.hpp"
#include "scripts/morselctl/machines.hpp"

namespace morsel::ctl {

// Where commands go. Throws Failure as Session::execute() does.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual session::Reply execute(std::span<const std::string> words) = 0;
  // From now on events are kept; with `points` the journal's records, too.
  virtual void listen(bool points) = 0;
  // Waits until one has come, and forgets the others that have.
  virtual session::Json next_event() = 0;
};

// With --session: commands of the session's own table go there; those about machines and sessions are done here.
std::unique_ptr<Executor> make_executor(const Choice& choice, session::Session& here);

// An event for people: "* OBJECT_CHANGED object=a".
std::string event_text(const session::Json& event);

void add_session_commands(session::CommandTable& table, const Choice& choice);

}  // namespace morsel::ctl
