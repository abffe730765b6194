// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtual CPUs by AMD's SVM with nested paging. Sections are of the AMD64 Architecture Programmer's Manual, volume 2.
 * Fields of the VMCB have Linux' names (asm/svm.h); their layout is in appendix B.
 *
 * The guest is kept from everything that is not its memory: I/O, MSRs, control and debug registers, the instructions
 * that concern interrupts, power or virtualisation, and SSE (CR4.OSFXSR) and x87 (CR0.TS), whose registers are the
 * host's. Every exception ends guest mode, so it needs no IDT.
 *
 * One ASID serves all vCPUs: a CPU that enters another one than last time flushes that ASID. The guest's TLB entries
 * have its tag, so that the host's (ASID 0) stay (15.16).
 *
 * Interrupts of the host end guest mode and are handled when it has been left (15.21.1: V_INTR_MASKING, so that the
 * host's RFLAGS.IF counts, which is on). The guest's own RFLAGS.IF masks virtual interrupts only, of which there are
 * none; it is set because Bochs looks at it when guest mode is entered.
 */
#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/svm.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include <asm/virtext.h>

#include "kmod/vcpu.h"
#include "kmod/vcpu_registers.h"

#define OUR_ASID 1			/* 0 is the host's: 15.5.1 */
#define GUEST_ADDRESS_BITS 40		/* the guest's own memory lies behind 512 GiB */
#define IOPM_PAGES 3			/* 15.10.1 */
#define MSRPM_PAGES 2			/* 15.11 */
#define PAT_RESET 0x0007040600070406ull	/* 7.8.2 */
#define DR6_RESET 0xffff0ff0ull		/* 13.1.1.3 */
#define DR7_RESET 0x400ull		/* 13.1.1.4 */

#define NPF_TABLE_WALK BIT_ULL(33)	/* EXITINFO1 of a nested page fault: 15.25.6 */

struct svm {
	u64 vmcb_pa, host_pa;
	struct morsel_general_registers guest;	/* RAX and RSP are in the VMCB: 15.5.1 */
	struct vmcb *vmcb;
	void *host;			/* for VMSAVE and VMLOAD of the host's part: 15.5.2 */
	int last_cpu;
};

static DEFINE_PER_CPU(void *, host_save);	/* VM_HSAVE_PA: 15.30.4 */
static DEFINE_PER_CPU(bool, is_on);
static DEFINE_PER_CPU(u64, last_vcpu);			/* whose translations OUR_ASID has */
static void *permissions;				/* IOPM and MSRPM, all ones: nothing is allowed */
static enum cpuhp_state hotplug_state;

static int svm_check(unsigned int format, const char **reason)
{
	u64 vm_cr;

	if (!cpu_has_svm(NULL)) {
		*reason = "the CPU has no SVM";
		return -ENODEV;
	}
	if (!boot_cpu_has(X86_FEATURE_NPT)) {
		*reason = "the CPU's SVM has no nested paging";
		return -ENODEV;
	}
	/* The nested walk has the host's paging mode: 15.25.3. Views of the format have four levels. */
	if (__read_cr4() & X86_CR4_LA57) {
		*reason = "the kernel has 5-level paging (LA57), so the nested walk had, too: boot it with no5lvl";
		return -ENODEV;
	}
	if (!boot_cpu_has(X86_FEATURE_GBPAGES) || boot_cpu_data.x86_phys_bits < GUEST_ADDRESS_BITS) {
		*reason = "the CPU lacks pages of 1 GiB, or 40 bits of physical address";
		return -ENODEV;
	}
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT)) {
		*reason = "the kernel encrypts memory (SME): the views' entries lack the bit for that";
		return -ENODEV;
	}
	rdmsrl(MSR_VM_CR, vm_cr);
	if (vm_cr & SVM_VM_CR_SVM_DIS_MASK) {
		*reason = "SVM is disabled by the firmware (VM_CR.SVMDIS)";
		return -ENODEV;
	}
	return 0;
}

/* ---- on and off: EFER.SVME (15.4) on each CPU, by the hotplug machinery, so that later ones are covered, too ---- */

