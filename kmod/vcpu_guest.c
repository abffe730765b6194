// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest of a virtual CPU: its own memory, its page tables, its programs; and the tables that put this memory beside
 * the object in the guest's physical address space.
 *
 * The object takes the first 512 GiB, as in its view, where it begins at address zero: the first entry of the view's
 * root. Hardware is given a root of ours instead, whose first entry is a copy of that one, and whose second leads to
 * the guest's own pages; so a view holds nothing that is not the object's. The copy is made anew at each entry into
 * guest mode, and whoever changes the view's root flushes, which ends guest mode: it is as if the hardware cached the
 * root's entry (kmod/vcpu_run.c).
 *
 * On the primary, whose root is lower, that entry leads to the primary's root table itself: an attachment, made once.
 *
 * The guest may write all of its own memory, its tables too: that is made anew at each start, and harms nobody else.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "kmod/vcpu.h"

/* Entries of the guest's own tables (APM volume 2, 5.3.3 and 5.4.1), accessed and dirty from the beginning. */
#define GUEST_TABLE 0x27ull		/* P, R/W, U/S, A */
#define GUEST_TABLE_READ_ONLY 0x25ull	/* P, U/S, A */
#define GUEST_LEAF 0xe7ull		/* P, R/W, U/S, A, D, PS */
#define SLOT_SHIFT 39			/* of one entry in a PML4 */
#define PUD_LEVEL 2			/* of the tables that such an entry leads to */

#define RFLAGS_TRAP 0x100ull
#define RFLAGS_START 0x202ull		/* bit 1 is always one; IF: see the interrupt flag in kmod/vcpu_svm.c */

/* rax, rbx: value and address; rcx: expected; rdx: the scratch page. The CPU's own way to end follows. */
static const u8 read_code[] = { 0x48, 0x8b, 0x03 };		/* mov (%rbx), %rax */
static const u8 write_code[] = { 0x48, 0x89, 0x03 };		/* mov %rax, (%rbx) */
static const u8 exchange_code[] = { 0xf0, 0x48, 0x0f, 0xb1, 0x0b }; /* lock cmpxchg %rcx, (%rbx) */
static const u8 spin_code[] = { 0x48, 0xff, 0x02,		/* 1: incq (%rdx) */
				0x48, 0x8b, 0x03,		/* mov (%rbx), %rax */
				0x48, 0x39, 0xc8,		/* cmp %rcx, %rax */
				0x75, 0xf5 };			/* jne 1b */

static void *guest_page(const struct morsel_vcpu *vcpu, enum morsel_guest_page page)
{
	return vcpu->guest + page * PAGE_SIZE;
}

static u64 guest_address(enum morsel_guest_page page)
{
	return MORSEL_VCPU_CODE + page * PAGE_SIZE;
}

static u64 *stage_table(const struct morsel_vcpu *vcpu, enum morsel_stage_page page)
{
	return vcpu->stage + page * PTRS_PER_PTE;
}

static void link_own_memory(struct morsel_vcpu *vcpu)
{
	unsigned int page;

	for (page = MORSEL_STAGE_ROOT; page < MORSEL_STAGE_LEVEL_0; page++)
		stage_table(vcpu, page)[page == MORSEL_STAGE_ROOT ? 1 : 0] =
			__pa(stage_table(vcpu, page + 1)) | vcpu->ops->table_bits;
	for (page = 0; page < MORSEL_GUEST_PAGES; page++)
		stage_table(vcpu, MORSEL_STAGE_LEVEL_0)[page] = __pa(guest_page(vcpu, page)) | vcpu->ops->leaf_bits;
}

int morsel_guest_create(struct morsel_vcpu *vcpu)
{
	BUILD_BUG_ON(MORSEL_VCPU_CODE != 1ull << SLOT_SHIFT || MORSEL_VCPU_READ_ONLY != 2ull << SLOT_SHIFT);
	BUILD_BUG_ON(MORSEL_VCPU_SCRATCH != MORSEL_VCPU_CODE + MORSEL_GUEST_SCRATCH * PAGE_SIZE);
	BUILD_BUG_ON(MORSEL_VCPU_TABLES != MORSEL_VCPU_CODE + MORSEL_GUEST_PML4 * PAGE_SIZE);
	vcpu->stage = morsel_own_pages(MORSEL_STAGE_PAGES, GFP_KERNEL_ACCOUNT);
	vcpu->guest = morsel_own_pages(MORSEL_GUEST_PAGES, GFP_KERNEL_ACCOUNT);
	if (!vcpu->stage || !vcpu->guest) {
		morsel_guest_destroy(vcpu);
		return -ENOMEM;
	}
	link_own_memory(vcpu);
	return 0;
}

