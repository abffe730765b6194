// SPDX-License-Identifier: GPL-2.0-or-later
//
// Programs by posix_spawn, their ends by pidfd, their output by pipes.
#include "testvm/agent/programs.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "testvm/agent/cpus.hpp"

extern "C" {
#include <sys/pidfd.h>  // glibc 2.36 forgot to say that these are C functions

extern char** environ;
}

namespace morsel::agent {

namespace {
constexpr std::uint32_t no_events = 0, readable = EPOLLIN;
}  // namespace

struct Programs::Stream {
  const char* name = "";
  UniqueFd fd;
  std::string kept;
  bool cut = false;
  std::string line;  // detached: what has not been emitted yet
};

struct Programs::Program {
  pid_t pid = 0;
  Attach attach = Attach::yes;
  std::string name;
  Marks marks;
  UniqueFd pidfd;  // open while it runs
  Stream output, errors;
  Json result;  // null while it runs
  std::vector<std::function<void(const Json&)>> waiters;
};

namespace {

struct Pipe {
  UniqueFd reader, writer;
};

Pipe make_pipe()
{
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) throw RequestError(errno, std::string("making a pipe: ") + std::strerror(errno));
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& texts)
{
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// The agent's environment; `changes` (NAME=VALUE) replace or add.
std::vector<std::string> merged_environment(const std::vector<std::string>& changes)
{
  std::map<std::string, std::string> variables;
  const auto set = [&variables](const std::string& text) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == std::string::npos) throw RequestError(EINVAL, "env is a list of NAME=VALUE");
    variables[text.substr(0, equals)] = text;
  };
  for (char** variable = environ; *variable; ++variable) set(*variable);
  for (const std::string& change : changes) set(change);
  std::vector<std::string> result;
  result.reserve(variables.size());
  for (const auto& [name, text] : variables) result.push_back(text);
  return result;
}

// While this lives, the agent is not protected from the OOM killer (main.cpp), so that what it starts is not either.
class Unprotected {
 public:
  Unprotected() : was_(read()) { write("0"); }
  ~Unprotected() { write(was_); }
  Unprotected(const Unprotected&) = delete;
  Unprotected& operator=(const Unprotected&) = delete;

 private:
  static constexpr const char* file = "/proc/self/oom_score_adj";
  static std::string read()
  {
    std::string value;
    std::ifstream(file) >> value;
    return value;
  }
  void write(const std::string& value) const
  {
    if (was_.starts_with('-')) std::ofstream(file) << value;
  }

  const std::string was_;
};

// A session of its own, default signal dispositions, nothing blocked; output into the pipes.
pid_t spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment, int output, int errors)
{
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, 1);
  posix_spawn_file_actions_adddup2(&files, errors, 2);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  pid_t pid = 0;
  const int error = [&] {
    const Unprotected unprotected;
    const OnAnyCpu anywhere;
    return posix_spawnp(&pid, argv[0].c_str(), &files, &attributes, pointers(argv).data(),
                        pointers(environment).data());
  }();
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error) throw RequestError(error, "starting " + argv[0] + ": " + std::strerror(error));
  return pid;
}

Json result_of(int status)
{
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return {{"signal", WTERMSIG(status)}, {"signal_name", std::string("SIG") + (name ? name : "?")}};
  }
  return {{"exit_status", WEXITSTATUS(status)}};
}

}  // namespace

Programs::Programs(Poller& poller, Ended ended, Output output)
    : poller_(poller), ended_(std::move(ended)), output_(std::move(output))
{
}

Programs::~Programs()
{
  for (auto& [pid, program] : programs_) {
    if (!program->pidfd) continue;
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    poller_.remove(program->pidfd.get());
    close_stream(program->output);
    close_stream(program->errors);
  }
}

pid_t Programs::start(const std::vector<std::string>& argv, const std::vector<std::string>& environment, Attach attach,
                      const Marks& marks)
{
  if (argv.empty() || argv[0].empty()) throw RequestError(EINVAL, "argv names no program");
  if (programs_.size() >= max_programs) {
    // A result that nobody asked for gives way.
    if (std::erase_if(programs_, [](const auto& entry) { return !entry.second->result.is_null(); }) == 0)
      throw RequestError(EAGAIN, std::to_string(max_programs) + " programs are running");
  }
  Pipe output = make_pipe(), errors = make_pipe();
  auto program = std::make_unique<Program>();
  const pid_t pid = spawn(argv, merged_environment(environment), output.writer.get(), errors.writer.get());
  program->pid = pid;
  program->attach = attach;
  program->name = argv[0].substr(argv[0].rfind('/') + 1);
  program->marks = marks;
  program->pidfd = UniqueFd(pidfd_open(pid, 0));
  if (!program->pidfd) {
    const int error = errno;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    throw RequestError(error, std::string("watching the program: ") + std::strerror(error));
  }
  programs_.erase(pid);  // an ended program of the same pid that nobody waited for
  Program& kept = *programs_.emplace(pid, std::move(program)).first->second;
  add_stream(kept, kept.output, "stdout", std::move(output.reader));
  add_stream(kept, kept.errors, "stderr", std::move(errors.reader));
  poller_.add(kept.pidfd.get(), EPOLLIN, [this, &kept](std::uint32_t) { finish(kept); });
  return pid;
}

