// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/connection.hpp"

#include <poll.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

namespace morsel::session {

namespace asio = boost::asio;

namespace {

// Beyond this, events wait in the log: a client that reads slowly learns what it missed, and costs no memory.
constexpr std::size_t most_unsent_for_events = std::size_t{256} << 10;

}  // namespace

void Connection::start(const std::string& greeting)
{
  send(greeting);
  watch_for_its_end();
  read();
}

// A client that has only shut down its sending waits for replies; one that has closed its socket is gone, which is
// seen at once, whatever of its requests is still unread.
void Connection::watch_for_its_end()
{
  socket_.async_wait(Socket::wait_error, [self = shared_from_this()](const auto& error) {
    if (error) return;
    // Asio may pass on what was meant for an earlier socket in the same place: so look.
    pollfd now{self->socket_.native_handle(), 0, 0};
    if (poll(&now, 1, 0) > 0 && (now.revents & (POLLHUP | POLLERR)) != 0) return self->give_up();
    self->watch_for_its_end();
  });
}

void Connection::read()
{
  if (closed_ || reading_) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(input_), [self = shared_from_this()](const auto& error, std::size_t bytes) {
    self->reading_ = false;
    if (error) return self->finish();  // it may still read what is unsent
    self->lines_.append({self->input_.data(), bytes});
    self->take_lines();
  });
}

void Connection::take_lines()
{
  // Requests that are answered at once come back here through answer(): the loop goes on, and nothing recurses.
  if (taking_) return;
  taking_ = true;
  while (!closed_ && !finishing_ && !handling_) {
    const auto line = lines_.next();
    if (!line) {
      read();
      break;
    }
    take(*line);
  }
  taking_ = false;
}

void Connection::take(const LineReader::Line& line)
{
  Message id;
  try {
    const auto* text = std::get_if<std::string>(&line);
    if (!text) throw BadMessage("a line is at most " + std::to_string(max_line_bytes) + " bytes");
    Request request = parse_request(*text, id);
    handling_ = true;
    host_.handle(shared_from_this(), std::move(request), id);
  } catch (const BadMessage& error) {
    send(encode_bad_message(error.what(), id));
  }
}

void Connection::answer(const std::string& line)
{
  handling_ = false;
  if (closed_) return;
  send(line);
  take_lines();
}

void Connection::send(std::string line)
{
  if (closed_) return;
  unsent_bytes_ += line.size();
  unsent_.push_back(std::move(line));
  if (unsent_bytes_ > most_unsent_) return close();
  write();
}

void Connection::write()
{
  if (closed_ || writing_ || unsent_.empty()) return;
  writing_ = true;
  asio::async_write(socket_, asio::buffer(unsent_.front()),
                    [self = shared_from_this()](const auto& error, std::size_t) { self->on_written(error); });
}

void Connection::on_written(const boost::system::error_code& error)
{
  writing_ = false;
  if (closed_) return;
  if (error) return close();
  unsent_bytes_ -= unsent_.front().size();
  unsent_.pop_front();
  push_events();
  write();
  if (finishing_ && unsent_.empty()) close();
}

void Connection::push_events()
{
  while (!closed_ && unsent_bytes_ < most_unsent_for_events)
    if (!push_one(host_.events(), events_) && !push_one(host_.points(), points_)) return;
}

bool Connection::push_one(const EventLog& log, std::optional<u64>& cursor)
{
  if (!cursor) return false;
  if (const auto missed = log.missed(*cursor)) {
    cursor = missed->end - 1;
    send(encode_line(log.missed_event(*missed, EventLog::Clock::now())));
    return true;
  }
  const Json* event = log.after(*cursor);
  if (!event) return false;
  ++*cursor;
  send(encode_line(*event));
  return true;
}

void Connection::finish()
{
  finishing_ = true;
  if (unsent_.empty()) close();
}

void Connection::close()
{
  if (closed_) return;
  closed_ = true;
  give_up();
  boost::system::error_code ignored;
  socket_.close(ignored);
  host_.gone(shared_from_this());
}

}  // namespace morsel::session
