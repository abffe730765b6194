// SPDX-License-Identifier: GPL-2.0-or-later
//
// /sys/class/virtio-ports/PORT/name, and the kernel's uevents (netlink, kobject_uevent) that say when to look again.
// A serial line is there from the kernel's start.
#include "testvm/agent/port.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <termios.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

namespace morsel::agent {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

UniqueFd listen_for_uevents()
{
  UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;  // the kernel's own announcements
  if (!socket || bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("listening for uevents");
  return socket;
}

std::optional<fs::path> find_device(const std::string& name)
{
  std::error_code error;
  for (const auto& port : fs::directory_iterator("/sys/class/virtio-ports", error)) {
    std::ifstream stream(port.path() / "name");
    std::string found;
    if (std::getline(stream, found) && found == name) return "/dev" / port.path().filename();
  }
  return std::nullopt;
}

}  // namespace

UniqueFd open_port(const std::string& name)
{
  const UniqueFd uevents = listen_for_uevents();  // before the first look, so that no announcement is missed
  for (;;) {
    if (const auto device = find_device(name)) {
      UniqueFd port(open(device->c_str(), O_RDWR | O_CLOEXEC));
      if (!port) fail("opening " + device->string());
      return port;
    }
    char event[8192];
    // ENOBUFS: some were lost, so look again all the same.
    if (recv(uevents.get(), event, sizeof event, 0) < 0 && errno != EINTR && errno != ENOBUFS)
      fail("waiting for uevents");
  }
}

UniqueFd open_serial_line(const std::string& device)
{
  UniqueFd line(open(device.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  termios settings{};
  if (!line || tcgetattr(line.get(), &settings) != 0) fail("opening " + device);
  cfmakeraw(&settings);
  cfsetspeed(&settings, B115200);
  settings.c_cflag |= CLOCAL | CREAD;
  if (tcsetattr(line.get(), TCSANOW, &settings) != 0) fail("setting up " + device);
  return line;
}

}  // namespace morsel::agent
