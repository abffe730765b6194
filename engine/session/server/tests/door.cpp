// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/session/server/tests/door.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "engine/sim/embedded_target.hpp"

namespace morsel::session {

RawClient::RawClient(const std::string& path) : socket_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
{
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) socket_.reset();
  EXPECT_TRUE(socket_) << path;
}

bool RawClient::send(std::string_view bytes)
{
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::optional<Json> RawClient::next()
{
  for (;;) {
    if (const auto line = lines_.next()) return Json::parse(std::get<std::string>(*line));
    std::array<char, 65536> bytes{};
    const ssize_t got = read(socket_.get(), bytes.data(), bytes.size());
    if (got <= 0) return {};
    lines_.append({bytes.data(), static_cast<std::size_t>(got)});
  }
}

Json RawClient::reply()
{
  for (;;) {
    const auto message = next();
    if (!message) return nullptr;
    if (!message->contains("event") && !message->contains("morselscope")) return *message;
  }
}

void RawClient::end_input() { shutdown(socket_.get(), SHUT_WR); }

void Door::SetUp()
{
  char name[] = "/tmp/morsel-door-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  folder_ = name;
  if (const char* old = std::getenv("XDG_RUNTIME_DIR")) old_folder_ = old;
  setenv("XDG_RUNTIME_DIR", name, 1);
}

void Door::open(std::unique_ptr<Target> target, const ServerLimits& limits)
{
  session_ = std::make_unique<Session>(std::move(target));
  server_ = std::make_unique<Server>(*session_, "test", limits);
  thread_ = std::thread([this] { ended_ = server_->run(); });
}

Server::Ended Door::close()
{
  if (server_) server_->end("the test is over");
  if (thread_.joinable()) thread_.join();
  server_.reset();
  session_.reset();
  return ended_;
}

void Door::TearDown()
{
  close();
  if (old_folder_)
    setenv("XDG_RUNTIME_DIR", old_folder_->c_str(), 1);
  else
    unsetenv("XDG_RUNTIME_DIR");
  std::filesystem::remove_all(folder_);
}

}  // namespace morsel::session