void Programs::add_stream(Program& program, Stream& stream, const char* name, UniqueFd fd)
{
  stream.name = name;
  stream.fd = std::move(fd);
  poller_.add(stream.fd.get(), paused_ ? no_events : readable,
              [this, &program, &stream](std::uint32_t) { read_some(program, stream); });
}

void Programs::close_stream(Stream& stream)
{
  if (!stream.fd) return;
  poller_.remove(stream.fd.get());
  stream.fd.reset();
}

// One read; false when there is nothing now or nothing more ever.
bool Programs::read_some(Program& program, Stream& stream)
{
  if (!stream.fd) return false;
  char buffer[16 * 1024];
  const ssize_t length = read(stream.fd.get(), buffer, sizeof buffer);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (length <= 0) {
    close_stream(stream);
    return false;
  }
  const std::string_view text(buffer, static_cast<std::size_t>(length));
  const std::size_t room = kept_output_bytes - stream.kept.size();
  stream.kept.append(text.substr(0, room));
  stream.cut = stream.cut || text.size() > room;
  if (program.attach == Attach::detach) {
    stream.line.append(text);
    emit_lines(program, stream, false);
  }
  return true;
}

// Whole lines, so that no character is torn; a line that does not end is given out in pieces.
void Programs::emit_lines(Program& program, Stream& stream, bool all)
{
  const auto newline = stream.line.rfind('\n');
  std::size_t length = newline == std::string::npos ? 0 : newline + 1;
  if (all || stream.line.size() - length > 4096) length = stream.line.size();
  if (length == 0) return;
  const std::string text = stream.line.substr(0, length);
  stream.line.erase(0, length);
  output_(program.pid, stream.name, text);
}

void Programs::finish(Program& program)
{
  int status = 0;
  if (waitpid(program.pid, &status, WNOHANG) != program.pid) return;
  poller_.remove(program.pidfd.get());
  program.pidfd.reset();
  program.result = result_of(status);
  for (Stream* stream : {&program.output, &program.errors}) {
    // What it wrote before it ended. A child that it left behind may go on writing for ever: take no more than a
    // pipe holds.
    for (int reads = 0; reads < 64 && read_some(program, *stream); ++reads) {
    }
    close_stream(*stream);
    emit_lines(program, *stream, true);
    program.result[stream->name] = std::move(stream->kept);
    if (stream->cut) program.result[std::string(stream->name) + "_cut"] = true;
  }
  const pid_t pid = program.pid;
  const Json result = program.result;
  const auto waiters = std::move(program.waiters);
  if (!waiters.empty()) programs_.erase(pid);
  for (const auto& waiter : waiters) waiter(result);
  ended_(pid, result);
}

Programs::Program& Programs::find(pid_t pid)
{
  const auto found = programs_.find(pid);
  if (found == programs_.end()) throw RequestError(ESRCH, "no program of the agent has the pid " + std::to_string(pid));
  return *found->second;
}

void Programs::when_ended(pid_t pid, std::function<void(const Json& result)> then)
{
  Program& program = find(pid);
  if (program.result.is_null()) {
    program.waiters.push_back(std::move(then));
    return;
  }
  const Json result = program.result;
  programs_.erase(pid);
  then(result);
}

void Programs::send_signal(pid_t pid, int number)
{
  const Program& program = find(pid);
  if (!program.pidfd) throw RequestError(ESRCH, "the program " + std::to_string(pid) + " has ended");
  if (pidfd_send_signal(program.pidfd.get(), number, nullptr, 0) != 0)
    throw RequestError(errno, "sending signal " + std::to_string(number) + ": " + std::strerror(errno));
}

// Its pid names its group as long as it has not been waited for, and finish() takes the pidfd away when it has.
void Programs::kill_tagged(std::uint64_t tag)
{
  for (const auto& [pid, program] : programs_)
    if (program->pidfd && program->marks.tag == tag) kill(-pid, SIGKILL);
}

std::vector<std::string> Programs::running_of(std::optional<std::uint64_t> client) const
{
  std::vector<std::string> names;
  for (const auto& [pid, program] : programs_)
    if (program->pidfd && program->marks.client == client)
      names.push_back(program->name + " (pid " + std::to_string(pid) + ")");
  return names;
}

void Programs::pause_output(bool paused)
{
  if (paused == paused_) return;
  paused_ = paused;
  for (auto& [pid, program] : programs_)
    for (Stream* stream : {&program->output, &program->errors})
      if (stream->fd) poller_.change(stream->fd.get(), paused ? no_events : readable);
}

}  // namespace morsel::agent