static int switch_cpu_on(void *own)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	this_cpu_write(host_save, own);
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __pa(own));
	this_cpu_write(last_vcpu, 0);
	this_cpu_write(is_on, true);
	return 0;
}

static int svm_online(unsigned int cpu)
{
	return morsel_vcpu_online(switch_cpu_on);
}

static int svm_offline(unsigned int cpu)
{
	this_cpu_write(is_on, false);
	cpu_svm_disable();
	morsel_own_pages_free(this_cpu_read(host_save), 1);
	this_cpu_write(host_save, NULL);
	return 0;
}

static int svm_switch_on(const char **reason)
{
	int state;

	permissions = morsel_own_pages(IOPM_PAGES + MSRPM_PAGES, GFP_KERNEL);
	if (!permissions)
		return -ENOMEM;
	memset(permissions, 0xff, (IOPM_PAGES + MSRPM_PAGES) * PAGE_SIZE);
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "morsel/svm:online", svm_online, svm_offline);
	if (state < 0) {
		morsel_own_pages_free(permissions, IOPM_PAGES + MSRPM_PAGES);
		if (state == -EBUSY)
			*reason = "another hypervisor uses the CPU's virtualisation (EFER.SVME is set): kvm, perhaps";
		return state;
	}
	hotplug_state = state;
	return 0;
}

static void svm_switch_off(void)
{
	cpuhp_remove_state(hotplug_state);
	morsel_own_pages_free(permissions, IOPM_PAGES + MSRPM_PAGES);
}

/* ---- the guest's state ---- */

static void intercept(struct vmcb_control_area *control, unsigned int what)
{
	control->intercepts[what / 32] |= BIT(what % 32);
}

/* 15.9 and appendix B.1: words 0 to 2 are masks, the rest single instructions and events. */
static void set_intercepts(struct vmcb_control_area *control)
{
	static const u8 events[] = {
		INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT, INTERCEPT_STORE_IDTR,
		INTERCEPT_STORE_GDTR, INTERCEPT_STORE_LDTR, INTERCEPT_STORE_TR, INTERCEPT_LOAD_IDTR,
		INTERCEPT_LOAD_GDTR, INTERCEPT_LOAD_LDTR, INTERCEPT_LOAD_TR, INTERCEPT_RDPMC, INTERCEPT_RSM,
		INTERCEPT_IRET, INTERCEPT_INTn, INTERCEPT_INVD, INTERCEPT_HLT, INTERCEPT_INVLPGA,
		INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT, INTERCEPT_TASK_SWITCH, INTERCEPT_FERR_FREEZE,
		INTERCEPT_SHUTDOWN, INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE,
		INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_ICEBP, INTERCEPT_WBINVD,
		INTERCEPT_MONITOR, INTERCEPT_MWAIT, INTERCEPT_MWAIT_COND, INTERCEPT_XSETBV, INTERCEPT_RDPRU,
	};
	unsigned int i;

	control->intercepts[INTERCEPT_CR] = 0xffff0000;		/* writes; CLTS and LMSW are writes of CR0 */
	control->intercepts[INTERCEPT_DR] = 0xffffffff;		/* DR0 to DR3 are the host's: 15.5.1 */
	control->intercepts[INTERCEPT_EXCEPTION] = (u32)~BIT(X86_TRAP_NMI);
	for (i = 0; i < ARRAY_SIZE(events); i++)
		intercept(control, events[i]);
}

static void set_control(struct morsel_vcpu *vcpu, struct vmcb_control_area *control)
{
	set_intercepts(control);
	control->iopm_base_pa = __pa(permissions);
	control->msrpm_base_pa = __pa(permissions + IOPM_PAGES * PAGE_SIZE);
	control->asid = OUR_ASID;
	control->int_ctl = V_INTR_MASKING_MASK;
	control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;		/* 15.25.3 */
	control->nested_cr3 = __pa(vcpu->stage);
}

static struct vmcb_seg segment(u16 selector, u16 attributes, u32 limit)
{
	return (struct vmcb_seg){ .selector = selector, .attrib = attributes, .limit = limit };
}

