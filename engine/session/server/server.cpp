// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/server.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <set>

#include "engine/abi/morsel_journal.h"
#include "engine/session/server/connection.hpp"
#include "engine/session/server/point_feed.hpp"
#include "engine/session/server/session_files.hpp"
#include "engine/session/server/session_thread.hpp"

namespace morsel::session {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using Protocol = asio::local::stream_protocol;
using ConnectionPtr = std::shared_ptr<Connection>;

namespace {

constexpr u64 most_events_in_reply = 10000;
constexpr Milliseconds journal_period{100};
constexpr Milliseconds last_words{1000};  // for what is still to be sent at the end

// The acceptor, on a file that nobody else could ever open.
Protocol::acceptor open_door(asio::io_context& loop, const fs::path& path)
{
  const std::string tried = "listen on " + path.string();
  if (path.native().size() >= sizeof(sockaddr_un::sun_path))
    throw Failure(Exit::usage, tried, fmt::format("the path has {} bytes, too many for a socket", path.native().size()),
                  "Use a shorter name, or set XDG_RUNTIME_DIR to a shorter folder.");
  std::error_code ignored;
  fs::remove(path, ignored);  // what cannot be removed cannot be bound to either
  const mode_t old_mask = umask(0177);
  try {
    Protocol::acceptor acceptor(loop, Protocol::endpoint(path.string()));
    umask(old_mask);
    return acceptor;
  } catch (const boost::system::system_error& error) {
    umask(old_mask);
    throw Failure(Exit::target_lost, tried, error.code().message());
  }
}

u64 number_argument(const Request& request, const char* name, u64 otherwise)
{
  const auto found = request.arguments.find(name);
  if (found == request.arguments.end()) return otherwise;
  if (found->is_number_unsigned()) return found->get<u64>();
  throw Failure(Exit::usage, request.command, fmt::format("\"{}\" is not a whole number", name));
}

void check_arguments(const Request& request, std::initializer_list<std::string_view> known)
{
  for (const auto& [key, value] : request.arguments.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Failure(Exit::usage, request.command, fmt::format("it has no argument '{}'", key.substr(0, 64)),
                    known.size() == 0 ? "It takes none." : fmt::format("It takes: {}.", fmt::join(known, ", ")));
}

// This process stands in another folder than its clients, who would not find the file again.
void check_files(const std::vector<std::string>& words, const CommandTable& table)
{
  if (words.empty()) return;
  const ParsedCommand parsed = table.parse(words);
  if (parsed.arguments.has("FILE") && !fs::path(parsed.arguments.text("FILE")).is_absolute())
    throw Failure(Exit::usage, parsed.arguments.command + ": FILE",
                  fmt::format("'{}' is relative to the folder of whoever asks", parsed.arguments.text("FILE")),
                  "To a session, give the whole path.");
}

// What a client asks of the session.
struct Wanted {
  std::vector<std::string> words;
  Request::Text text;
  Message id;
  std::stop_token given_up;
};

// The gate, and not a program.
bool acts_on_gate(const std::vector<std::string>& words)
{
  return !words.empty() && (words[0] == "stop" || words[0] == "run") &&
         std::all_of(words.begin() + 1, words.end(), [](const std::string& word) { return word.starts_with("--"); });
}

}  // namespace

class Server::Core : public Connection::Host {
 public:
  Core(Session& session, std::string name, const ServerLimits& limits)
      : session_(session),
        target_(target_facts(session.target().info())),
        name_(std::move(name)),
        limits_(limits),
        lock_path_(session_lock(name_)),
        lock_(take_session_name(name_)),
        path_(session_socket(name_)),
        acceptor_(open_door(loop_, path_)),
        log_(limits.events),
        points_(limits.points),
        feed_(limits.points)
  {
    session_.when_waiting([this] { session_thread_.do_meanwhile(); });
    session_.listen([this](const Event& event) {
      asio::post(loop_, [this, event, when = EventLog::Clock::now()] { on_event(event, when); });
    });
  }

  ~Core() override
  {
    remove_files();
    session_thread_.join();
    session_.listen({});
    session_.when_waiting({});
  }

  Ended run()
  {
    signals_.async_wait([this](const auto& error, int number) {
      if (!error) begin_end({Exit::done, number == SIGINT ? "interrupted" : "terminated"});
    });
    accept();
    loop_.run();
    remove_files();
    return ended_;
  }

