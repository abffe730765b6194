// SPDX-License-Identifier: GPL-2.0-or-later
//
// A server in this process, and clients that say to it whatever a test likes.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "engine/session/server/client.hpp"
#include "engine/session/server/server.hpp"

namespace morsel::session {

// A client without manners.
class RawClient {
 public:
  explicit RawClient(const std::string& path);
  // False if the server has closed the connection.
  bool send(std::string_view bytes);
  // The next line as JSON; nothing if the server closes the connection.
  std::optional<Json> next();
  // The next line that is no event.
  Json reply();
  Json ask(const std::string& line)
  {
    send(line + "\n");
    return reply();
  }
  // Nothing more will be sent.
  void end_input();
  void close() { socket_.reset(); }
  int fd() const { return socket_.get(); }

 private:
  UniqueFd socket_;
  LineReader lines_{std::size_t{64} << 20};
};

// A server on a runtime folder of its own.
class Door : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // With another target than the embedded machine, or other limits.
  void open(std::unique_ptr<Target> target, const ServerLimits& limits = {});
  Server::Ended close();
  RawClient client() const { return RawClient(server_->path()); }

  std::filesystem::path folder_;
  std::optional<std::string> old_folder_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
  Server::Ended ended_;
};

}  // namespace morsel::session
