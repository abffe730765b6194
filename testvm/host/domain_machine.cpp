// SPDX-License-Identifier: GPL-2.0-or-later
#include "testvm/host/domain_machine.hpp"

#include <signal.h>

#include "testvm/host/domain_xml.hpp"

namespace morsel::testvm {
namespace {

using session::Exit;
using session::Failure;

const char* stop_reason(int event, int detail)
{
  if (event == VIR_DOMAIN_EVENT_CRASHED) return "the guest's kernel panicked";
  switch (detail) {
    case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: return "the guest powered itself off or restarted";
    case VIR_DOMAIN_EVENT_STOPPED_DESTROYED: return "somebody else destroyed the domain";
    case VIR_DOMAIN_EVENT_STOPPED_CRASHED: return "the guest crashed";
    case VIR_DOMAIN_EVENT_STOPPED_FAILED: return "QEMU ended unexpectedly";
    default: return "the domain stopped";
  }
}

}  // namespace

DomainMachine::DomainMachine(const VmConfig& config, const VmPaths& paths, Stopped stopped)
    : config_(config), paths_(paths), stopped_(std::move(stopped))
{
  check_domain_config(config);
  libvirt_ = open_libvirt(default_uri(), "/proc/self/exe");
  watch_domain();
}

DomainMachine::~DomainMachine()
{
  if (lifecycle_ >= 0) virConnectDomainEventDeregisterAny(libvirt_.connection.get(), lifecycle_);
}

void DomainMachine::watch_domain()
{
  virConnect* connection = libvirt_.connection.get();
  const auto changed = [](virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) {
    auto* self = static_cast<DomainMachine*>(opaque);
    const bool over = event == VIR_DOMAIN_EVENT_STOPPED || event == VIR_DOMAIN_EVENT_CRASHED;
    if (over && self->is_ours(domain)) self->stopped_(stop_reason(event, detail));
    return 0;
  };
  // libvirt passes every kind of callback through one type, and calls each by its own.
  const auto generic = reinterpret_cast<virConnectDomainEventGenericCallback>(
      reinterpret_cast<void (*)()>(static_cast<virConnectDomainEventCallback>(changed)));
  lifecycle_ =
      virConnectDomainEventRegisterAny(connection, nullptr, VIR_DOMAIN_EVENT_ID_LIFECYCLE, generic, this, nullptr);
  if (lifecycle_ < 0) throw_libvirt("watching the domain");
  // Without libvirt nobody would end the domain after us: it ends now.
  const auto closed = [](virConnectPtr, int, void* opaque) {
    auto* self = static_cast<DomainMachine*>(opaque);
    if (self->qemu_ > 0) kill(self->qemu_, SIGKILL);
    self->stopped_("libvirt's daemon ended");
  };
  if (virConnectRegisterCloseCallback(connection, closed, this, nullptr) != 0) throw_libvirt("watching libvirt");
}

// By its UUID: of one that had this name before, libvirt may tell the end when ours has begun.
bool DomainMachine::is_ours(virDomain* domain) const
{
  char text[VIR_UUID_STRING_BUFLEN] = {};
  return virDomainGetUUIDString(domain, text) == 0 && uuid_ == text;
}

UniqueFd DomainMachine::start(VmInfo& info)
{
  StartedDomain started = start_domain(libvirt_.connection.get(), config_, paths_);
  domain_ = std::move(started.domain);
  uuid_ = uuid_of(domain_.get());
  info = std::move(started.info);
  info.uri = default_uri();
  qemu_ = info.process;
  auto channel = connect_unix(paths_.channel);
  if (!channel) throw Failure(Exit::target_lost, "connecting to the agent's channel", errno_text());
  return std::move(*channel);
}

void DomainMachine::end()
{
  if (!domain_) return;
  const Domain domain = std::move(domain_);
  try {
    destroy_domain(domain.get());
  } catch (const Failure&) {
    if (qemu_ > 0) kill(qemu_, SIGKILL);  // libvirt does not answer any more
  }
}

}  // namespace morsel::testvm