  void end(const std::string& why)
  {
    asio::post(loop_, [this, why] { begin_end({Exit::done, why}); });
  }

  const std::string& path() const { return path_.native(); }

  const EventLog& events() const override { return log_; }
  const EventLog& points() const override { return points_.log(); }
  void handle(const ConnectionPtr& from, Request request, const Message& id) override;
  void gone(const ConnectionPtr& connection) override
  {
    connections_.erase(connection);
    note_wishes();
    if (goodbye_ && connections_.empty()) loop_.stop();
  }

 private:
  static Json target_facts(const TargetInfo& info)
  {
    return {{"kind", info.kind}, {"name", info.name}, {"machine", info.machine}, {"memory_bytes", info.memory_bytes}};
  }

  Json session_facts() const
  {
    return {{"protocol", session_protocol_version},
            {"journal", MORSEL_JOURNAL_VERSION},
            {"session", name_},
            {"pid", getpid()},
            {"target", target_},
            {"event", log_.last()}};
  }

  // Once: afterwards the name may be another server's.
  void remove_files()
  {
    if (std::exchange(files_removed_, true)) return;
    std::error_code ignored;
    fs::remove(path_, ignored);
    fs::remove(lock_path_, ignored);  // last: whoever has the lock removes it
  }

  void accept();
  void accept_later();
  void on_event(const Event& event, EventLog::Clock::time_point when);
  void push_events();
  void command_ended();
  void add_event(std::string_view name, Json data, EventLog::Clock::time_point when);
  bool answer_here(const ConnectionPtr& from, const Request& request, const Message& id);
  Json events_facts(const Request& request) const;
  Json subscribe(const ConnectionPtr& from, const Request& request);
  u64 points_since(const Request& request, u64 cursor) const;
  void note_wishes();
  void watch_journal();
  void look_into_journal();
  void add_points(PointNews&& news);
  std::string execute(const Wanted& wanted);
  void begin_end(Ended ended);
  void say_goodbye();

