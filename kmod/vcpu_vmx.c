// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtual CPUs by Intel's VMX with EPT: on and off, in and out of guest mode, why it was left. Sections are of Intel's
 * Software Developer's Manual, volume 3, as of 2023.
 *
 * A VMCS is active on a CPU from VMPTRLD until VMCLEAR, and no other CPU may use it meanwhile (25.11.1). Here it is so
 * only while interrupts are off, around one stay in guest mode: so nothing is to be done when the task moves, the CPU
 * goes or the vCPU dies. It costs two instructions and a VMLAUNCH in place of a VMRESUME at each entry.
 *
 * Translations are tagged by the EPT pointer (29.4.1), so that other vCPUs' do no harm. Those of a dead one whose
 * tables lay where this one's lie would, and those of an earlier stay on this CPU: a vCPU that comes flushes first.
 *
 * Interrupts of the host are VM exits that leave the interrupt pending (25.7.1: not acknowledged): it is handled when
 * interrupts are on again.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/segment.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include <asm/virtext.h>
#include <asm/vmx.h>

#include "kmod/vcpu_vmx.h"

/* Exit qualification of an EPT violation: 28.2.1, table 28-7 */
#define VIOLATION_WRITE BIT_ULL(1)
#define VIOLATION_FETCH BIT_ULL(2)
#define VIOLATION_RIGHTS (BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(5))	/* of all entries on the way together */
#define VIOLATION_HAS_LINEAR BIT_ULL(7)
#define VIOLATION_OF_TRANSLATED BIT_ULL(8)	/* else of an entry of the guest's own tables */

static DEFINE_PER_CPU(void *, vmxon_region);	/* 25.11.5 */
static DEFINE_PER_CPU(bool, is_on);
static enum cpuhp_state hotplug_state;

/* ---- on and off: 24.7, on each CPU, by the hotplug machinery, so that later ones are covered, too ---- */

static int vmxon(u64 region)
{
	asm goto("1: vmxon %[region]\n\t"
		 "jna %l[failed]\n\t"
		 _ASM_EXTABLE(1b, %l[failed])
		 : : [region] "m"(region) : "memory", "cc" : failed);
	return 0;
failed:
	return -EIO;
}

static int switch_cpu_on(void *own)
{
	if (__read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	if (!morsel_vmx_is_allowed())
		return -ENODEV;
	*(u32 *)own = morsel_vmx_revision();
	cr4_set_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(1);		/* some CPUs cannot trace meanwhile: 26.5.4 */
	if (vmxon(__pa(own))) {
		intel_pt_handle_vmx(0);
		cr4_clear_bits(X86_CR4_VMXE);
		return -EIO;
	}
	this_cpu_write(vmxon_region, own);
	this_cpu_write(is_on, true);
	return 0;
}

static int vmx_online(unsigned int cpu)
{
	return morsel_vcpu_online(switch_cpu_on);
}

static int vmx_offline(unsigned int cpu)
{
	this_cpu_write(is_on, false);
	cpu_vmxoff();
	intel_pt_handle_vmx(0);
	morsel_own_pages_free(this_cpu_read(vmxon_region), 1);
	this_cpu_write(vmxon_region, NULL);
	return 0;
}

static int vmx_switch_on(const char **reason)
{
	const int state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "morsel/vmx:online", vmx_online, vmx_offline);

	if (state == -EBUSY)
		*reason = "another hypervisor uses the CPU's virtualisation (CR4.VMXE is set): kvm, perhaps";
	else if (state == -EIO || state == -ENODEV)
		*reason = "a CPU does not take VMXON, though it says that it has VMX";
	if (state < 0)
		return state;
	hotplug_state = state;
	return 0;
}

static void vmx_switch_off(void)
{
	cpuhp_remove_state(hotplug_state);
}

/* ---- a vCPU ---- */

