// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the processor's VMX offers, and what stands in the VMCS of a virtual CPU. Sections are of Intel's Software
 * Developer's Manual, volume 3, as of 2023; fields and controls have Linux' names (asm/vmx.h).
 *
 * The guest is kept from everything that is not its memory: I/O, MSRs, control and debug registers, the instructions
 * that concern power, and SSE (CR4.OSFXSR) and x87 (CR0.TS), whose registers are the host's. What it may load, such as
 * descriptor tables, is its own, and the host's comes back at each VM exit (28.5). Every exception is a VM exit, so it
 * needs no IDT.
 */
#include <linux/mm.h>
#include <asm/cpu_entry_area.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/virtext.h>
#include <asm/vmx.h>

#include "kmod/vcpu_vmx.h"

#define GUEST_ADDRESS_BITS 40		/* the guest's own memory lies behind 512 GiB */
#define OUR_VPID 1			/* 0 is the host's: 29.1 */
#define DR7_RESET 0x400ull		/* 18.2.4 */
#define CODE_64_BIT 0xa09b		/* access rights, 25.4.1: type, S, P, L, G */
#define DATA 0xc093
#define DPL_SHIFT 5
#define FEATURE_CONTROL_NEEDED (FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)	/* 24.7 */

/* Appendix A.10; the views may have leaves of any size that only allow to execute. */
#define EPT_NEEDED (VMX_EPT_EXECUTE_ONLY_BIT | VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | VMX_EPT_2MB_PAGE_BIT | \
		    VMX_EPT_1GB_PAGE_BIT | VMX_EPT_INVEPT_BIT | VMX_EPT_EXTENT_CONTEXT_BIT)

/* 25.6 to 25.8: what a guest needs, and what is used where there is. */
static struct {
	u32 field, msr, true_msr, needed, wanted;
	u32 value;
} controls[] = {
	{ PIN_BASED_VM_EXEC_CONTROL, MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	  PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING, 0 },
	{ CPU_BASED_VM_EXEC_CONTROL, MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	  CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING | CPU_BASED_RDPMC_EXITING |
	  CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING |
	  CPU_BASED_MOV_DR_EXITING | CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, 0 },
	{ SECONDARY_VM_EXEC_CONTROL, MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2,
	  SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_WBINVD_EXITING, SECONDARY_EXEC_ENABLE_VPID },
	{ VM_EXIT_CONTROLS, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
	  VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_EFER, 0 },
	{ VM_ENTRY_CONTROLS, MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	  VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_IA32E_MODE | VM_ENTRY_LOAD_IA32_EFER, 0 },
};

/* Appendix A.2 to A.5: the low half of an MSR has the controls that must be set, the high half those that may. */
static bool choose_controls(void)
{
	u64 basic, offered;
	unsigned int i;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		/* The third one's MSR is there if the second has the control that activates it. */
		rdmsrl(basic & VMX_BASIC_TRUE_CTLS ? controls[i].true_msr : controls[i].msr, offered);
		if (controls[i].needed & ~(offered >> 32))
			return false;
		controls[i].value = controls[i].needed | (controls[i].wanted & offered >> 32) | (u32)offered;
	}
	return true;
}

bool morsel_vmx_is_allowed(void)
{
	u64 control;

	return !rdmsrl_safe(MSR_IA32_FEAT_CTL, &control) && !(~control & FEATURE_CONTROL_NEEDED);
}

u32 morsel_vmx_revision(void)
{
	u64 basic;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	return basic & 0x7fffffff;	/* appendix A.1 */
}

static int check_ept(unsigned int format, const char **reason)
{
	u64 ept;

	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, ept);
	if ((ept & EPT_NEEDED) != EPT_NEEDED) {
		*reason = "the CPU's EPT lacks leaves of 2 MiB or 1 GiB, pages that can only be executed, or INVEPT";
		return -ENODEV;
	}
	if (format != MORSEL_FORMAT_EPT_NO_AD && !(ept & VMX_EPT_AD_BIT)) {
		*reason = "the CPU's EPT has no accessed and dirty flags: a view of the format ept_no_ad needs none";
		return -ENODEV;
	}
	if (format == MORSEL_FORMAT_EPT_L5) {
		*reason = ept & VMX_EPT_PAGE_WALK_5_BIT ? "the module's guest has EPT of 4 levels" :
							  "the CPU's EPT has no walks of 5 levels";
		return -ENODEV;
	}
	return 0;
}

