// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel-vm-holder: the processes that stand behind a VM. Started by the library, not by people.
//
//   morsel-vm-holder hold FD            guardian and holder of one VM; FD is the socket of whoever starts it
//   morsel-vm-holder keep-daemons FD    keeper of libvirt's daemons; a byte is written to FD when it listens
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "testvm/host/holder.hpp"
#include "testvm/host/libvirt_daemons.hpp"

namespace {

using morsel::testvm::UniqueFd;

UniqueFd take_descriptor(const char* number)
{
  const int fd = std::atoi(number);
  if (fd <= 2 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return {};
  return UniqueFd(fd);
}

}  // namespace

int main(int argc, char** argv)
{
  constexpr int usage = 2;
  UniqueFd fd = argc == 3 ? take_descriptor(argv[2]) : UniqueFd();
  const std::string_view role = argc == 3 ? argv[1] : "";
  if (!fd || (role != "hold" && role != "keep-daemons")) {
    std::fputs("morsel-vm-holder is started by morselctl and morselscope, not by hand.\n", stderr);
    return usage;
  }
  // Nobody's child: whoever started it waits for this first process only.
  const pid_t pid = fork();
  if (pid != 0) _exit(pid > 0 ? 0 : 1);
  return role == "hold" ? morsel::testvm::run_holder(std::move(fd)) : morsel::testvm::run_daemon_keeper(std::move(fd));
}
