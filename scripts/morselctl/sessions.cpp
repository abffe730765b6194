// SPDX-License-Identifier: GPL-2.0-or-later
#include "scripts/morselctl/sessions.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/session/server/client.hpp"
#include "engine/session/server/event_log.hpp"
#include "engine/session/server/server.hpp"
#include "engine/session/server/session_files.hpp"
#include "engine/session/words.hpp"

namespace morsel::ctl {

using session::Argument;
using session::ArgumentKind;
using session::Arguments;
using session::Client;
using session::CommandTable;
using session::Exit;
using session::Failure;
using session::Json;
using session::Outcome;
using session::Reply;
using session::Session;
using session::Style;

namespace {

constexpr const char* default_session = "default";

// A file is meant as it is seen from here; the server stands in a folder of its own.
std::vector<std::string> with_whole_paths(std::span<const std::string> words, const session::ParsedCommand& parsed)
{
  std::vector<std::string> sent(words.begin(), words.end());
  if (!parsed.arguments.has("FILE")) return sent;
  const auto file = std::find(sent.rbegin(), sent.rend(), parsed.arguments.text("FILE"));
  if (file != sent.rend()) *file = std::filesystem::absolute(*file).string();
  return sent;
}

class Here : public Executor {
 public:
  explicit Here(Session& session) : session_(session) {}
  ~Here() override { session_.listen({}); }
  Here(const Here&) = delete;
  Here& operator=(const Here&) = delete;

  Reply execute(std::span<const std::string> words) override { return session_.execute(words); }

  void listen(bool) override
  {
    const session::TargetInfo info = session_.target().info();
    if (info.kind != "vm")
      throw Failure(Exit::usage, fmt::format("watch the target '{}'", info.name), "nobody tells of changes there",
                    "Those of a test VM are told, and those of a session: morselctl --embedded serve NAME, then "
                    "morselctl --session NAME COMMAND --watch.");
    session_.listen([this](const session::Event& event) {
      const std::lock_guard lock(mutex_);
      if (!event_ || event.kind == session::Event::Kind::target_lost) event_ = event;
      come_.notify_one();
    });
  }

  Json next_event() override
  {
    std::unique_lock lock(mutex_);
    come_.wait(lock, [this] { return event_.has_value(); });
    const session::Event event = *std::exchange(event_, std::nullopt);
    if (event.kind == session::Event::Kind::target_lost)
      throw Failure(Exit::target_lost, "watch the VM", "it is lost: " + event.text);
    return {{"event", session::event_name(event.kind)}, {"data", session::event_data(event)}};
  }

 private:
  Session& session_;
  std::mutex mutex_;
  std::condition_variable come_;
  std::optional<session::Event> event_;  // the first since the last one was asked for, or the last one ever
};

class There : public Executor {
 public:
  There(std::string name, Session& here) : name_(std::move(name)), here_(here) {}

  Reply execute(std::span<const std::string> words) override
  {
    const session::ParsedCommand parsed = here_.table().parse(words);
    if (is_ours(*parsed.command)) return here_.execute(words);
    Reply reply = client().execute(with_whole_paths(words, parsed), here_.style.color);
    reply.as_json = parsed.arguments.as_json;
    return reply;
  }
  void listen(bool points) override { client().call("subscribe", {{"points", points}}); }
  Json next_event() override
  {
    std::optional<Json> event;
    while (!event) event = client().next_event();
    client().drop_events();
    return *event;
  }

 private:
  Client& client()
  {
    if (!client_) client_ = std::make_unique<Client>(name_);
    return *client_;
  }
  static bool is_ours(const session::Command& command)
  {
    static const CommandTable of_sessions = session::session_commands();
    const auto& known = of_sessions.commands();
    return command.path == "help" ||
           std::none_of(known.begin(), known.end(), [&](const auto& c) { return c.path == command.path; });
  }

