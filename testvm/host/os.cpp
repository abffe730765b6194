// SPDX-License-Identifier: GPL-2.0-or-later
//
// Descriptors, sockets and files. Children are in child.cpp.
#include "testvm/host/os.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/session/failure.hpp"

namespace morsel::testvm {
namespace {

namespace fs = std::filesystem;
using session::Exit;
using session::Failure;
using Clock = std::chrono::steady_clock;

sockaddr_un address_of(const fs::path& path)
{
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.size() >= sizeof address.sun_path)
    throw Failure(Exit::usage, "opening the socket " + text,
                  "the path has " + std::to_string(text.size()) + " bytes, and a socket's path at most " +
                      std::to_string(sizeof address.sun_path - 1),
                  "use a shorter name, or set XDG_RUNTIME_DIR to a shorter folder");
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

UniqueFd make_socket(const std::string& tried)
{
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw Failure(Exit::target_lost, tried, errno_text());
  return fd;
}

Milliseconds left_until(Clock::time_point end)
{
  return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(end - Clock::now()));
}

}  // namespace

std::string errno_text() { return std::strerror(errno); }

SocketPair make_socket_pair(const std::string& tried)
{
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Failure(Exit::target_lost, tried, errno_text());
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

UniqueFd listen_unix(const fs::path& path)
{
  const std::string tried = "listening on " + path.string();
  const sockaddr_un address = address_of(path);
  UniqueFd fd = make_socket(tried);
  unlink(path.c_str());
  // The file is made with mode 0600: no moment at which others could connect.
  const mode_t old_mask = umask(0177);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  umask(old_mask);
  errno = error;
  if (bound != 0 || listen(fd.get(), 16) != 0) throw Failure(Exit::target_lost, tried, errno_text());
  return fd;
}

std::optional<UniqueFd> connect_unix(const fs::path& path)
{
  const sockaddr_un address = address_of(path);
  UniqueFd fd = make_socket("connecting to " + path.string());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

bool write_all(int fd, std::string_view bytes)
{
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::optional<std::string> read_line(int fd, Milliseconds limit)
{
  const auto end = Clock::now() + limit;
  std::string line;
  // Byte by byte, so that nothing behind the line is taken; lines read so are short and few.
  for (char byte; wait_readable(fd, left_until(end));) {
    const ssize_t got = read(fd, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};
    if (byte == '\n') return line;
    line += byte;
  }
  return {};
}

void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

bool wait_readable(int fd, Milliseconds limit)
{
  const auto end = Clock::now() + limit;
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(left_until(end).count()));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

std::optional<fs::path> find_program(const std::string& name)
{
  const char* path = std::getenv("PATH");
  std::string folders = std::string(path ? path : "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin";
  for (std::size_t start = 0; start <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', start), folders.size());
    const fs::path candidate = fs::path(folders.substr(start, end - start)) / name;
    if (candidate.is_absolute() && access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return {};
}

std::string tail_of(const fs::path& file, std::size_t lines, std::size_t bytes)
{
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream) return {};
  const auto size = static_cast<std::size_t>(stream.tellg());
  stream.seekg(static_cast<std::streamoff>(size > bytes ? size - bytes : 0));
  std::string text;
  for (std::istreambuf_iterator<char> at(stream), end; at != end; ++at) {
    const auto c = static_cast<unsigned char>(*at);
    if (c == '\n' || (c >= 0x20 && c < 0x7f)) text += *at;
  }
  while (text.ends_with('\n')) text.pop_back();
  std::size_t start = text.size();
  for (std::size_t i = 0; i < lines && start != std::string::npos && start > 0; ++i)
    start = text.rfind('\n', start - 1);
  return start == std::string::npos ? text : text.substr(start == 0 ? 0 : start + 1);
}

std::string read_file(const fs::path& file)
{
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_file(const fs::path& file, std::string_view text, mode_t mode)
{
  const UniqueFd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd || write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw Failure(Exit::target_lost, "writing " + file.string(), errno_text());
}

}  // namespace morsel::testvm
