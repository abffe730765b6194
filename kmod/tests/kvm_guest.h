/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest of KVM as small as those of the module: memory of the caller's at guest-physical address 0, one page of code
 * in 64-bit mode, and page tables that map 4 GiB one to one in leaves of 1 GiB.
 */
#ifndef MORSEL_KMOD_TESTS_KVM_GUEST_H
#define MORSEL_KMOD_TESTS_KVM_GUEST_H

#include <stddef.h>
#include <stdint.h>

struct kvm_run;

struct kvm_guest {
	int vm, vcpu;
	struct kvm_run *run;
	size_t run_bytes;
	void *own;			/* code and tables */
};

/* 0, or an errno: EBUSY if somebody else uses the CPUs' virtualisation. At most 1 GiB of memory. */
int kvm_guest_start(struct kvm_guest *guest, void *memory, size_t bytes);
void kvm_guest_stop(struct kvm_guest *guest);
/* Runs `code`, which ends with hlt, with rbx and rcx. Returns rax at its end. */
uint64_t kvm_guest_run(struct kvm_guest *guest, const void *code, size_t bytes, uint64_t rbx, uint64_t rcx);
/* Violations of the nested tables that KVM has handled so far for this guest. */
uint64_t kvm_guest_violations(const struct kvm_guest *guest);

#endif /* MORSEL_KMOD_TESTS_KVM_GUEST_H */
