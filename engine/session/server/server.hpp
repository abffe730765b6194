// SPDX-License-Identifier: GPL-2.0-or-later
//
// A session for several clients at once: a Unix socket (mode 0600, NAME.session in the runtime folder) on which
// protocol.hpp is spoken. One thread serves the clients, another one, the session's, does the commands of all clients
// one after the other; each client has its replies in the order of its requests. Nobody waits for a slow client: what
// is sent to it is queued up to a bound, and beyond it is dropped. Nobody waits for one that has gone, either: nothing
// more of it is begun, and the program that it waits for is killed. While the session's thread waits for a program, it
// does the commands that only look. `stop` and `run` (the gate) come before everything else: a third thread lets them
// act while the session's waits, which goes on by that.
//
// A server holds the lock NAME.session-lock as long as it lives. A socket whose lock is free was left by a server that
// was killed, and is replaced.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/session/session.hpp"

namespace morsel::session {

struct ServerLimits {
  std::size_t clients = 64;
  std::size_t events = 4096;                         // kept for clients that were away
  std::size_t points = 16384;                        // records of the journal, likewise
  std::size_t unsent_bytes = std::size_t{16} << 20;  // for one client, which is dropped beyond
  Milliseconds end{5000};                            // how long the end waits for a command that still runs
};

class Server {
 public:
  // Opens the door and the session's target. Throws Failure if a session of that name runs.
  Server(Session& session, const std::string& name, const ServerLimits& limits = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  struct Ended {
    Exit status = Exit::done;  // or target_lost
    std::string why;           // for people
    // A command did not return in time: its thread still uses the session, so that the process can only exit.
    bool busy = false;
  };
  // Serves until end(), end-session, SIGINT or SIGTERM, or until the target is lost. Call it once.
  Ended run();
  // From any thread.
  void end(const std::string& why);

  const std::string& path() const;  // of the socket

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace morsel::session