int morsel_vmx_check(unsigned int format, const char **reason)
{
	if (!cpu_has_vmx()) {
		*reason = "the CPU has no VMX";
		return -ENODEV;
	}
	if (!morsel_vmx_is_allowed()) {
		*reason = "VMX is disabled by the firmware (IA32_FEATURE_CONTROL)";
		return -ENODEV;
	}
	if (!choose_controls()) {
		*reason = "the CPU's VMX has no EPT, or lacks controls that keep a guest from the host's state";
		return -ENODEV;
	}
	if (!boot_cpu_has(X86_FEATURE_GBPAGES) || boot_cpu_data.x86_phys_bits < GUEST_ADDRESS_BITS) {
		*reason = "the CPU lacks pages of 1 GiB, or 40 bits of physical address";
		return -ENODEV;
	}
	return check_ept(format, reason);
}

/* 25.6.11 */
u64 morsel_vmx_ept_pointer(const struct morsel_vcpu *vcpu)
{
	const u64 flags = vcpu->format == MORSEL_FORMAT_EPT_NO_AD ? 0 : VMX_EPTP_AD_ENABLE_BIT;

	return __pa(vcpu->stage) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 | flags;
}

static void write_segment(struct morsel_vmx *vmx, unsigned int es_field_offset, u16 selector, u32 rights, u32 limit)
{
	morsel_vmcs_write(vmx, GUEST_ES_SELECTOR + es_field_offset, selector);
	morsel_vmcs_write(vmx, GUEST_ES_BASE + es_field_offset, 0);
	morsel_vmcs_write(vmx, GUEST_ES_LIMIT + es_field_offset, limit);
	morsel_vmcs_write(vmx, GUEST_ES_AR_BYTES + es_field_offset, rights);
}

static void write_segments(struct morsel_vmx *vmx)
{
	const u32 cpl = vmx->registers.user ? 3 : 0;
	unsigned int field;

	for (field = GUEST_ES_SELECTOR; field <= GUEST_GS_SELECTOR; field += 2)
		if (field == GUEST_CS_SELECTOR)
			write_segment(vmx, field - GUEST_ES_SELECTOR, 0x08 | cpl, CODE_64_BIT | cpl << DPL_SHIFT, ~0);
		else
			write_segment(vmx, field - GUEST_ES_SELECTOR, 0x10 | cpl, DATA | cpl << DPL_SHIFT, ~0);
	write_segment(vmx, GUEST_LDTR_SELECTOR - GUEST_ES_SELECTOR, 0, VMX_AR_UNUSABLE_MASK, 0);
	write_segment(vmx, GUEST_TR_SELECTOR - GUEST_ES_SELECTOR, 0x18, 0x80 | VMX_AR_TYPE_BUSY_64_TSS, 0xffff);
}

/* 24.8: bits that must be set or clear in VMX operation, by appendix A.7 and A.8. */
static u64 as_vmx_wants(u64 value, u32 msr_set, u32 msr_may)
{
	u64 set, may;

	rdmsrl(msr_set, set);
	rdmsrl(msr_may, may);
	return (value | set) & may;
}

static void write_control_registers(struct morsel_vmx *vmx)
{
	const u64 cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_TS | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	const u64 cr4 = X86_CR4_PAE;

	morsel_vmcs_write(vmx, GUEST_CR0, as_vmx_wants(cr0, MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR0_FIXED1));
	morsel_vmcs_write(vmx, GUEST_CR3, MORSEL_VCPU_TABLES);
	morsel_vmcs_write(vmx, GUEST_CR4, as_vmx_wants(cr4, MSR_IA32_VMX_CR4_FIXED0, MSR_IA32_VMX_CR4_FIXED1));
	/* Every bit is the host's, so that any change is a VM exit: 25.6.6. */
	morsel_vmcs_write(vmx, CR0_GUEST_HOST_MASK, ~0ull);
	morsel_vmcs_write(vmx, CR4_GUEST_HOST_MASK, ~0ull);
	morsel_vmcs_write(vmx, CR0_READ_SHADOW, cr0);
	morsel_vmcs_write(vmx, CR4_READ_SHADOW, cr4);
}