/* 64-bit mode; attributes as in 15.5.1: type, S, DPL, P in bits 0 to 7, L, D, G in 9 to 11. */
static void set_state(struct vmcb_save_area *save, const struct morsel_vcpu_registers *registers)
{
	const u16 cpl = registers->user ? 3 : 0;

	save->cs = segment(0x08 | cpl, 0xa9b | cpl << 5, 0xffffffff);
	save->ss = save->ds = save->es = save->fs = save->gs = segment(0x10 | cpl, 0xc93 | cpl << 5, 0xffffffff);
	save->tr = segment(0x18, 0x8b, 0xffff);
	save->ldtr = segment(0, 0x82, 0xffff);
	save->gdtr = save->idtr = segment(0, 0, 0);
	save->cpl = cpl;
	save->efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NX;	/* SVME must be set in a guest, too: 15.5.1 */
	save->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	save->cr3 = MORSEL_VCPU_TABLES;
	save->cr4 = X86_CR4_PAE;
	save->g_pat = PAT_RESET;				/* 15.25.8 */
	save->dr6 = DR6_RESET;
	save->dr7 = DR7_RESET;
	save->rflags = registers->rflags;
	save->rip = registers->rip;
	save->rax = registers->rax;
	save->rsp = MORSEL_VCPU_SCRATCH + PAGE_SIZE;
}

static void svm_start(struct morsel_vcpu *vcpu, const struct morsel_vcpu_registers *registers)
{
	struct svm *svm = vcpu->hardware;

	memset(svm->vmcb, 0, PAGE_SIZE);
	set_control(vcpu, &svm->vmcb->control);
	set_state(&svm->vmcb->save, registers);
	svm->guest = (struct morsel_general_registers){
		.rbx = registers->rbx, .rcx = registers->rcx, .rdx = registers->rdx,
	};
}

static void svm_destroy(struct morsel_vcpu *vcpu)
{
	struct svm *svm = vcpu->hardware;

	morsel_own_pages_free(svm->vmcb, 1);
	morsel_own_pages_free(svm->host, 1);
	kfree(svm);
	vcpu->hardware = NULL;
}

static int svm_create(struct morsel_vcpu *vcpu)
{
	struct svm *svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);

	if (!svm)
		return -ENOMEM;
	vcpu->hardware = svm;
	svm->vmcb = morsel_own_pages(1, GFP_KERNEL_ACCOUNT);
	svm->host = morsel_own_pages(1, GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb || !svm->host) {
		svm_destroy(vcpu);
		return -ENOMEM;
	}
	svm->vmcb_pa = __pa(svm->vmcb);
	svm->host_pa = __pa(svm->host);
	svm->last_cpu = -1;
	return 0;
}

/* ---- in and out ---- */

/*
 * FS, GS, TR, LDTR and the system-call MSRs are not switched by VMRUN (15.5.2): the host's are put away and fetched
 * back here, with no code of the kernel's in between, because its per-CPU data is reached by GS. All that with GIF
 * clear (15.17): nothing interrupts. STI before VMRUN lets a pending interrupt end guest mode at once.
 */
static noinline void svm_switch(struct svm *svm)
{
	asm volatile("push %%rbp\n\t"
		     "push %%rdi\n\t"
		     "clgi\n\t"
		     "mov %c[host](%%rdi), %%rax\n\t"
		     "vmsave %%rax\n\t"
		     "mov %c[vmcb](%%rdi), %%rax\n\t"
		     "vmload %%rax\n\t"
		     MORSEL_LOAD_REGISTERS
		     "sti\n\t"
		     "vmrun %%rax\n\t"
		     "cli\n\t"
		     "vmsave %%rax\n\t"
		     "xchg %%rdi, (%%rsp)\n\t"		/* the guest's; svm */
		     MORSEL_SAVE_REGISTERS
		     "pop %%rax\n\t"
		     "mov %%rax, %c[rdi](%%rdi)\n\t"
		     "mov %c[host](%%rdi), %%rax\n\t"
		     "vmload %%rax\n\t"
		     "stgi\n\t"
		     "pop %%rbp\n\t"
		     : "+D"(svm)
		     : [host] "i"(offsetof(struct svm, host_pa)), [vmcb] "i"(offsetof(struct svm, vmcb_pa)),
		       MORSEL_REGISTER_OFFSETS(struct svm)
		     : MORSEL_REGISTER_CLOBBERS);
}

