// SPDX-License-Identifier: GPL-2.0-or-later
//
// libvirt's C interface with owners and exceptions.
#pragma once
#include <libvirt/libvirt.h>

#include <memory>
#include <string>

#include "engine/session/failure.hpp"

namespace morsel::testvm {

struct ConnectionCloser {
  void operator()(virConnect* connection) const { virConnectClose(connection); }
};
struct DomainReleaser {
  void operator()(virDomain* domain) const { virDomainFree(domain); }
};
using Connection = std::unique_ptr<virConnect, ConnectionCloser>;
using Domain = std::unique_ptr<virDomain, DomainReleaser>;

// qemu:///system for root, qemu:///session for everybody else.
std::string default_uri();

// Keeps libvirt from printing its errors: they are reported by Failure. Call before anything else of libvirt.
void quiet_libvirt();

std::string libvirt_error();
[[noreturn]] void throw_libvirt(const std::string& tried, const std::string& advice = {});

// Empty if libvirt does not answer; libvirt_error() then says why.
Connection try_connect(const std::string& uri);

// "7.2.22"
std::string hypervisor_version(virConnect* connection);
std::string capabilities_of(virConnect* connection);

}  // namespace morsel::testvm