  Session& session_;
  const Json target_;
  const std::string name_;
  const ServerLimits limits_;
  const fs::path lock_path_;
  const UniqueFd lock_;
  const fs::path path_;
  asio::io_context loop_{1};
  Protocol::acceptor acceptor_;
  asio::signal_set signals_{loop_, SIGINT, SIGTERM};
  asio::steady_timer grace_{loop_}, door_timer_{loop_};
  SessionThread session_thread_{loop_};
  EventLog log_;
  PointLog points_;
  PointFeed feed_;  // of the session's thread
  std::atomic<bool> points_wanted_ = false;
  std::atomic<bool> points_kept_ = false;  // somebody has wanted them, and may come back
  asio::steady_timer journal_timer_{loop_};
  std::set<ConnectionPtr> connections_;
  u64 running_ = 0;  // what waits for the session's thread or is done there, or beside it
  bool ending_ = false, goodbye_ = false, files_removed_ = false;
  std::atomic<bool> giving_up_ = false;  // `ending_` for the session's thread
  Ended ended_;
};

void Server::Core::accept()
{
  acceptor_.async_accept([this](const boost::system::error_code& error, Connection::Socket socket) {
    if (ending_) return;
    if (error) return accept_later();
    if (connections_.size() >= limits_.clients) {
      boost::system::error_code ignored;
      socket.send(asio::buffer(encode_bad_message(fmt::format("{} clients are here already", connections_.size()), {})),
                  0, ignored);
    } else {
      const auto connection = std::make_shared<Connection>(std::move(socket), *this, limits_.unsent_bytes);
      connections_.insert(connection);
      connection->start(encode_line(Json{{"morselscope", session_facts()}}));
    }
    accept();
  });
}

// This process has no more descriptors, or the machine no memory: whoever knocks goes on knocking, and to look at once
// would take a whole CPU. Nothing tells when there are descriptors again.
void Server::Core::accept_later()
{
  constexpr Milliseconds pause(100);
  door_timer_.expires_after(pause);
  door_timer_.async_wait([this](const auto& error) {
    if (!error && !ending_) accept();
  });
}

void Server::Core::on_event(const Event& event, EventLog::Clock::time_point when)
{
  add_event(event_name(event.kind), event_data(event), when);
  if (event.kind == Event::Kind::target_lost) begin_end({Exit::target_lost, event.text});
}

void Server::Core::add_event(std::string_view name, Json data, EventLog::Clock::time_point when)
{
  log_.add(name, std::move(data), when);
  push_events();
}

void Server::Core::push_events()
{
  const std::set<ConnectionPtr> all = connections_;  // a push may close one
  for (const ConnectionPtr& c : all) c->push_events();
}

void Server::Core::command_ended()
{
  --running_;
  if (ending_ && running_ == 0) say_goodbye();
}

void Server::Core::handle(const ConnectionPtr& from, Request request, const Message& id)
{
  try {
    if (answer_here(from, request, id)) return;
    const Wanted wanted{words_of(request, session_.table()), request.text, id, from->given_up()};
    const bool looks = !wanted.words.empty() && session_.table().find(wanted.words).looks;
    ++running_;
    const std::function<void()> job = [this, from, wanted] {
      std::string line = execute(wanted);
      asio::post(loop_, [this, from, line = std::move(line), news = feed_.look(session_, points_kept_)]() mutable {
        add_points(std::move(news));
        from->answer(line);
        command_ended();
      });
    };
    if (!session_thread_.busy() || !acts_on_gate(wanted.words)) {
      session_thread_.add(job, looks ? SessionThread::When::or_meanwhile : SessionThread::When::in_turn);
      if (looks) session_.look_meanwhile();
      return;
    }
    session_thread_.beside([this, words = wanted.words] { session_.act_on_gate(words); },
                           [this, job] { session_thread_.add_first(job); });
  } catch (const Failure& failure) {
    from->answer(encode_failure(failure, id));
  }
}

bool Server::Core::answer_here(const ConnectionPtr& from, const Request& request, const Message& id)
{
  const std::string& name = request.command;
  Json facts = Json::object();
  if (name == "events") {
    facts = events_facts(request);
  } else if (name == "subscribe") {
    facts = subscribe(from, request);
  } else if (name == "query-commands" || name == "query-session" || name == "unsubscribe" || name == "end-session") {
    check_arguments(request, {});
    if (name == "query-commands") facts = commands_facts(session_.table());
    if (name == "query-session") facts = session_facts();
    if (name == "unsubscribe") from->subscribe({}, {});
    if (name == "unsubscribe") note_wishes();
    if (name == "end-session") end("a client ended it");
  } else {
    return false;
  }
  from->answer(encode_return(std::move(facts), id));
  from->push_events();
  return true;
}

Json Server::Core::events_facts(const Request& request) const
{
  check_arguments(request, {"since", "limit"});
  return log_.facts_after(number_argument(request, "since", 0),
                          std::min(number_argument(request, "limit", most_events_in_reply), most_events_in_reply));
}

Json Server::Core::subscribe(const ConnectionPtr& from, const Request& request)
{
  check_arguments(request, {"since", "points", "points_since"});
  const u64 cursor = number_argument(request, "since", log_.last());
  if (cursor > log_.last())
    throw Failure(Exit::usage, request.command, fmt::format("there is no event {} yet", cursor),
                  fmt::format("The last one is {}. A session that was started again counts from 1.", log_.last()));
  const auto points = request.arguments.find("points");
  if (points != request.arguments.end() && !points->is_boolean())
    throw Failure(Exit::usage, request.command, "\"points\" is neither true nor false");
  if (points == request.arguments.end() || !points->get<bool>()) {
    from->subscribe(cursor, {});
    note_wishes();
    return {{"cursor", cursor}};
  }
  const u64 points_cursor = points_since(request, cursor);
  from->subscribe(cursor, points_cursor);
  points_kept_ = true;
  note_wishes();
  return {{"cursor", cursor}, {"points_cursor", points_cursor}};
}

// Who was away does not know whether the journal has counted anew meanwhile: events that it missed tell.
u64 Server::Core::points_since(const Request& request, u64 cursor) const
{
  const u64 last = points_.log().last();
  if (!request.arguments.contains("points_since")) return last;
  if (!request.arguments.contains("since"))
    throw Failure(Exit::usage, request.command, "\"points_since\" without \"since\"",
                  "Give the numbers of the last event and of the last record that you know.");
  const u64 known = points_.known(number_argument(request, "points_since", last), cursor);
  if (known <= last) return known;
  throw Failure(Exit::usage, request.command, fmt::format("there is no record {} yet", known),
                fmt::format("The last one that was looked at is {}.", last));
}

void Server::Core::note_wishes()
{
  const bool wanted =
      std::any_of(connections_.begin(), connections_.end(), [](const auto& c) { return c->wants_points(); });
  if (wanted && !points_wanted_.exchange(true)) watch_journal();
  points_wanted_ = wanted;
}

// Actors of a VM reach points while no command runs: then somebody has to look.
void Server::Core::watch_journal()
{
  journal_timer_.expires_after(journal_period);
  journal_timer_.async_wait([this](const auto& error) {
    if (error || ending_ || !points_wanted_) return;
    if (running_ > 0) return watch_journal();
    ++running_;
    session_thread_.add([this] { look_into_journal(); });
  });
}

// In the session's thread.
void Server::Core::look_into_journal()
{
  try {
    if (session_.recorder().on()) session_.recorder().sync(session_.target());
  } catch (const Failure&) {  // the next command tells it
  }
  asio::post(loop_, [this, news = feed_.look(session_, points_kept_)]() mutable {
    add_points(std::move(news));
    command_ended();
    watch_journal();
  });
}

void Server::Core::add_points(PointNews&& news)
{
  if (news.restarted) {
    points_.restart(log_.last() + 1, *news.restarted);
    for (const ConnectionPtr& c : connections_) c->forget_points(*news.restarted - 1);
    add_event("JOURNAL_RESTARTED", {{"from", *news.restarted}}, EventLog::Clock::now());
  }
  const bool any = !news.records.empty();
  points_.add(std::move(news));
  if (any) push_events();
}

// In the session's thread.
std::string Server::Core::execute(const Wanted& wanted)
{
  const auto& [words, text, id, given_up] = wanted;
  const std::string line = fmt::format("{}", fmt::join(words, " "));
  try {
    if (giving_up_) throw Failure(Exit::target_lost, line, "the session ends");
    if (given_up.stop_requested()) throw Failure(Exit::usage, line, "who asked for it has gone");
    check_files(words, session_.table());
    session_.style.color = text == Request::Text::color;
    Reply reply = words.empty() ? Reply{} : session_.execute(words, given_up);
    Json value{{"facts", std::move(reply.facts)}, {"status", reply.status}};
    if (!reply.errors.empty()) value["errors"] = reply.errors;
    if (text != Request::Text::none) value["text"] = reply.text;
    std::string sent = encode_return(std::move(value), id);
    if (sent.size() < limits_.unsent_bytes / 2) return sent;
    throw Failure(Exit::usage, line, fmt::format("the reply has {} bytes, too many to send", sent.size()),
                  "Ask for a part: --range, --depth.");
  } catch (const Failure& failure) {
    return encode_failure(failure, id);
  } catch (const std::exception& error) {
    return encode_failure(Failure(Exit::target_lost, line, error.what()), id);
  }
}

// Nobody new comes in, the command that runs has some time to return, then everybody is told. What it waits for ends:
// its program is killed, and the gate is opened.
void Server::Core::begin_end(Ended ended)
{
  if (ending_) return;
  ending_ = true;
  giving_up_ = true;
  ended_ = std::move(ended);
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  signals_.cancel(ignored);
  if (running_ == 0) return say_goodbye();
  for (const ConnectionPtr& c : connections_) c->give_up();
  ++running_;
  session_thread_.beside([this] { session_.let_all_go(); }, [this] { command_ended(); });
  grace_.expires_after(limits_.end);
  grace_.async_wait([this](const auto& error) {
    if (error || goodbye_) return;
    ended_.busy = true;
    say_goodbye();
  });
}

void Server::Core::say_goodbye()
{
  if (std::exchange(goodbye_, true)) return;
  add_event("SHUTDOWN", {{"reason", ended_.why}}, EventLog::Clock::now());
  const std::set<ConnectionPtr> all = connections_;
  grace_.expires_after(last_words);
  grace_.async_wait([this](const auto& error) {
    if (!error) loop_.stop();
  });
  for (const ConnectionPtr& c : all) c->finish();
  if (connections_.empty()) loop_.stop();
}

Server::Server(Session& session, const std::string& name, const ServerLimits& limits)
    : core_(std::make_unique<Core>(session, name, limits))
{
}

Server::~Server() = default;

Server::Ended Server::run() { return core_->run(); }

void Server::end(const std::string& why) { core_->end(why); }

const std::string& Server::path() const { return core_->path(); }

}  // namespace morsel::session