static bool svm_enter(struct morsel_vcpu *vcpu, bool flush)
{
	const int cpu = smp_processor_id();
	struct svm *svm = vcpu->hardware;
	struct vmcb_control_area *control = &svm->vmcb->control;

	if (!this_cpu_read(is_on))	/* the CPU is on its way out */
		return false;
	if (svm->last_cpu != cpu || this_cpu_read(last_vcpu) != vcpu->id)
		flush = true;
	svm->last_cpu = cpu;
	this_cpu_write(last_vcpu, vcpu->id);
	control->tlb_ctl = !flush ? TLB_CONTROL_DO_NOTHING :
			   boot_cpu_has(X86_FEATURE_FLUSHBYASID) ? TLB_CONTROL_FLUSH_ASID :
								   TLB_CONTROL_FLUSH_ALL_ASID;	/* 15.16 */
	svm_switch(svm);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();	/* leaving guest mode has reset DR7: 15.6 */
	if (control->exit_code == SVM_EXIT_EXCP_BASE + X86_TRAP_MC)
		asm volatile("int $18");	/* the host's, and this has swallowed it: 15.12.15 */
	return true;
}

/* Exit codes: appendix C. */
static enum morsel_vcpu_exit_kind kind_of(u64 code)
{
	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_EXCP_BASE + X86_TRAP_MC:
		return MORSEL_EXIT_INTERRUPT;
	case SVM_EXIT_VMMCALL:
		return MORSEL_EXIT_END;
	case SVM_EXIT_NPF:
		return MORSEL_EXIT_VIOLATION;
	case SVM_EXIT_SHUTDOWN:
		return MORSEL_EXIT_SHUTDOWN;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + X86_TRAP_MC - 1:
	case SVM_EXIT_EXCP_BASE + X86_TRAP_MC + 1 ... SVM_EXIT_EXCP_BASE + 31:
		return MORSEL_EXIT_EXCEPTION;
	case (u64)SVM_EXIT_ERR:
		return MORSEL_EXIT_BROKEN;
	default:
		return MORSEL_EXIT_FORBIDDEN;
	}
}

static void svm_explain(const struct morsel_vcpu *vcpu, struct morsel_vcpu_exit *exit)
{
	const struct svm *svm = vcpu->hardware;
	const struct vmcb_control_area *control = &svm->vmcb->control;

	exit->code = (u64)control->exit_code_hi << 32 | control->exit_code;
	exit->kind = kind_of(exit->code);
	exit->rip = svm->vmcb->save.rip;
	exit->rax = svm->vmcb->save.rax;
	exit->address = exit->access = 0;
	if (exit->kind == MORSEL_EXIT_EXCEPTION)
		exit->code -= SVM_EXIT_EXCP_BASE;
	/* A page fault's error code and address: 15.12.15. A nested fault has its bits, and one more. */
	if (exit->kind == MORSEL_EXIT_VIOLATION ||
	    (exit->kind == MORSEL_EXIT_EXCEPTION && exit->code == X86_TRAP_PF)) {
		exit->address = control->exit_info_2;
		exit->access = morsel_access_of_fault(control->exit_info_1);
		if (control->exit_info_1 & NPF_TABLE_WALK)
			exit->access |= MORSEL_VCPU_TABLE_WALK;
	}
}

const struct morsel_vcpu_ops morsel_svm_ops = {
	.walker = MORSEL_WALKER_SVM,
	.formats = BIT(MORSEL_FORMAT_NPT),
	.ending = 0xd9010f,		/* VMMCALL */
	.table_bits = 0x67,		/* P, R/W, U/S, A, D: as the views' tables */
	.leaf_bits = 0x67,
	.check = svm_check,
	.switch_on = svm_switch_on,
	.switch_off = svm_switch_off,
	.create = svm_create,
	.destroy = svm_destroy,
	.start = svm_start,
	.enter = svm_enter,
	.explain = svm_explain,
};