  std::string name_;
  Session& here_;
  std::unique_ptr<Client> client_;
};

std::string session_name_of(const Arguments& arguments, const Choice& choice)
{
  return name_of(arguments, choice.session, default_session);
}

// SIGINT and SIGTERM are for the server's loop. Threads made meanwhile never get them, and one that comes when the
// server is ending already does not cost its exit status.
class EndSignals {
 public:
  EndSignals()
  {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    hold();
  }
  void hold() const { pthread_sigmask(SIG_BLOCK, &set_, nullptr); }
  void let_in() const { pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_;
};

Outcome serve(Session& here, const Arguments& arguments, const Choice& choice)
{
  const std::string name = session_name_of(arguments, choice);
  session::check_session_name(name);
  const EndSignals signals;
  Session session(open_target(choice));
  session::Server server(session, name);
  const Json facts{{"session", name}, {"socket", server.path()}, {"pid", getpid()}};
  // At once and not at the end: whoever started this waits for it.
  std::cout << (arguments.as_json ? session::json_line(facts)
                                  : fmt::format("session {} at {}\n", here.style.bold(name), server.path()))
            << std::flush;
  signals.let_in();
  const session::Server::Ended ended = server.run();
  signals.hold();
  if (ended.busy) {
    std::cerr << "morselctl: the session ends while a command still runs\n";
    std::_Exit(static_cast<int>(ended.status));
  }
  if (ended.status == Exit::target_lost)
    throw Failure(Exit::target_lost, fmt::format("serve the session '{}'", name),
                  "its target was lost" + (ended.why.empty() ? "" : ": " + ended.why));
  return {{{"session", name}, {"ended", ended.why}}};
}

// What was typed is done there; in between, events are shown as they come.
class Conversation {
 public:
  Conversation(const std::string& name, const Style& style, bool as_json)
      : client_(name), style_(style), as_json_(as_json), person_(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
  {
  }

  int run()
  {
    client_.call("subscribe");
    std::string line;
    for (prompt();;) {
      while (const auto event = client_.next_event(STDIN_FILENO)) {
        show(*event);
        prompt();
      }
      if (!read_line(line)) return status_;
      one(line);
      prompt();
    }
  }

 private:
  void prompt() const
  {
    if (person_) std::cout << "morsel> " << std::flush;
  }

  // Byte by byte: nothing may wait in a buffer where poll() does not see it.
  static bool read_line(std::string& line)
  {
    line.clear();
    for (char byte = 0; read(STDIN_FILENO, &byte, 1) == 1;) {
      if (byte == '\n') return true;
      line += byte;
    }
    return !line.empty();
  }

  void show(const Json& event) const
  {
    if (as_json_) {
      std::cout << session::json_line(event) << std::flush;
      return;
    }
    std::cout << (person_ ? "\r" : "") << style_.dim(event_text(event)) << "\n" << std::flush;
  }

  void one(const std::string& line)
  {
    try {
      const std::vector<std::string> words = session::split_line(line);
      if (words.empty()) return;
      Reply reply = client_.execute(with_whole_paths(words, table_.parse(words)), style_.color);
      reply.as_json = as_json_;
      std::cout << reply.shown() << std::flush;
      if (!as_json_) std::cerr << reply.errors;
      if (reply.status != 0) status_ = reply.status;
    } catch (const Failure& failure) {
      if (failure.code() == Exit::target_lost) throw;
      status_ = static_cast<int>(failure.code());
      if (as_json_)
        std::cout << session::json_line(session::failure_facts(failure)) << std::flush;
      else
        std::cerr << "morselctl: " << session::printable(failure.what()) << std::endl;
    }
  }

  Client client_;
  const CommandTable table_ = session::session_commands();
  const Style& style_;
  bool as_json_, person_;
  int status_ = 0;
};

Outcome connect(Session& here, const Arguments& arguments, const Choice& choice)
{
  const std::string name = session_name_of(arguments, choice);
  const int status = Conversation(name, here.style, arguments.as_json).run();
  return {{{"session", name}}, status};
}

Outcome list(Session&, const Arguments&)
{
  Json sessions = Json::array();
  session::remove_dead_sessions();
  for (const std::string& name : session::running_sessions()) {
    try {
      sessions.push_back(Client(name).greeting());
    } catch (const Failure&) {
      // It has ended meanwhile.
    }
  }
  return {{{"sessions", std::move(sessions)}}};
}

Outcome end(Session&, const Arguments& arguments, const Choice& choice)
{
  const std::string name = session_name_of(arguments, choice);
  Client client(name);
  client.call("subscribe");
  client.call("end-session");
  try {
    for (;;) client.next_event();
  } catch (const Failure&) {
    // The connection is the last thing that goes.
  }
  return {{{"session", name}, {"ended", "asked for"}}};
}

std::string render_list(const Json& facts, const Style& style)
{
  if (facts["sessions"].empty()) return "no sessions\n";
  std::string out;
  for (const Json& s : facts["sessions"])
    out += fmt::format("{}  {} target '{}', {}; process {}, {}\n", style.bold(s["session"].get<std::string>()),
                       s["target"]["kind"].get<std::string>(), s["target"]["name"].get<std::string>(),
                       s["target"]["machine"].get<std::string>(), s["pid"].get<std::int64_t>(),
                       session::plural(s["event"].get<u64>(), "event"));
  return out;
}

std::string render_end(const Json& facts, const Style& style)
{
  const auto ended = facts.find("ended");
  if (ended == facts.end()) return {};
  return fmt::format("session {}: ended\n", style.bold(facts["session"].get<std::string>()));
}

}  // namespace

std::string event_text(const Json& event)
{
  std::string text = "* " + session::text_member(event, "event");
  const Json data = session::object_member(event, "data");
  for (const auto& [key, value] : data.items())
    text += fmt::format(" {}={}", key, value.is_string() ? value.get<std::string>() : value.dump());
  return session::printable(text);
}

std::unique_ptr<Executor> make_executor(const Choice& choice, Session& here)
{
  if (choice.session.empty()) return std::make_unique<Here>(here);
  return std::make_unique<There>(choice.session, here);
}

void add_session_commands(CommandTable& table, const Choice& choice)
{
  constexpr std::string_view group = "Sessions";
  const Argument name{"NAME", ArgumentKind::text, "the session's name; without, that of --session, or 'default'", true};
  table.add({group,
             "serve",
             {name},
             "Keeps the target in a session for several programs at once, until SIGTERM or 'session end'.\n"
             "Any command goes there with --session NAME; docs/sessions.md tells what programs say to it.",
             with(choice, serve),
             render_end});
  table.add({group,
             "connect",
             {name},
             "Reads commands for a running session, one a line, and prints its events as they come.",
             with(choice, connect),
             render_end});
  table.add({group, "session list", {}, "Lists the running sessions.", list, render_list});
  table.add({group, "session end", {name}, "Ends a running session.", with(choice, end), render_end});
}

}  // namespace morsel::ctl
