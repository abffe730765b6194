/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The journal record and actor identity. FROZEN (layout of version 1; version 2 gave meaning to `flags`): 64 bytes,
 * little endian, naturally aligned; the same in the embedded machine, in the module's per-CPU rings and in saved files.
 * Plain C.
 */
#ifndef MORSEL_JOURNAL_H
#define MORSEL_JOURNAL_H

#include <linux/types.h>

#define MORSEL_JOURNAL_VERSION 2

/* Who reaches points. An actor is (kind, id): id is a thread id in the VM, an ordinal in the embedded machine. */
enum morsel_actor_kind {
	MORSEL_ACTOR_NONE = 0,
	MORSEL_ACTOR_CALLER = 1,	/* a command: an ioctl's caller, an embedded task */
	MORSEL_ACTOR_PROCESS_PRIMARY = 2, /* a process that faulted in a mapping of the primary: populates */
	MORSEL_ACTOR_PROCESS_VIEW = 3,	/* a process that faulted in a mapping of a view: fills */
	MORSEL_ACTOR_VCPU = 4,		/* a vCPU's violation handler: fills */
	MORSEL_ACTOR_IOMMU = 5,		/* an IOMMU fault: fills */
	MORSEL_ACTOR_RECLAIM = 6,	/* what runs at the end of a grace period */
};

#define MORSEL_TREE_PRIMARY 0		/* tree number of the primary; views are numbered from 1 */

struct morsel_journal_record {
	__u64 sequence;			/* consecutive over all actors of a target, from 1 */
	__u64 time_ns;			/* the target's monotonic clock */
	__u64 object_offset;		/* bytes from the object's start: where the entry's span begins */
	__u64 before;			/* the entry (or counter) before the access */
	__u64 after;			/* ... and after it; equal for reads */
	__u32 actor_id;
	__u32 object_id;
	__u16 point;			/* enum morsel_point */
	__u16 tree;			/* MORSEL_TREE_PRIMARY or the view's number */
	__u8 level;			/* level of the table the entry stands in */
	__u8 actor_kind;		/* enum morsel_actor_kind */
	__u8 fault_action;		/* enum morsel_fault_action that was injected, 0: none */
	__u8 reserved;			/* zero */
	__u32 flags;			/* MORSEL_RECORD_...; others zero */
	__u32 cpu;
};

/*
 * The entry stands in a table that nobody else could reach yet, and was zero: `before` is its physical address. So
 * the contents of tables that are linked complete are known, too.
 */
#define MORSEL_RECORD_PRIVATE 1u
#define MORSEL_RECORD_TABLE 2u		/* point alloc: `after` is a table, zeroed; without it a frame. 0: none */
#define MORSEL_RECORD_UNGATED 4u	/* passed without waiting while the gate was closed: it may not sleep there */
#define MORSEL_RECORD_LOST 8u		/* a compare-and-swap that found another word: `before` and `after` are that */

/*
 * The module's rings, one for each CPU, physically contiguous: this header at the start of the first page, the records
 * from the next page on. Record n (from 0) stands in slot n mod 2^capacity_lg2; the oldest is overwritten. `written` is
 * stored after the record. Records of several CPUs merge by sequence.
 */
#define MORSEL_JOURNAL_MAGIC 0x4c4e524a53524f4dULL	/* "MORSJRNL" */
struct morsel_journal_ring {
	__u64 magic;
	__u32 version;
	__u32 record_bytes;
	__u32 cpu;
	__u32 capacity_lg2;
	__u64 written;			/* records, since recording was switched on */
};

/* What fault injection does at a point. FROZEN numbers; not every target offers all of them. */
enum morsel_fault_action {
	MORSEL_FAULT_NONE = 0,
	MORSEL_FAULT_DROP = 1,		/* the access does not happen; the actor goes on as if it had */
	MORSEL_FAULT_FAIL = 2,		/* an allocation fails, a compare-and-swap loses */
	MORSEL_FAULT_DELAY = 3,		/* the access happens when the actor has passed another point */
	MORSEL_FAULT_DUPLICATE = 4,	/* the access happens twice */
	MORSEL_FAULT_CORRUPT = 5,	/* bits of the word that is stored are flipped */
	MORSEL_FAULT_CRASH = 6,		/* the machine ends before the access: a VM is reset */
};

#ifdef __cplusplus
static_assert(sizeof(struct morsel_journal_record) == 64, "frozen");
#else
_Static_assert(sizeof(struct morsel_journal_record) == 64, "frozen");
#endif

#endif /* MORSEL_JOURNAL_H */
