// SPDX-License-Identifier: GPL-2.0-or-later
//
// One client of a server: lines in, lines out, its place in the log of events. Its next line is looked at when the
// last one is answered, so that its requests keep their order and wait in its own buffer.
//
// Thread safety: lives in the server's loop.
#pragma once
#include <algorithm>
#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/session/server/event_log.hpp"
#include "engine/session/server/protocol.hpp"

namespace morsel::session {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  // What the server does for its connections.
  class Host {
   public:
    virtual ~Host() = default;
    virtual const EventLog& events() const = 0;
    virtual const EventLog& points() const = 0;  // of the journal's records
    // Answers by answer(), now or later.
    virtual void handle(const std::shared_ptr<Connection>& from, Request request, const Message& id) = 0;
    virtual void gone(const std::shared_ptr<Connection>& connection) = 0;
  };

  Connection(Socket socket, Host& host, std::size_t most_unsent)
      : socket_(std::move(socket)), host_(host), most_unsent_(most_unsent)
  {
  }

  void start(const std::string& greeting);
  // The reply to the request that is being handled.
  void answer(const std::string& line);
  // What it has sent as it happens, behind these numbers; nothing: it wants none.
  void subscribe(std::optional<u64> events, std::optional<u64> points)
  {
    events_ = events;
    points_ = points;
  }
  // Records behind this one are no more; others will have their numbers.
  void forget_points(u64 last)
  {
    if (points_) points_ = std::min(*points_, last);
  }
  bool wants_points() const { return points_.has_value() && !closed_; }
  // Sends the events behind its cursors, unless much is unsent: then they follow later, or are told as missed.
  void push_events();
  // Told when nobody is there for the replies any more: the client has closed its end, or this one was closed.
  std::stop_token given_up() const { return given_up_.get_token(); }
  void give_up() { given_up_.request_stop(); }
  // Takes no more requests; the connection ends when all is sent.
  void finish();
  void close();

 private:
  void send(std::string line);
  void watch_for_its_end();
  void read();
  void take_lines();
  void take(const LineReader::Line& line);
  bool push_one(const EventLog& log, std::optional<u64>& cursor);
  void write();
  void on_written(const boost::system::error_code& error);

  Socket socket_;
  Host& host_;
  std::size_t most_unsent_;
  std::array<char, 65536> input_{};
  LineReader lines_;
  std::deque<std::string> unsent_;
  std::size_t unsent_bytes_ = 0;
  std::optional<u64> events_, points_;  // the last of each that it was sent
  std::stop_source given_up_;
  bool reading_ = false, writing_ = false, handling_ = false, taking_ = false, finishing_ = false, closed_ = false;
};

}  // namespace morsel::session
