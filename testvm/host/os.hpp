// SPDX-License-Identifier: GPL-2.0-or-later
//
// Small things of the operating system that the host side of the VM needs: descriptors, sockets, children. All throw
// session::Failure.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "testvm/agent/unique_fd.hpp"

namespace morsel::testvm {

using agent::UniqueFd;
using Milliseconds = std::chrono::milliseconds;

// "No such file or directory" for errno as it is now.
std::string errno_text();

// A stream socket pair, both ends close-on-exec.
struct SocketPair {
  UniqueFd ours, theirs;
};
SocketPair make_socket_pair(const std::string& tried);

// Listens with mode 0600; an old file of that name is removed first.
UniqueFd listen_unix(const std::filesystem::path& path);
// Empty if nobody listens there.
std::optional<UniqueFd> connect_unix(const std::filesystem::path& path);

// Writes all of it to a blocking descriptor; false if the peer has gone.
bool write_all(int fd, std::string_view bytes);
// One line without its newline, from a blocking descriptor; empty at the end of the stream, or if the time limit
// passes.
std::optional<std::string> read_line(int fd, Milliseconds limit);
void set_nonblocking(int fd);

// Waits until `fd` can be read (or has an end); false when the limit passed first.
bool wait_readable(int fd, Milliseconds limit);

// A descriptor that becomes readable when the process ends; empty if there is no such process.
std::optional<UniqueFd> open_process(pid_t pid);

// What a child gets instead of the parent's descriptors: 0 is /dev/null, 1 and 2 are `output` and `errors` (or
// /dev/null), and each of `kept` under its own number. It leads a session of its own, so that the terminal's Ctrl-C
// does not reach it.
struct ChildSetup {
  std::vector<std::string> argv;
  std::vector<std::string> environment_additions;  // NAME=VALUE
  std::vector<int> kept;
  int output = -1, errors = -1;
  unsigned long data_limit_bytes = 0;  // RLIMIT_DATA; 0: as it is
  int parent_death_signal = 0;         // sent to it when the thread that started it ends
};
pid_t start_child(const ChildSetup& setup);

// The exit status, or 128 + signal, as a shell says it.
int wait_child(pid_t pid);

// What a program writes to its standard output; empty if it cannot be started, fails or takes longer than `limit`.
std::optional<std::string> output_of(const std::vector<std::string>& argv, Milliseconds limit);

// The first program of that name in PATH or the usual folders of system programs.
std::optional<std::filesystem::path> find_program(const std::string& name);

// The file's last lines, at most `bytes` of it, without control characters. Empty if there is none.
std::string tail_of(const std::filesystem::path& file, std::size_t lines, std::size_t bytes = 8192);

std::string read_file(const std::filesystem::path& file);
void write_file(const std::filesystem::path& file, std::string_view text, mode_t mode);

}  // namespace morsel::testvm
