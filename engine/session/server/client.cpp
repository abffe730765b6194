// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "engine/session/server/runtime_folder.hpp"
#include "engine/session/server/server.hpp"
#include "engine/session/server/session_files.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_reply_bytes = std::size_t{64} << 20;  // a server sends less

// Empty if nobody listens there.
UniqueFd connect_to(const std::string& path)
{
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

[[noreturn]] void no_session(const std::string& name)
{
  const std::vector<std::string> running = running_sessions();
  const std::vector<std::string_view> names(running.begin(), running.end());
  const std::string near = nearest(name, names);
  std::string advice = fmt::format("Start it: morselctl [--embedded | --vm NAME] serve {}.", name);
  if (!near.empty()) advice = fmt::format("Did you mean '{}'?", near);
  if (near.empty() && !names.empty()) advice += fmt::format(" Running: {}.", fmt::join(names, ", "));
  throw Failure(Exit::usage, fmt::format("reach the session '{}'", name), "no session of this name runs", advice);
}

}  // namespace

Client::Client(const std::string& name)
    : name_(name), socket_(connect_to(session_socket(name))), lines_(most_reply_bytes)
{
  if (!socket_) no_session(name);
  const Json hello = read_message();
  if (hello.contains("error")) throw failure_of(hello["error"]);
  greeting_ = object_member(hello, "morselscope");
}

Reply Client::execute(std::span<const std::string> words, bool color)
{
  const Json value = ask({{"execute", "command-line"},
                          {"arguments", {{"words", std::vector<std::string>(words.begin(), words.end())}}},
                          {"text", color ? "color" : "plain"}});
  Reply reply;
  reply.facts = object_member(value, "facts");
  reply.text = text_member(value, "text");
  reply.errors = text_member(value, "errors");
  reply.status = value.value("status", 0);
  return reply;
}

Json Client::call(const std::string& command, const Json& arguments)
{
  return ask({{"execute", command}, {"arguments", arguments}});
}

Json Client::ask(const Json& request)
{
  const std::string line = encode_line(request);
  for (std::string_view left = line; !left.empty();) {
    const ssize_t sent = send(socket_.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) break;  // its last words may still be there to be read
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  for (;;) {
    Json message = read_message();
    if (message.contains("error")) throw failure_of(message["error"]);
    if (message.contains("return")) return message["return"];
    events_.push_back(std::move(message));
  }
}

std::optional<Json> Client::next_event(int or_readable)
{
  while (events_.empty()) {
    if (auto message = take_message()) {
      events_.push_back(std::move(*message));
      break;
    }
    std::array<pollfd, 2> fds{{{socket_.get(), POLLIN, 0}, {or_readable, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return {};
    if (fds[0].revents != 0) receive();
    if (fds[1].revents != 0 && events_.empty()) return take_message();
  }
  Json event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Client::drop_events()
{
  for (pollfd fd{socket_.get(), POLLIN, 0}; poll(&fd, 1, 0) > 0;) receive();
  while (take_message()) {
  }
  events_.clear();
}

Json Client::read_message()
{
  for (;;) {
    if (auto message = take_message()) return std::move(*message);
    receive();
  }
}

std::optional<Json> Client::take_message()
{
  const auto line = lines_.next();
  if (!line) return {};
  const auto* text = std::get_if<std::string>(&*line);
  try {
    if (!text) throw BadMessage("it is too long");
    Json message = parse_object<Json>(*text);
    if (text_member(message, "event") == "SHUTDOWN") ending_ = text_member(object_member(message, "data"), "reason");
    return message;
  } catch (const BadMessage& error) {
    throw Failure(Exit::target_lost, fmt::format("read from the session '{}'", name_), error.what());
  }
}

void Client::receive()
{
  std::array<char, 65536> bytes{};
  ssize_t got = 0;
  do got = read(socket_.get(), bytes.data(), bytes.size());
  while (got < 0 && errno == EINTR);
  if (got <= 0)
    throw Failure(Exit::target_lost, fmt::format("ask the session '{}'", name_),
                  ending_.empty() ? "its server has gone" : "it has ended: " + ending_);
  lines_.append({bytes.data(), static_cast<std::size_t>(got)});
}

std::vector<std::string> running_sessions()
{
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(runtime_folder()))
    if (entry.path().extension() == ".session" && connect_to(entry.path().string()))
      names.insert(entry.path().stem().string());
  return {names.begin(), names.end()};
}

}  // namespace morsel::session