static void vmx_destroy(struct morsel_vcpu *vcpu)
{
	struct morsel_vmx *vmx = vcpu->hardware;

	morsel_own_pages_free(vmx->vmcs, 1);
	kfree(vmx);
	vcpu->hardware = NULL;
}

static bool vmclear(u64 vmcs)
{
	bool failed;

	asm volatile("vmclear %1\n\t"
		     "setna %0"
		     : "=qm"(failed) : "m"(vmcs) : "memory", "cc");
	return !failed;
}

static int vmx_create(struct morsel_vcpu *vcpu)
{
	struct morsel_vmx *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);

	if (!vmx)
		return -ENOMEM;
	vcpu->hardware = vmx;
	vmx->vmcs = morsel_own_pages(1, GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs) {
		vmx_destroy(vcpu);
		return -ENOMEM;
	}
	*(u32 *)vmx->vmcs = morsel_vmx_revision();
	vmx->eptp = morsel_vmx_ept_pointer(vcpu);
	vmx->last_cpu = -1;
	return 0;
}

/* Written when the VMCS is loaded next. */
static void vmx_start(struct morsel_vcpu *vcpu, const struct morsel_vcpu_registers *registers)
{
	struct morsel_vmx *vmx = vcpu->hardware;

	vmx->registers = *registers;
	vmx->started = true;
	vmx->rax = registers->rax;
	vmx->guest = (struct morsel_general_registers){
		.rbx = registers->rbx, .rcx = registers->rcx, .rdx = registers->rdx,
	};
}

/* ---- in and out ---- */

static void vmptrld(struct morsel_vmx *vmx)
{
	const u64 vmcs = __pa(vmx->vmcs);

	asm volatile("vmptrld %1\n\t"
		     "setna %0"
		     : "=qm"(vmx->failed) : "m"(vmcs) : "memory", "cc");
}

/* 29.4.3.1: everything that was cached by this EPT pointer. */
static void invept(struct morsel_vmx *vmx)
{
	const struct { u64 eptp, zero; } descriptor = { vmx->eptp, 0 };
	bool failed;

	asm volatile("invept %1, %2\n\t"
		     "setna %0"
		     : "=qm"(failed) : "m"(descriptor), "r"((u64)VMX_EPT_EXTENT_CONTEXT) : "memory", "cc");
	vmx->failed |= failed;
}

/* A VM exit goes on behind VMLAUNCH with clear flags, a VMLAUNCH that fails with CF or ZF set (31.2). */
static noinline void vmx_switch(struct morsel_vmx *vmx)
{
	asm volatile("push %%rbp\n\t"
		     "push %%rdi\n\t"
		     "mov %[host_rsp], %%eax\n\t"
		     "vmwrite %%rsp, %%rax\n\t"
		     "mov %[host_rip], %%eax\n\t"
		     "lea 1f(%%rip), %%rdx\n\t"
		     "vmwrite %%rdx, %%rax\n\t"
		     "mov %c[rax](%%rdi), %%rax\n\t"
		     MORSEL_LOAD_REGISTERS
		     "vmlaunch\n"
		     "1:\n\t"
		     "xchg %%rdi, (%%rsp)\n\t"		/* the guest's; vmx */
		     "setna %c[failed](%%rdi)\n\t"
		     "mov %%rax, %c[rax](%%rdi)\n\t"
		     MORSEL_SAVE_REGISTERS
		     "pop %%rax\n\t"
		     "mov %%rax, %c[rdi](%%rdi)\n\t"
		     "pop %%rbp\n\t"
		     : "+D"(vmx)
		     : [host_rsp] "i"(HOST_RSP), [host_rip] "i"(HOST_RIP),
		       [rax] "i"(offsetof(struct morsel_vmx, rax)),
		       [failed] "i"(offsetof(struct morsel_vmx, failed)), MORSEL_REGISTER_OFFSETS(struct morsel_vmx)
		     : MORSEL_REGISTER_CLOBBERS);
}