void morsel_guest_destroy(struct morsel_vcpu *vcpu)
{
	morsel_own_pages_free(vcpu->stage, MORSEL_STAGE_PAGES);
	morsel_own_pages_free(vcpu->guest, MORSEL_GUEST_PAGES);
	vcpu->stage = NULL;
	vcpu->guest = NULL;
}

/* Puts the primary's root table where the object begins in the guest's physical memory. */
void morsel_guest_attach(struct morsel_vcpu *vcpu, u64 table, unsigned int level)
{
	for (; level < PUD_LEVEL; level++) {
		u64 *above = stage_table(vcpu, MORSEL_STAGE_OBJECT_1 + level);

		above[0] = table | vcpu->ops->table_bits;
		table = __pa(above);
	}
	vcpu->attached = table | vcpu->ops->table_bits;
	vcpu->view_root = &vcpu->attached;
}

/* One to one, in leaves of 1 GiB: the object, the object once more without the right to write, and the own memory. */
static void write_guest_tables(struct morsel_vcpu *vcpu)
{
	u64 *pml4 = guest_page(vcpu, MORSEL_GUEST_PML4);
	u64 *object = guest_page(vcpu, MORSEL_GUEST_PDPT_OBJECT), *own = guest_page(vcpu, MORSEL_GUEST_PDPT_OWN);
	u64 i;

	pml4[0] = guest_address(MORSEL_GUEST_PDPT_OBJECT) | GUEST_TABLE;
	pml4[1] = guest_address(MORSEL_GUEST_PDPT_OWN) | GUEST_TABLE;
	pml4[2] = guest_address(MORSEL_GUEST_PDPT_OBJECT) | GUEST_TABLE_READ_ONLY;
	for (i = 0; i < PTRS_PER_PUD; i++)
		object[i] = i * SZ_1G | GUEST_LEAF;
	own[0] = MORSEL_VCPU_CODE | GUEST_LEAF;
}

static void load_own(struct morsel_vcpu *vcpu, const u8 *code, size_t bytes)
{
	void *page = guest_page(vcpu, MORSEL_GUEST_CODE);

	memcpy(page, code, bytes);
	memcpy(page + bytes, &vcpu->ops->ending, MORSEL_VCPU_ENDING_BYTES);
}

static int load_code(struct morsel_vcpu *vcpu, const struct morsel_vcpu_run *run)
{
	switch (run->program) {
	case MORSEL_VCPU_READ:
		load_own(vcpu, read_code, sizeof(read_code));
		return 0;
	case MORSEL_VCPU_WRITE:
		load_own(vcpu, write_code, sizeof(write_code));
		return 0;
	case MORSEL_VCPU_EXEC:
		return 0;
	case MORSEL_VCPU_COMPARE_EXCHANGE:
		load_own(vcpu, exchange_code, sizeof(exchange_code));
		return 0;
	case MORSEL_VCPU_SPIN:
		load_own(vcpu, spin_code, sizeof(spin_code));
		return 0;
	default:
		return copy_from_user(guest_page(vcpu, MORSEL_GUEST_CODE), u64_to_user_ptr(run->code),
				      run->code_bytes) ? -EFAULT : 0;
	}
}

/* Memory and registers as a program finds them when it starts. The request was checked. */
int morsel_guest_load(struct morsel_vcpu *vcpu, const struct morsel_vcpu_run *run,
		      struct morsel_vcpu_registers *registers)
{
	memset(vcpu->guest, 0, MORSEL_GUEST_PAGES * PAGE_SIZE);
	write_guest_tables(vcpu);
	*registers = (struct morsel_vcpu_registers){
		.rax = run->value, .rbx = run->offset, .rcx = run->expected, .rdx = MORSEL_VCPU_SCRATCH,
		.rip = MORSEL_VCPU_CODE, .rflags = RFLAGS_START,
		.user = run->flags & MORSEL_VCPU_USER,
	};
	if (run->program == MORSEL_VCPU_COMPARE_EXCHANGE) {
		registers->rax = run->expected;
		registers->rcx = run->value;
	} else if (run->program == MORSEL_VCPU_EXEC) {
		/* What stands there is done once, and can change nothing but the scratch page. */
		registers->rip = MORSEL_VCPU_READ_ONLY + run->offset;
		registers->rflags |= RFLAGS_TRAP;
		registers->rax = registers->rbx = registers->rcx = MORSEL_VCPU_SCRATCH;
	}
	return load_code(vcpu, run);
}
