// SPDX-License-Identifier: GPL-2.0-or-later
//
// Whether KVM works here, found out by running a guest: a device file alone proves nothing (nested and emulated KVMs
// accept ioctls and then cannot run a kernel).
#pragma once
#include <string>

namespace morsel::testvm {

struct KvmVerdict {
  bool usable = false;
  std::string reason;  // in words
};

// Runs, with QEMU and KVM, a ROM that enters long mode and reports back. About 50 ms.
KvmVerdict probe_kvm();

// Whether the user "+UID:+GID" that libvirt runs QEMU as may open /dev/kvm; `qemu_user` empty: this user.
KvmVerdict may_open_kvm(const std::string& qemu_user);

}  // namespace morsel::testvm
