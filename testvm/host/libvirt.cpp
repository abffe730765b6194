// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/libvirt.hpp"

#include <libvirt/virterror.h>
#include <unistd.h>

#include <cstdlib>

namespace morsel::testvm {

std::string default_uri() { return geteuid() == 0 ? "qemu:///system" : "qemu:///session"; }

void quiet_libvirt()
{
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

std::string libvirt_error()
{
  const char* text = virGetLastErrorMessage();
  return text ? text : "libvirt gave no reason";
}

void throw_libvirt(const std::string& tried, const std::string& advice)
{
  throw session::Failure(session::Exit::target_lost, tried, libvirt_error(), advice);
}

Connection try_connect(const std::string& uri)
{
  // For qemu:///session libvirt would start a daemon by itself, and leave it behind for two minutes.
  setenv("LIBVIRT_AUTOSTART", "0", 1);
  return Connection(virConnectOpen(uri.c_str()));
}

std::string hypervisor_version(virConnect* connection)
{
  unsigned long number = 0;
  if (virConnectGetVersion(connection, &number) != 0) return "of unknown version";
  return std::to_string(number / 1000000) + "." + std::to_string(number / 1000 % 1000) + "." +
         std::to_string(number % 1000);
}

std::string capabilities_of(virConnect* connection)
{
  char* text = virConnectGetCapabilities(connection);
  if (!text) throw_libvirt("asking libvirt what it can do");
  std::string result = text;
  std::free(text);
  return result;
}

}  // namespace morsel::testvm