/* What is the same for each guest. */
static const struct { u32 field; u64 value; } constants[] = {
	{ EXCEPTION_BITMAP, 0xffffffff }, { PAGE_FAULT_ERROR_CODE_MASK, 0 }, { PAGE_FAULT_ERROR_CODE_MATCH, 0 },
	{ CR3_TARGET_COUNT, 0 }, { VM_EXIT_MSR_STORE_COUNT, 0 }, { VM_EXIT_MSR_LOAD_COUNT, 0 },
	{ VM_ENTRY_MSR_LOAD_COUNT, 0 }, { VM_ENTRY_INTR_INFO_FIELD, 0 }, { VMCS_LINK_POINTER, ~0ull },
	{ GUEST_GDTR_BASE, 0 }, { GUEST_GDTR_LIMIT, 0 }, { GUEST_IDTR_BASE, 0 }, { GUEST_IDTR_LIMIT, 0 },
	{ GUEST_SYSENTER_CS, 0 }, { GUEST_SYSENTER_ESP, 0 }, { GUEST_SYSENTER_EIP, 0 },
	{ GUEST_IA32_EFER, EFER_LME | EFER_LMA | EFER_NX }, { GUEST_IA32_DEBUGCTL, 0 }, { GUEST_DR7, DR7_RESET },
	{ GUEST_INTERRUPTIBILITY_INFO, 0 }, { GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE },
	{ GUEST_PENDING_DBG_EXCEPTIONS, 0 }, { GUEST_RSP, MORSEL_VCPU_SCRATCH + PAGE_SIZE },
	{ HOST_CS_SELECTOR, __KERNEL_CS }, { HOST_SS_SELECTOR, __KERNEL_DS }, { HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8 },
	{ HOST_DS_SELECTOR, 0 }, { HOST_ES_SELECTOR, 0 }, { HOST_FS_SELECTOR, 0 }, { HOST_GS_SELECTOR, 0 },
};

/* Everything but the host's state: as a guest begins. The VMCS is the current one. */
void morsel_vmx_write_guest(struct morsel_vmx *vmx)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(controls); i++)
		morsel_vmcs_write(vmx, controls[i].field, controls[i].value);
	if (controls[2].value & SECONDARY_EXEC_ENABLE_VPID)
		morsel_vmcs_write(vmx, VIRTUAL_PROCESSOR_ID, OUR_VPID);
	morsel_vmcs_write(vmx, EPT_POINTER, vmx->eptp);
	for (i = 0; i < ARRAY_SIZE(constants); i++)
		morsel_vmcs_write(vmx, constants[i].field, constants[i].value);
	write_segments(vmx);
	write_control_registers(vmx);
	morsel_vmcs_write(vmx, GUEST_RIP, vmx->registers.rip);
	morsel_vmcs_write(vmx, GUEST_RFLAGS, vmx->registers.rflags);
}

/* What is another CPU's after the task has moved. */
static void write_host_of_cpu(struct morsel_vmx *vmx, int cpu)
{
	struct desc_ptr gdt, idt;
	u64 value;

	native_store_gdt(&gdt);
	store_idt(&idt);
	morsel_vmcs_write(vmx, HOST_GDTR_BASE, gdt.address);
	morsel_vmcs_write(vmx, HOST_IDTR_BASE, idt.address);
	morsel_vmcs_write(vmx, HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	rdmsrl(MSR_GS_BASE, value);
	morsel_vmcs_write(vmx, HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	morsel_vmcs_write(vmx, HOST_IA32_SYSENTER_CS, (u32)value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	morsel_vmcs_write(vmx, HOST_IA32_SYSENTER_ESP, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	morsel_vmcs_write(vmx, HOST_IA32_SYSENTER_EIP, value);
	rdmsrl(MSR_EFER, value);
	morsel_vmcs_write(vmx, HOST_IA32_EFER, value);
}

/* 25.5: what a VM exit gives back to the host. Interrupts are off, the VMCS is the current one. */
void morsel_vmx_write_host(struct morsel_vmx *vmx, int cpu)
{
	u64 fs_base;

	if (vmx->last_cpu != cpu)
		write_host_of_cpu(vmx, cpu);
	rdmsrl(MSR_FS_BASE, fs_base);
	morsel_vmcs_write(vmx, HOST_FS_BASE, fs_base);
	morsel_vmcs_write(vmx, HOST_CR0, read_cr0());
	morsel_vmcs_write(vmx, HOST_CR3, __read_cr3());
	morsel_vmcs_write(vmx, HOST_CR4, __read_cr4());
}
