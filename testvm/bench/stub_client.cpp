// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/bench/stub_client.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/session/failure.hpp"

namespace morsel::bench {

using session::Exit;
using session::Failure;

namespace {

constexpr u64 bytes_per_packet = 2048;   // the most that QEMU's stub answers at once

unsigned hex_digit(char c)
{
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  throw Failure(Exit::target_lost, "read memory by QEMU's gdb stub", fmt::format("'{}' is no hexadecimal digit", c));
}

}  // namespace

StubClient::StubClient(const std::string& socket_path)
{
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof name.sun_path)
    throw Failure(Exit::usage, "connect to " + socket_path, "the path is too long for a socket");
  std::memcpy(name.sun_path, socket_path.c_str(), socket_path.size());
  fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0 || connect(fd_, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    const std::string why = std::strerror(errno);
    if (fd_ >= 0) close(fd_);
    throw Failure(Exit::target_lost, "connect to QEMU's gdb stub at " + socket_path, why);
  }
  command("QStartNoAckMode");
  acknowledge_ = false;
  if (const std::string answer = command("Qqemu.PhyMemMode:1"); answer != "OK")
    throw Failure(Exit::target_lost, "ask QEMU's gdb stub for physical memory", "it answered '" + answer + "'");
}

StubClient::~StubClient()
{
  try {
    command("D");
  } catch (const Failure&) {
    // The machine is gone; there is nothing to let run.
  }
  close(fd_);
}

void StubClient::read(u64 address, u64* words, u64 count)
{
  auto* out = reinterpret_cast<unsigned char*>(words);
  for (u64 done = 0, all = count * sizeof(u64); done < all;) {
    const u64 part = std::min(bytes_per_packet, all - done);
    const std::string answer = command(fmt::format("m{:x},{:x}", address + done, part));
    if (answer.size() != 2 * part)
      throw Failure(Exit::target_lost, fmt::format("read {} bytes at {:#x} by QEMU's gdb stub", part, address + done),
                    "it answered '" + answer.substr(0, 40) + "'");
    for (u64 i = 0; i < part; ++i)
      out[done + i] = static_cast<unsigned char>(hex_digit(answer[2 * i]) << 4 | hex_digit(answer[2 * i + 1]));
    done += part;
  }
}

// QEMU announces that the machine has stopped, unasked: such packets are no answers.
std::string StubClient::command(std::string_view text)
{
  send_packet(text);
  for (;;) {
    std::string answer = receive_packet();
    const bool stop = answer.size() >= 3 && (answer[0] == 'T' || answer[0] == 'S');
    if (!stop) return answer;
  }
}

void StubClient::send_packet(std::string_view text)
{
  unsigned sum = 0;
  for (const char c : text) sum += static_cast<unsigned char>(c);
  write(fmt::format("${}#{:02x}", text, sum & 0xff));
}

std::string StubClient::receive_packet()
{
  while (next_byte() != '$') {}
  std::string text;
  for (char c = next_byte(); c != '#'; c = next_byte()) {
    if (c == '*' && !text.empty()) {   // run length: the next character says how often the last one repeats
      text.append(static_cast<std::size_t>(next_byte() - 29), text.back());
      continue;
    }
    text.push_back(c);
  }
  next_byte();
  next_byte();
  if (acknowledge_) write("+");
  return text;
}

char StubClient::next_byte()
{
  if (at_ == buffer_.size()) {
    buffer_.resize(8192);
    const ssize_t got = ::read(fd_, buffer_.data(), buffer_.size());
    buffer_.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    at_ = 0;
    if (buffer_.empty()) throw Failure(Exit::target_lost, "hear from QEMU's gdb stub", "it has closed the connection");
  }
  return buffer_[at_++];
}

void StubClient::write(std::string_view bytes)
{
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) throw Failure(Exit::target_lost, "talk to QEMU's gdb stub", std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace morsel::bench
