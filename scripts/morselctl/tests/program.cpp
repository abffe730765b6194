// SPDX-License-Identifier: GPL-2.0-or-later
#include "scripts/morselctl/tests/program.hpp"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace morsel::ctl {

namespace {

std::vector<std::string> command_of(const Invocation& invocation, const char* program)
{
  std::vector<std::string> command{program};
  if (!invocation.preparation.empty()) {
    command = {"unshare", "--mount", "sh", "-c", invocation.preparation + " && exec \"$0\" \"$@\"", program};
    if (geteuid() != 0) command.insert(command.begin() + 1, "--map-root-user");
  }
  command.insert(command.end(), invocation.words.begin(), invocation.words.end());
  return command;
}

[[noreturn]] void exec_morselctl(const Invocation& invocation)
{
  const char* program = std::getenv("MORSELCTL");
  if (!program) _exit(126);
  unsetenv("NO_COLOR");
  setenv("TERM", "xterm", 1);
  for (const std::string& variable : invocation.environment) {
    const std::size_t equals = variable.find('=');
    setenv(variable.substr(0, equals).c_str(), variable.substr(equals + 1).c_str(), 1);
  }
  const std::vector<std::string> command = command_of(invocation, program);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  _exit(126);
}

// Reads both until their ends. A terminal's end is the error EIO.
void read_all(int output, int errors, Ended& ended)
{
  std::array<pollfd, 2> fds{{{output, POLLIN, 0}, {errors, POLLIN, 0}}};
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) throw std::runtime_error("poll");
    for (std::size_t n = 0; n < fds.size(); ++n) {
      if (fds[n].fd < 0 || fds[n].revents == 0) continue;
      std::array<char, 4096> bytes{};
      const ssize_t got = read(fds[n].fd, bytes.data(), bytes.size());
      if (got > 0)
        (n == 0 ? ended.output : ended.errors).append(bytes.data(), static_cast<std::size_t>(got));
      else
        fds[n].fd = -1;
    }
  }
}

void wait_for(pid_t pid, Ended& ended)
{
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Ended run_on_terminal(const Invocation& invocation)
{
  int terminal = -1;
  const pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (pid < 0) throw std::runtime_error("forkpty");
  if (pid == 0) exec_morselctl(invocation);
  Ended ended;
  const std::string typed = invocation.input + "\x04";  // end of file
  if (!invocation.input.empty() && write(terminal, typed.data(), typed.size()) < 0) throw std::runtime_error("write");
  read_all(terminal, -1, ended);
  close(terminal);
  wait_for(pid, ended);
  return ended;
}

}  // namespace

Ended run_morselctl(const Invocation& invocation)
{
  if (invocation.terminal == Terminal::yes) return run_on_terminal(invocation);
  return Running(invocation).wait();
}

Running::Running(const Invocation& invocation)
{
  int in[2], out[2], err[2];
  if (pipe(in) || pipe(out) || pipe(err)) throw std::runtime_error("pipe");
  pid_ = fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    for (const int fd : {in[0], in[1], out[0], out[1], err[0], err[1]}) close(fd);
    exec_morselctl(invocation);
  }
  close(in[0]);
  close(out[1]);
  close(err[1]);
  // Inputs of these tests fit into a pipe's buffer.
  if (write(in[1], invocation.input.data(), invocation.input.size()) < 0) throw std::runtime_error("write");
  close(in[1]);
  output_ = out[0];
  errors_ = err[0];
}

Running::~Running()
{
  close(output_);
  close(errors_);
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  Ended ignored;
  wait_for(pid_, ignored);
}

std::string Running::line()
{
  std::string text;
  for (char byte = 0; read(output_, &byte, 1) == 1 && byte != '\n';) text += byte;
  return text;
}

Ended Running::wait()
{
  Ended ended;
  read_all(output_, errors_, ended);
  wait_for(std::exchange(pid_, -1), ended);
  return ended;
}

Ended morselctl(std::vector<std::string> words) { return run_morselctl({std::move(words), {}, {}, Terminal::no}); }

std::string without(const std::string& program) { return "mount --bind /dev/null " + program; }

}  // namespace morsel::ctl
