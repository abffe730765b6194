/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual CPUs by Intel's VMX: what vcpu_vmx.c (on and off, in and out) and vcpu_vmcs.c (what the processor offers, and
 * what stands in a VMCS) share.
 */
#ifndef MORSEL_KMOD_VCPU_VMX_H
#define MORSEL_KMOD_VCPU_VMX_H

#include "kmod/vcpu.h"
#include "kmod/vcpu_registers.h"

/* What a VM exit tells. Read before the VMCS is cleared. */
struct morsel_vmx_exit {
	u32 reason, event, error_code;
	u64 qualification, address, rip;
};

struct morsel_vmx {
	struct morsel_general_registers guest;
	u64 rax;
	bool failed;			/* an instruction about this VMCS has; then there was no guest mode */
	bool started;			/* the guest's state is to be written as `registers` say */
	struct morsel_vcpu_registers registers;
	void *vmcs;
	u64 eptp;
	int last_cpu;			/* whose addresses the host's state has; -1: none yet */
	struct morsel_vmx_exit exit;
};

static inline u64 morsel_vmcs_read(unsigned long field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

static inline void morsel_vmcs_write(struct morsel_vmx *vmx, unsigned long field, u64 value)
{
	bool failed;

	asm volatile("vmwrite %2, %1\n\t"
		     "setna %0"
		     : "=qm"(failed) : "r"(field), "r"(value) : "cc");
	vmx->failed |= failed;
}

/* vcpu_vmcs.c */
int morsel_vmx_check(unsigned int format, const char **reason);
bool morsel_vmx_is_allowed(void);	/* by the firmware, on this CPU */
u32 morsel_vmx_revision(void);
u64 morsel_vmx_ept_pointer(const struct morsel_vcpu *vcpu);
void morsel_vmx_write_guest(struct morsel_vmx *vmx);
void morsel_vmx_write_host(struct morsel_vmx *vmx, int cpu);

#endif /* MORSEL_KMOD_VCPU_VMX_H */
