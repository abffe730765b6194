// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/line_socket.hpp"

#include <libvirt/libvirt.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace morsel::testvm {

LineSocket::LineSocket(UniqueFd fd, Handlers handlers) : fd_(std::move(fd)), handlers_(std::move(handlers))
{
  set_nonblocking(fd_.get());
  watch_ = EventLoop::Watch(fd_.get(), VIR_EVENT_HANDLE_READABLE, [this](int events) { on_events(events); });
}

void LineSocket::on_events(int events)
{
  if (events & VIR_EVENT_HANDLE_WRITABLE) write_some();
  if (!ended_ && (events & (VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP | VIR_EVENT_HANDLE_ERROR))) receive();
}

void LineSocket::receive()
{
  char buffer[65536];
  const ssize_t got = read(fd_.get(), buffer, sizeof buffer);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return end();
  reader_.append({buffer, static_cast<std::size_t>(got)});
  while (!ended_) {
    const auto line = reader_.next();
    if (!line) return;
    if (const auto* text = std::get_if<std::string>(&*line))
      handlers_.line(*text);
    else
      handlers_.too_long();
  }
}

void LineSocket::send(const std::string& line)
{
  if (ended_) return;
  unsent_ += line;
  write_some();
  if (unsent_.size() > max_unsent_bytes) end();
}

void LineSocket::write_some()
{
  while (!ended_ && !unsent_.empty()) {
    const ssize_t sent = ::send(fd_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return end();
    unsent_.erase(0, static_cast<std::size_t>(sent));
  }
  watch_.set_events(VIR_EVENT_HANDLE_READABLE | (unsent_.empty() ? 0 : VIR_EVENT_HANDLE_WRITABLE));
}

void LineSocket::flush(Milliseconds limit)
{
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!ended_ && !unsent_.empty()) {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - std::chrono::steady_clock::now());
    pollfd wait{fd_.get(), POLLOUT, 0};
    if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) <= 0) return;
    write_some();
  }
}

void LineSocket::end()
{
  if (ended_) return;
  ended_ = true;
  watch_.set_events(0);
  handlers_.end();
}

}  // namespace morsel::testvm
