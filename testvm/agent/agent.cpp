// SPDX-License-Identifier: GPL-2.0-or-later
//
// The loop. The channel is watched edge-triggered: a virtio port without a host is permanently "hung up", and would
// wake a level-triggered loop for ever. So every reader reads until there is nothing more. What is sent in one round of
// the loop is written at its end, in one piece; much of it before, so that only a channel that takes no more congests.
#include "testvm/agent/agent.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <termios.h>

#include <algorithm>
#include <new>
#include <utility>

#include "testvm/agent/facts.hpp"

namespace morsel::agent {
namespace {

constexpr std::size_t piece_bytes = std::size_t{32} << 10;

Json without_output(Json result)
{
  for (const char* key : {"stdout", "stderr", "stdout_cut", "stderr_cut"}) result.erase(key);
  return result;
}

// What `work` returns, or the reply that says why it could not be done.
template <class Work>
std::string reply_or_error(const Json& id, Work&& work)
{
  try {
    return work();
  } catch (const RequestError& error) {
    return encode_error(error.number(), error.what(), id);
  } catch (const std::bad_alloc&) {
    return encode_error(ENOMEM, "the agent has no memory for that", id);
  } catch (const std::exception& error) {
    return encode_error(EIO, error.what(), id);
  }
}

}  // namespace

Agent::Agent(Module& module, UniqueFd channel, Channel kind)
    : module_(module),
      channel_(std::move(channel)),
      kind_(kind),
      programs_(
          poller_,
          [this](pid_t pid, const Json& result) {
            Json data = without_output(result);
            data["pid"] = pid;
            send(encode_event("PROGRAM_ENDED", data));
            gate_.look_again();
          },
          [this](pid_t pid, const char* stream, const std::string& text) {
            send(encode_event("PROGRAM_OUTPUT", Json{{"pid", pid}, {"stream", stream}, {"text", text}}));
          }),
      workers_(poller_),
      gate_(module, poller_, workers_, programs_,
            [this](const std::string& name, const Encoded& data) { send(encode_event(name, data)); }),
      faults_(module, poller_,
              [this](const std::string& name, const Encoded& data) { send(encode_event(name, data)); })
{
  fcntl(channel_.get(), F_SETFL, fcntl(channel_.get(), F_GETFL) | O_NONBLOCK);
  poller_.add(channel_.get(), EPOLLIN | EPOLLOUT | EPOLLET, [this](std::uint32_t events) { channel_ready(events); });
}

End Agent::serve()
{
  while (!ended_ && !power_off_) {
    poller_.wait();
    send_now();
  }
  if (!power_off_) return End::channel_closed;
  send_all_blocking();
  return End::power_off;
}

void Agent::channel_ready(std::uint32_t events)
{
  // A stream's last requests may still be unread when it is hung up; a port's are lost with its host.
  if (kind_ == Channel::port) set_connected(!(events & EPOLLHUP));
  if (kind_ == Channel::stream && !connected_) set_connected(true);
  if (events & EPOLLOUT) send_now();
  read_channel();
}

void Agent::set_connected(bool connected)
{
  if (connected == connected_) return;
  connected_ = connected;
  lines_.reset();
  unsent_.clear();
  ++peer_;
  programs_.pause_output(false);
  workers_.forget_waits();             // an unloading that the session which is over has asked for
  if (!connected) return gate_.run();  // nobody is left who could
  try {
    send(encode({{"morsel", greeting(module_)}}));
  } catch (const RequestError& error) {
    send(encode_error(error.number(), std::string("greeting: ") + error.what(), nullptr));
  }
}

void Agent::read_channel()
{
  handle_lines();  // those that were left when the channel was congested
  while (connected_ && !ended_ && !power_off_ && !is_congested() && read_once()) handle_lines();
}

// False when there is nothing to read now.
bool Agent::read_once()
{
  char buffer[64 * 1024];
  const ssize_t length = read(channel_.get(), buffer, sizeof buffer);
  if (length > 0) {
    lines_.append({buffer, static_cast<std::size_t>(length)});
    return true;
  }
  if (length < 0 && errno == EINTR) return true;
  if (length < 0 && errno == EAGAIN) return false;
  if (kind_ == Channel::port)
    set_connected(false);
  else
    ended_ = true;
  return false;
}

void Agent::handle_lines()
{
  while (!ended_ && !power_off_ && !is_congested()) {
    const auto line = lines_.next();
    if (!line) return;
    if (const auto* text = std::get_if<std::string>(&*line))
      handle(*text);
    else
      send(encode_error(EMSGSIZE, "a line is at most " + std::to_string(max_line_bytes) + " bytes", nullptr));
  }
}

void Agent::handle(const std::string& line)
{
  Json id;
  handling_ = true;
  std::string reply = reply_or_error(id, [&]() -> std::string {
    const Request request = parse_request(line, id);
    return execute(request).value_or("");
  });
  handling_ = false;
  send(reply);
  send(std::exchange(events_, {}));
}

Context Agent::context_for(const Json& id)
{
  return {
      .module = module_,
      .programs = programs_,
      .gate = gate_,
      .faults = faults_,
      .workers = workers_,
      .emit = [this](const std::string& name, const Encoded& data) { send(encode_event(name, data)); },
      .reply_later =
          [this, id, peer = peer_](const Encoded& value) {
            if (peer == peer_) send(encode_return(value, id));
          },
      .fail_later =
          [this, id, peer = peer_](const RequestError& error) {
            if (peer == peer_) send(encode_error(error.number(), error.what(), id));
          },
      .power_off = [this] { power_off_ = true; },
  };
}

// The reply; nothing: it comes later.
std::optional<std::string> Agent::execute(const Request& request)
{
  const RequestKind& kind = kind_of(request);
  if (kind.place == Place::worker) {
    start_worker(kind, request);
    return {};
  }
  Context context = context_for(request.id);
  auto value = kind.handler(context, Arguments(request.arguments));
  return value ? std::optional(encode_return(*value, request.id)) : std::nullopt;
}

void Agent::start_worker(const RequestKind& kind, const Request& request)
{
  struct Outcome {
    std::string reply, events;
  };
  const auto outcome = std::make_shared<Outcome>();
  const Json name = request.arguments.value("name", Json(""));
  workers_.start(
      {.what = in_words(request), .object = name.is_string() ? name.get<std::string>() : ""},
      [&kind, request, outcome, context = context_for(request.id)]() mutable {
        context.emit = [&](const std::string& event, const Encoded& data) {
          outcome->events += encode_event(event, data);
        };
        outcome->reply = reply_or_error(request.id, [&] {
          return encode_return(kind.handler(context, Arguments(request.arguments)).value_or(Json::object()),
                               request.id);
        });
      },
      [this, outcome, peer = peer_] {
        if (peer == peer_) send(outcome->reply);
        send(outcome->events);
      });
}

void Agent::send(const std::string& line)
{
  if (handling_) {
    events_ += line;
    return;
  }
  if (!connected_) return;
  unsent_ += line;
  if (unsent_.size() >= piece_bytes) send_now();
}

void Agent::send_now()
{
  if (unsent_.empty()) return;
  while (!unsent_.empty()) {
    const ssize_t length = write(channel_.get(), unsent_.data(), std::min(unsent_.size(), piece_bytes));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno == EAGAIN) break;
    if (length < 0) {
      unsent_.clear();
      if (kind_ == Channel::stream) ended_ = true;
      break;
    }
    unsent_.erase(0, static_cast<std::size_t>(length));
  }
  programs_.pause_output(is_congested());
}

// Before power-off: a write that may wait returns once the host has the bytes.
void Agent::send_all_blocking()
{
  fcntl(channel_.get(), F_SETFL, fcntl(channel_.get(), F_GETFL) & ~O_NONBLOCK);
  send_now();
  tcdrain(channel_.get());  // a serial line has only queued them; on anything else it does nothing
}

}  // namespace morsel::agent
