// SPDX-License-Identifier: GPL-2.0-or-later
//
// morsel.ko through its device, its file system and the kernel's module calls.
#include "testvm/agent/kernel_module.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "engine/abi/morsel_requests.h"
#include "testvm/agent/error.hpp"
#include "testvm/agent/file_users.hpp"
#include "testvm/agent/unique_fd.hpp"

namespace morsel::agent {
namespace {

constexpr const char* device = "/dev/morsel";
constexpr const char* module_file = "/lib/morsel/morsel.ko";
constexpr const char* mount_point = "/morsel";

[[noreturn]] void fail(const std::string& what)
{
  const int number = errno;
  throw RequestError(number, what + ": " + std::strerror(number));
}

UniqueFd open_file(const std::string& path, int flags)
{
  UniqueFd fd(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) fail("opening " + path);
  return fd;
}

// ": NAME (pid N) has 'OBJECT' mapped" for those that keep objects; empty if nobody does. Keeps errno.
std::string users()
{
  constexpr std::size_t most = 4;
  const int number = errno;
  std::string text;
  for (const std::string& user : users_of_files_in(mount_point, most)) text += (text.empty() ? ": " : ", ") + user;
  errno = number;
  return text;
}

std::string path_of(const std::string& object) { return std::string(mount_point) + "/" + object; }

// As morsel_ioctl.h calls it, without MORSEL_IOC_.
std::string name_of_request(unsigned long code)
{
#define MORSEL_NAME_OF(name, structure, target, reserved) \
  if (code == MORSEL_IOC_##name) return #name;
  MORSEL_REQUESTS(MORSEL_NAME_OF)
#undef MORSEL_NAME_OF
  return "request " + std::to_string(_IOC_NR(code));
}

void control_file(const UniqueFd& fd, const std::string& path, unsigned long code, void* argument)
{
  if (ioctl(fd.get(), code, argument) != 0) fail(name_of_request(code) + " on " + path);
}

}  // namespace

// Else a missing device would look like a missing object.
void KernelModule::require_loaded()
{
  if (!is_loaded()) throw RequestError(ENODEV, "morsel.ko is not loaded");
}

bool KernelModule::is_loaded() { return access("/sys/module/morsel", F_OK) == 0; }

void KernelModule::request(unsigned long code, void* argument)
{
  require_loaded();
  control_file(open_file(device, O_RDWR), device, code, argument);
}

UniqueFd KernelModule::open_device()
{
  require_loaded();
  return open_file(device, O_RDWR);
}

void KernelModule::control(int fd, unsigned long code, void* argument)
{
  if (ioctl(fd, code, argument) != 0) fail(name_of_request(code) + " on " + device);
}

void KernelModule::request_on(const std::string& name, Open how, unsigned long code, void* argument)
{
  require_loaded();
  const std::string path = path_of(name);
  control_file(open_file(path, how == Open::for_writing ? O_RDWR : O_RDONLY), path, code, argument);
}

void KernelModule::remove(const std::string& name)
{
  require_loaded();
  if (unlink(path_of(name).c_str()) != 0) fail("removing " + path_of(name));
}

void KernelModule::load(const std::string& parameters)
{
  const UniqueFd file = open_file(module_file, O_RDONLY);
  if (syscall(SYS_finit_module, file.get(), parameters.c_str(), 0) != 0)
    fail("loading morsel.ko with '" + parameters + "'");
  if (mount("morselfs", mount_point, "morselfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    const int number = errno;
    syscall(SYS_delete_module, "morsel", O_NONBLOCK);
    errno = number;
    fail(std::string("mounting morselfs on ") + mount_point);
  }
}

void KernelModule::unload()
{
  require_loaded();
  // EINVAL: nothing is mounted there, which is what we want.
  if (umount2(mount_point, 0) != 0 && errno != EINVAL) fail(std::string("unmounting ") + mount_point + users());
  if (syscall(SYS_delete_module, "morsel", O_NONBLOCK) == 0) return;
  const int number = errno;
  if (is_loaded()) mount("morselfs", mount_point, "morselfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  errno = number;
  fail("unloading morsel.ko");
}

}  // namespace morsel::agent
