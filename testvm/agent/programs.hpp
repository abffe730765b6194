// SPDX-License-Identifier: GPL-2.0-or-later
//
// Programs that the agent runs for the host: started, listened to, waited for, signalled. Nothing here blocks; whoever
// wants an end is called when it comes. One thread.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "testvm/agent/poller.hpp"
#include "testvm/agent/wire.hpp"

namespace morsel::agent {

inline constexpr std::size_t kept_output_bytes = 64 * 1024;  // of each stream
inline constexpr std::size_t max_programs = 256;             // running, and ended but not waited for

class Programs {
 public:
  // How a program ended: exit_status or signal, its output and, where it was cut, that it was.
  using Ended = std::function<void(pid_t pid, const Json& result)>;
  using Output = std::function<void(pid_t pid, const char* stream, const std::string& text)>;

  // `ended` is called for every program, `output` with the lines of detached ones.
  Programs(Poller& poller, Ended ended, Output output);
  // Kills what still runs, and waits for it.
  ~Programs();
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  enum class Attach { yes, detach };
  // The host's numbers: of the program alone, and of the client that it was started for.
  struct Marks {
    std::optional<std::uint64_t> tag, client;
  };
  // Throws RequestError if it cannot be started. Standard input is empty.
  pid_t start(const std::vector<std::string>& argv, const std::vector<std::string>& environment, Attach attach,
              const Marks& marks = {});
  // Calls `then` with the result once, at its end or at once if it has ended. The result is then forgotten.
  void when_ended(pid_t pid, std::function<void(const Json& result)> then);
  void send_signal(pid_t pid, int number);
  // Kills the running program that was started with this tag, with all that it has started in its session's group. None
  // is no error: it may just have ended.
  void kill_tagged(std::uint64_t tag);
  // Those of the client (nothing: of nobody) that run, for people: "sh (pid 71)".
  std::vector<std::string> running_of(std::optional<std::uint64_t> client) const;
  // While paused, output stays in the programs' pipes, so that they wait for the host.
  void pause_output(bool paused);

 private:
  struct Stream;
  struct Program;

  void add_stream(Program& program, Stream& stream, const char* name, UniqueFd fd);
  bool read_some(Program& program, Stream& stream);
  void emit_lines(Program& program, Stream& stream, bool all);
  void finish(Program& program);
  void close_stream(Stream& stream);
  Program& find(pid_t pid);

  Poller& poller_;
  Ended ended_;
  Output output_;
  bool paused_ = false;
  std::map<pid_t, std::unique_ptr<Program>> programs_;
};

}  // namespace morsel::agent
