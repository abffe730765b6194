/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual CPUs inside the module: what is common (vcpu.c: life and requests; vcpu_run.c: entering, violations, flushes;
 * vcpu_guest.c: the guest's memory and programs) and the table of operations that a kind of hardware provides
 * (vcpu_svm.c; vcpu_vmx.c and vcpu_vmcs.c).
 */
#ifndef MORSEL_KMOD_VCPU_H
#define MORSEL_KMOD_VCPU_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <asm/trap_pf.h>

#include "engine/abi/morsel_vcpu.h"
#include "kmod/shim.h"

struct morsel_vcpu;

struct morsel_vcpu_registers {
	u64 rax, rbx, rcx, rdx, rip, rflags;
	bool user;			/* CPL 3 */
};

enum morsel_vcpu_exit_kind {
	MORSEL_EXIT_INTERRUPT,		/* of the host: it has been handled by now */
	MORSEL_EXIT_END,		/* the guest says that it is done */
	MORSEL_EXIT_VIOLATION,
	MORSEL_EXIT_EXCEPTION,
	MORSEL_EXIT_SHUTDOWN,
	MORSEL_EXIT_FORBIDDEN,
	MORSEL_EXIT_BROKEN,		/* the hardware does not take what we gave it */
};
struct morsel_vcpu_exit {
	enum morsel_vcpu_exit_kind kind;
	u64 code;			/* EXCEPTION: the vector; else as hardware has it */
	u64 address;			/* VIOLATION: guest-physical; EXCEPTION 14: guest-virtual; else 0 */
	u32 access;			/* of both: MORSEL_READ, WRITE or EXEC, and MORSEL_VCPU_PRESENT, ... */
	u64 rip, rax;
};

/* One kind of hardware. */
struct morsel_vcpu_ops {
	unsigned int walker;		/* enum morsel_walker */
	u32 formats;			/* that it walks: bits by enum morsel_format */
	u32 ending;			/* struct morsel_vcpu_create's */
	u64 table_bits, leaf_bits;	/* of entries for the guest's own memory, beside the address */
	/* Whether this machine can walk that format: 0; else an errno, and why. */
	int (*check)(unsigned int format, const char **reason);
	/* All CPUs, those that come later as well: before the first vCPU, after the last. */
	int (*switch_on)(const char **reason);
	void (*switch_off)(void);
	int (*create)(struct morsel_vcpu *vcpu);
	void (*destroy)(struct morsel_vcpu *vcpu);
	void (*start)(struct morsel_vcpu *vcpu, const struct morsel_vcpu_registers *registers);
	/* Preemption and interrupts are off. False: virtualisation is off on this CPU. */
	bool (*enter)(struct morsel_vcpu *vcpu, bool flush);
	void (*explain)(const struct morsel_vcpu *vcpu, struct morsel_vcpu_exit *exit);
};
extern const struct morsel_vcpu_ops morsel_svm_ops, morsel_vmx_ops;

/* By a page fault's error code: AMD64 Architecture Programmer's Manual volume 2, 8.4.2; SDM volume 3A, 4.7. */
static inline u32 morsel_access_of_fault(u64 code)
{
	u32 access = code & X86_PF_WRITE ? MORSEL_WRITE : code & X86_PF_INSTR ? MORSEL_EXEC : MORSEL_READ;

	if (code & X86_PF_PROT)
		access |= MORSEL_VCPU_PRESENT;
	if (code & X86_PF_RSVD)
		access |= MORSEL_VCPU_RESERVED;
	return access;
}

/* Pages of the guest's own memory, from MORSEL_VCPU_CODE on. */
enum morsel_guest_page {
	MORSEL_GUEST_CODE,
	MORSEL_GUEST_SCRATCH,
	MORSEL_GUEST_PML4,
	MORSEL_GUEST_PDPT_OBJECT,
	MORSEL_GUEST_PDPT_OWN,
	MORSEL_GUEST_PAGES
};
/* The tables that hardware walks above and beside the view's. */
enum morsel_stage_page { MORSEL_STAGE_ROOT, MORSEL_STAGE_LEVEL_2, MORSEL_STAGE_LEVEL_1, MORSEL_STAGE_LEVEL_0,
			 MORSEL_STAGE_OBJECT_1, MORSEL_STAGE_OBJECT_2, /* above a primary whose root is lower */
			 MORSEL_STAGE_PAGES };

struct morsel_vcpu {
	const struct morsel_vcpu_ops *ops;
	unsigned int format;		/* enum morsel_format */
	u64 id;				/* of all that ever were */
	struct file *file;		/* the object's; NULL: a lab */
	struct morsel_tree *tree;	/* pinned; NULL: a lab */
	struct list_head node;		/* tree->vcpus */
	struct mutex running;		/* by the task that runs it */
	const u64 *view_root;		/* its first entry is the object's */
	u64 attached;			/* that entry, of the primary: it has no table at this level */
	u64 *stage;			/* MORSEL_STAGE_PAGES: hardware's root is the first */
	void *guest;			/* MORSEL_GUEST_PAGES */
	struct page *lab;
	atomic_t cpu;			/* in guest mode there, or about to be; -1: in none */
	bool outdated;			/* somebody flushes: what is cached must go before the next entry */
	u64 flushes;			/* of its tree, while it was there; written under tree->lock */
	u64 refused_at;			/* by whoever runs it: `flushes` when hardware refused what is allowed */
	void *hardware;			/* of the operations */
};

/* vcpu.c */
struct morsel_vcpu *morsel_vcpu_new(struct file *file, struct morsel_tree *tree, const char **reason);
void morsel_vcpu_free(struct morsel_vcpu *vcpu);
int morsel_vcpu_online(int (*switch_on)(void *own));

/* vcpu_guest.c */
int morsel_guest_create(struct morsel_vcpu *vcpu);
void morsel_guest_destroy(struct morsel_vcpu *vcpu);
void morsel_guest_attach(struct morsel_vcpu *vcpu, u64 table, unsigned int level);
int morsel_guest_load(struct morsel_vcpu *vcpu, const struct morsel_vcpu_run *run,
		      struct morsel_vcpu_registers *registers);

/* vcpu_run.c */
int morsel_vcpu_run(struct morsel_vcpu *vcpu, struct morsel_vcpu_run *run);

#endif /* MORSEL_KMOD_VCPU_H */