/*
 * What a VM exit does not give back as it was (28.5): it clears the selectors of data segments and LDTR, gives the GDT
 * and the TSS limits of its own, and resets DR7 and IA32_DEBUGCTL. And the guest may exchange IA32_KERNEL_GS_BASE by
 * SWAPGS, which is kept from nobody.
 */
static void switch_and_repair(struct morsel_vmx *vmx, int cpu)
{
	const unsigned long debugctl = get_debugctlmsr();
	u16 ds, es, fs, gs, ldt;
	u64 fs_base, user_gs_base;

	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	store_ldt(ldt);
	rdmsrl(MSR_FS_BASE, fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, user_gs_base);
	vmx_switch(vmx);
	load_fixmap_gdt(cpu);
	invalidate_tss_limit();
	if (ldt)
		asm volatile("lldt %0" : : "m"(ldt));
	if (ds | es) {
		loadsegment(ds, ds);
		loadsegment(es, es);
	}
	if (fs) {
		loadsegment(fs, fs);
		wrmsrl(MSR_FS_BASE, fs_base);
	}
	if (gs)
		load_gs_index(gs);
	wrmsrl(MSR_KERNEL_GS_BASE, user_gs_base);
	if (debugctl)
		update_debugctlmsr(debugctl);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

static bool is_event(u32 event, u32 type, u32 vector)
{
	return (event & INTR_INFO_VALID_MASK) && (event & INTR_INFO_INTR_TYPE_MASK) == type &&
	       (event & INTR_INFO_VECTOR_MASK) == vector;
}

/* The host's, and the VM exit has swallowed them: 26.2. After the first, NMIs are blocked until its handler's IRET. */
static void pass_on_events(const struct morsel_vmx_exit *exit)
{
	if ((u16)exit->reason == EXIT_REASON_MCE_DURING_VMENTRY ||	/* bit 31: the entry has failed */
	    (exit->reason == EXIT_REASON_EXCEPTION_NMI &&
	     is_event(exit->event, INTR_TYPE_HARD_EXCEPTION, X86_TRAP_MC)))
		asm volatile("int $18");
	if (exit->reason == EXIT_REASON_EXCEPTION_NMI && is_event(exit->event, INTR_TYPE_NMI_INTR, X86_TRAP_NMI))
		asm volatile("int $2");
}

/* 25.9 */
static struct morsel_vmx_exit read_exit(void)
{
	return (struct morsel_vmx_exit){
		.reason = morsel_vmcs_read(VM_EXIT_REASON), .event = morsel_vmcs_read(VM_EXIT_INTR_INFO),
		.error_code = morsel_vmcs_read(VM_EXIT_INTR_ERROR_CODE),
		.qualification = morsel_vmcs_read(EXIT_QUALIFICATION),
		.address = morsel_vmcs_read(GUEST_PHYSICAL_ADDRESS), .rip = morsel_vmcs_read(GUEST_RIP),
	};
}

static bool vmx_enter(struct morsel_vcpu *vcpu, bool flush)
{
	const int cpu = smp_processor_id();
	struct morsel_vmx *vmx = vcpu->hardware;

	if (!this_cpu_read(is_on))	/* the CPU is on its way out */
		return false;
	/* Before the first VMPTRLD, too: 25.11.3. */
	if (vmx->last_cpu < 0)
		vmclear(__pa(vmx->vmcs));
	vmptrld(vmx);
	if (vmx->failed)
		return true;
	if (vmx->started)
		morsel_vmx_write_guest(vmx);
	vmx->started = false;
	morsel_vmx_write_host(vmx, cpu);
	if (flush || vmx->last_cpu != cpu)
		invept(vmx);
	vmx->last_cpu = cpu;
	if (!vmx->failed)
		switch_and_repair(vmx, cpu);
	if (!vmx->failed)
		vmx->exit = read_exit();
	vmclear(__pa(vmx->vmcs));
	if (!vmx->failed)
		pass_on_events(&vmx->exit);
	return true;
}

static u32 access_of(u64 qualification)
{
	u32 access = qualification & VIOLATION_WRITE ? MORSEL_WRITE :
		     qualification & VIOLATION_FETCH ? MORSEL_EXEC : MORSEL_READ;

	if (qualification & VIOLATION_RIGHTS)
		access |= MORSEL_VCPU_PRESENT;
	if ((qualification & VIOLATION_HAS_LINEAR) && !(qualification & VIOLATION_OF_TRANSLATED))
		access |= MORSEL_VCPU_TABLE_WALK;
	return access;
}

/* Basic exit reasons: appendix C. One with bit 31 is an entry that failed (27.8), and none of these. */
static enum morsel_vcpu_exit_kind kind_of(const struct morsel_vmx_exit *exit)
{
	switch (exit->reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		return is_event(exit->event, INTR_TYPE_NMI_INTR, X86_TRAP_NMI) ||
		       is_event(exit->event, INTR_TYPE_HARD_EXCEPTION, X86_TRAP_MC) ? MORSEL_EXIT_INTERRUPT :
										      MORSEL_EXIT_EXCEPTION;
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_INIT_SIGNAL:
		return MORSEL_EXIT_INTERRUPT;
	case EXIT_REASON_VMCALL:
		return MORSEL_EXIT_END;
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_EPT_MISCONFIG:
		return MORSEL_EXIT_VIOLATION;
	case EXIT_REASON_TRIPLE_FAULT:
		return MORSEL_EXIT_SHUTDOWN;
	default:
		return exit->reason & VMX_EXIT_REASONS_FAILED_VMENTRY ? MORSEL_EXIT_BROKEN : MORSEL_EXIT_FORBIDDEN;
	}
}

static void vmx_explain(const struct morsel_vcpu *vcpu, struct morsel_vcpu_exit *exit)
{
	const struct morsel_vmx *vmx = vcpu->hardware;
	const struct morsel_vmx_exit *seen = &vmx->exit;

	*exit = (struct morsel_vcpu_exit){ .kind = MORSEL_EXIT_BROKEN, .code = ~0ull };
	if (vmx->failed)
		return;
	exit->kind = kind_of(seen);
	exit->code = seen->reason;
	exit->rip = seen->rip;
	exit->rax = vmx->rax;
	if (exit->kind == MORSEL_EXIT_EXCEPTION) {
		exit->code = seen->event & INTR_INFO_VECTOR_MASK;
		if (exit->code == X86_TRAP_PF) {
			exit->address = seen->qualification;	/* 28.2.1 */
			exit->access = morsel_access_of_fault(seen->error_code);
		}
	} else if (exit->kind == MORSEL_EXIT_VIOLATION) {
		exit->address = seen->address;
		exit->access = seen->reason == EXIT_REASON_EPT_MISCONFIG ? MORSEL_VCPU_PRESENT | MORSEL_VCPU_RESERVED :
									   access_of(seen->qualification);
	}
}

const struct morsel_vcpu_ops morsel_vmx_ops = {
	.walker = MORSEL_WALKER_VMX,
	.formats = BIT(MORSEL_FORMAT_EPT) | BIT(MORSEL_FORMAT_EPT_L5) | BIT(MORSEL_FORMAT_EPT_NO_AD),
	.ending = 0xc1010f,		/* VMCALL */
	.table_bits = VMX_EPT_RWX_MASK | VMX_EPT_ACCESS_BIT,
	.leaf_bits = VMX_EPT_RWX_MASK | VMX_EPT_ACCESS_BIT | VMX_EPT_DIRTY_BIT |
		     VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT,
	.check = morsel_vmx_check,
	.switch_on = vmx_switch_on,
	.switch_off = vmx_switch_off,
	.create = vmx_create,
	.destroy = vmx_destroy,
	.start = vmx_start,
	.enter = vmx_enter,
	.explain = vmx_explain,
};
