/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * /dev/morsel and the files of morselfs: the versioned ioctl interface of morsel.ko. Plain C, for the module, the
 * agent and any program in the guest.
 *
 * Rules of every request, so that later versions can grow:
 *  - a structure begins with its own size in bytes: EINVAL if it is smaller than the module's, E2BIG if it is larger
 *    and the surplus is not all zero;
 *  - reserved fields and unknown flags must be zero, else EINVAL;
 *  - the interface's version is asked for with MORSEL_IOC_VERSION; it stands in the agent's greeting, and a host that
 *    knows another one refuses the session.
 *
 * Privilege: requests on an object need a descriptor of the object's file, opened for writing if they change it (else
 * EBADF). Global requests (/dev/morsel) need CAP_SYS_ADMIN, because they show physical addresses and inject faults.
 * Memory: tables and frames are charged to the memory cgroup of whoever causes them (GFP_KERNEL_ACCOUNT).
 */
#ifndef MORSEL_IOCTL_H
#define MORSEL_IOCTL_H

#ifdef __KERNEL__
#include <linux/ioctl.h>
#include <linux/types.h>
#else
#include <linux/types.h>
#include <sys/ioctl.h>
#endif

#define MORSEL_ABI_VERSION 3
#define MORSEL_NAME_BYTES 64		/* object names in replies, NUL-terminated */
#define MORSEL_MAX_VIEWS 16		/* views of one object */

/* Page-table formats. FROZEN numbers, as in engine/format/format.hpp. */
enum morsel_format {
	MORSEL_FORMAT_AMD64 = 1,
	MORSEL_FORMAT_AMD64_L5 = 2,
	MORSEL_FORMAT_NPT = 3,
	MORSEL_FORMAT_EPT = 4,
	MORSEL_FORMAT_EPT_L5 = 5,
	MORSEL_FORMAT_EPT_NO_AD = 6,
	MORSEL_FORMAT_EPT_MBE = 7,
	MORSEL_FORMAT_VTD_SECOND_STAGE = 8,
	MORSEL_FORMAT_VTD_SECOND_STAGE_L5 = 9,
	MORSEL_FORMAT_AMD_IOMMU_V1 = 10,
	MORSEL_FORMAT_ARM64_STAGE1 = 11,
	MORSEL_FORMAT_ARM64_STAGE2 = 12,
	MORSEL_FORMAT_RISCV_SV39 = 13,
	MORSEL_FORMAT_RISCV_SV48 = 14,
	MORSEL_FORMAT_RISCV_SV57 = 15,
	MORSEL_FORMAT_RISCV_SV39X4 = 16,
	MORSEL_FORMAT_RISCV_SV48X4 = 17,
	MORSEL_FORMAT_LAST = MORSEL_FORMAT_RISCV_SV48X4
};

/* Rights, and kinds of access. */
#define MORSEL_READ 1u
#define MORSEL_WRITE 2u
#define MORSEL_EXEC 4u

/* Level of an object's root table. */
enum morsel_root_level { MORSEL_ROOT_PTE = 0, MORSEL_ROOT_PMD = 1, MORSEL_ROOT_PUD = 2 };

/* How an access through a view ended; also why a fill refused. */
enum morsel_access_result {
	MORSEL_ACCESS_HIT = 0,		/* the view already allowed it */
	MORSEL_ACCESS_FILLED = 1,	/* the view was filled, then it was allowed */
	MORSEL_ACCESS_POPULATED = 2,	/* the primary was a hole: populated, filled, allowed */
	MORSEL_ACCESS_DENIED = 3,	/* the primary forbids it */
};

/* Who walked the tables for an access. */
enum morsel_walker {
	MORSEL_WALKER_ENGINE = 0,	/* the engine's own walker in the module */
	MORSEL_WALKER_CPU = 1,		/* the CPU's MMU, for a process that maps the view */
	MORSEL_WALKER_SVM = 2,		/* the CPU's nested paging (AMD-V), for a virtual CPU of the module */
	MORSEL_WALKER_VMX = 3,		/* the CPU's EPT (VMX), likewise */
	MORSEL_WALKER_VTD = 4,		/* an IOMMU (Intel VT-d), for a device that the module drives */
};

struct morsel_version {
	__u32 size;
	__u32 abi_version;		/* out */
	__u32 point_count;		/* out */
	__u32 journal_version;		/* out */
};

/* Global, on /dev/morsel: make an object as a file of morselfs and return a descriptor of it. */
struct morsel_create {
	__u32 size;
	__u32 root_level;		/* enum morsel_root_level */
	__u64 bytes;			/* multiple of 4096, at most what the root level covers */
	char name[MORSEL_NAME_BYTES];	/* file name in the morselfs that the module mounts for itself */
	__s32 fd;			/* out */
	__u32 reserved;
};

/*
 * populate, unmap, protect; split, merge, migrate.
 *
 * Split turns 2-MiB leaves into 4-KiB ones, merge turns them back: only what was one 2-MiB frame once, and only while
 * no process has ever mapped the object (else EBUSY; also while another merge is under way). Migrate moves pages to
 * other frames; a page stays where it is if anybody holds a reference to its frame: a pipe, a device, or a mapping that
 * is served page by page.
 */
struct morsel_range {
	__u32 size;
	__u32 rights;			/* populate, protect: MORSEL_READ [| WRITE | EXEC]; others: 0 */
	__u64 start;			/* bytes, multiples of 4096 (merge: 2 MiB); half-open */
	__u64 end;
	__u32 leaf_level;		/* populate: 0 for 4-KiB leaves, 1 for 2-MiB leaves; merge: 1; others: 0 */
	__u32 reserved;
	__u64 changed_pages;		/* out; split: 0; merge: of the leaves made */
};

/*
 * Harvest: which pages were accessed and which written since the last one, through any tree or mapping; it is
 * forgotten. Bit n of a bitmap (in 64-bit words) is the page at start + n * 4096. A page that a device writes by a pin
 * of long standing is dirty when the pin is given back as such.
 */
#define MORSEL_HARVEST_BYTES (1ull << 30)	/* at most from start to end */
struct morsel_harvest {
	__u32 size;
	__u32 reserved;
	__u64 start;			/* bytes, multiples of 4096; half-open */
	__u64 end;
	__u64 accessed;			/* user pointer to (end - start) / 4096 bits, in whole words; overwritten */
	__u64 dirty;			/* the same */
};

/* Runs of mapped pages with the same rights, or of pages written since the last harvest as far as is seen by now. */
enum morsel_ranges_kind { MORSEL_RANGES_POPULATED = 0, MORSEL_RANGES_DIRTY = 1 };
#define MORSEL_RANGES_ROOM 4096		/* no more are given by one request */
struct morsel_run {
	__u64 start;
	__u64 end;
	__u32 rights;			/* DIRTY: 0 */
	__u32 reserved;
};
struct morsel_ranges {
	__u32 size;
	__u32 kind;			/* enum morsel_ranges_kind */
	__u64 start;			/* bytes, multiples of 4096; half-open */
	__u64 end;
	__u64 runs;			/* user pointer to struct morsel_run[room] */
	__u64 room;
	__u64 count;			/* out */
	__u64 next;			/* out: `start` of the request for the rest; `end` if there is none */
};

struct morsel_view_add {
	__u32 size;
	__u32 format;			/* enum morsel_format */
	__u32 view;			/* out: the view's number, from 1 */
	__u32 reserved;
};

/* EBUSY while a process maps the view, or another request is using it. */
struct morsel_view_drop {
	__u32 size;
	__u32 view;
};

/*
 * Fill one page of a view, as a violation handler would; with MORSEL_ACCESS_TOUCH do the access, too: of one 64-bit
 * word, or the fetch of one instruction. Where there is hardware for the view's format, a virtual CPU (morsel_vcpu.h)
 * or a device (morsel_device.h) does it, else the engine's walker. With MORSEL_ACCESS_VCPU it is a virtual CPU or
 * nothing (EOPNOTSUPP, ENODEV, EBUSY: there is none), on the primary, too.
 */
#define MORSEL_ACCESS_POPULATE 1u	/* a hole in the primary is populated (else ENXIO) */
#define MORSEL_ACCESS_TOUCH 2u
#define MORSEL_ACCESS_VCPU 4u		/* with TOUCH */
struct morsel_access {
	__u32 size;
	__u32 view;			/* view number; 0: the primary itself */
	__u64 offset;			/* bytes; with TOUCH a multiple of 8 */
	__u32 rights;			/* exactly one of MORSEL_READ, WRITE, EXEC */
	__u32 flags;
	__u64 value;			/* in: to write; out: what was read */
	__u32 result;			/* out: enum morsel_access_result */
	__u32 walker;			/* out: enum morsel_walker */
};

struct morsel_view_info {
	__u32 view;			/* number, 0: free slot */
	__u32 format;			/* enum morsel_format */
	__u64 root_pa;			/* physical address of the root table */
	__u32 root_level;
	__u32 attached;			/* mappings of this view by processes */
};

struct morsel_info {
	__u32 size;
	__u32 object_id;
	__u64 bytes;
	__u64 root_pa;			/* primary */
	__u32 root_level;
	__u32 attached;			/* mappings of the primary by processes, and vCPUs on it */
	__u64 tables;			/* primary and views, now */
	__u64 frames;			/* in 4-KiB pages; unmapped ones count until their grace period is over */
	__u32 view_count;
	__u32 reserved;
	char name[MORSEL_NAME_BYTES];
	struct morsel_view_info views[MORSEL_MAX_VIEWS];
};

/* Select which tree this descriptor's later mmap() maps: 0 the primary, else an AMD64 view's number. */
struct morsel_map_view {
	__u32 size;
	__u32 view;
};

/*
 * Global: fault injection, counted per rule. Field names are those of Linux's fault-injection framework. A rule sees
 * the accesses that match point, view, range and actor; it fires at the nth of them, and of those that follow at every
 * interval-th, with a chance of `probability` percent, `times` in all. Chance is drawn from seed and count alone.
 *
 * A live kernel is not harmed: what could make it free what is still linked, lose it, or read a frame that is not the
 * object's is refused (EOPNOTSUPP), or does not happen, and the rule does not count it:
 *  - a view's entry that names a table is never dropped, delayed, or exchanged twice;
 *  - a leaf is only corrupted into one of the same object's frames, or, in a format that the CPU does not walk for
 *    processes, into one that hardware refuses.
 */
struct morsel_inject {
	__u32 size;
	__u32 point;			/* enum morsel_point */
	__u32 action;			/* enum morsel_fault_action */
	__u32 view;			/* 0xffffffff: any tree */
	__u64 nth;			/* fires at the nth matching access from now, 1: the next one */
	__u64 times;			/* how often it then fires */
	__u64 fired;			/* out, MORSEL_IOC_INJECT_LIST */
	__u32 rule;			/* out: number of the rule; in: for LIST, from 1 */
	__u32 actor;			/* thread id; 0: any */
	__u64 start;			/* bytes; the entry's span touches the range */
	__u64 end;			/* 0: any */
	__u64 interval;			/* from 1 */
	__u64 seed;
	__u64 bits;			/* CORRUPT: flipped in what is stored, or in both ends of a flush's range */
	__u32 probability;		/* 1 to 100 percent */
	__u32 until;			/* DELAY: enum morsel_point that the actor has to pass; others: 0 */
	__u32 object_id;		/* 0: any */
	__u32 reserved;			/* 0 */
};

/*
 * Global: what has fired, one after the other; the last few are known. The descriptor has something urgent to tell
 * (poll: POLLPRI) while there is one that nobody has asked for. ENOENT: none yet.
 */
struct morsel_fired {
	__u32 size;
	__u32 rule;			/* out, as is all that follows `sequence` */
	__u64 sequence;			/* in: the first one after this; out: its own. Numbers left out are forgotten */
	__u32 point;
	__u32 actor;			/* thread id */
	__u32 object_id;
	__u32 tree;
};

/*
 * Global: switches the journal (morsel_journal.h). On: recording begins in empty rings, of 2^capacity_lg2 records for
 * each CPU; sequences go on where they were. Off: what is in the rings stays there. The rings' memory lasts until it is
 * switched on with another capacity, or the module goes.
 */
#define MORSEL_JOURNAL_MAX_CAPACITY_LG2 15
#define MORSEL_JOURNAL_ROOM 1024	/* no more CPUs are supported */
struct morsel_journal_switch {
	__u32 size;
	__u32 on;			/* 1 or 0 */
	__u32 capacity_lg2;		/* 6 to MORSEL_JOURNAL_MAX_CAPACITY_LG2; with on = 0: 0 */
	__u32 count;			/* out: rings */
	__u64 next_sequence;		/* out: of the next record */
	__u64 rings;			/* user pointer to __u64[room]: out, physical addresses of the rings */
	__u64 room;
};

/*
 * Global: the gate. A descriptor of /dev/morsel that is given a lease controls it, alone (else EBUSY); the same request
 * renews the lease. When the descriptor is closed or the lease ends, the gate is open and everybody goes on. While it
 * is closed, whoever reaches a point waits there, before the access, in a killable wait.
 *
 * STOP closes it, RUN opens it, STEP lets one actor do the access it waits at (ESRCH: no such actor; EBUSY: it does not
 * wait at a point). UNTIL opens it, and closes it when the nth actor has come to where the condition holds; who waits
 * now goes on without being counted. ACTORS lists; the descriptor is readable (poll) when something has changed since
 * then. Requests of who does not control: ENOTCONN.
 */
struct morsel_gate {
	__u32 size;
	__u32 lease_ms;			/* 100 to 600000 */
};
struct morsel_gate_step {
	__u32 size;
	__u32 actor;			/* its id */
};
struct morsel_gate_until {
	__u32 size;
	__u32 point;			/* enum morsel_point */
	__u32 actor;			/* 0: any */
	__u32 object_id;		/* 0: any */
	__u32 view;			/* 0xffffffff: any tree */
	__u32 reserved;
	__u64 start;			/* bytes; the entry's span touches the range */
	__u64 end;			/* 0: any */
	__u64 nth;			/* from 1 */
};
enum morsel_gate_state {
	MORSEL_GATE_RUNNING = 0,	/* between points */
	MORSEL_GATE_AT_POINT = 1,
	MORSEL_GATE_GRACE = 2,		/* waits for those that are inside a section of the same object */
};
#define MORSEL_GATE_INSIDE 1u		/* it is inside a grace section */
struct morsel_gate_actor {
	__u32 id;			/* thread id */
	__u32 kind;			/* enum morsel_actor_kind */
	__u32 object_id;
	__u32 pid;			/* of its process */
	__u32 cpu;
	__u32 state;			/* enum morsel_gate_state; the fields up to `desired` only at a point */
	__u32 flags;			/* MORSEL_GATE_INSIDE */
	__u32 point;			/* enum morsel_point: what it will do */
	__u32 tree;
	__u32 level;
	__u64 serial;			/* of the last wait at a point; larger than those of all waits before */
	__u64 offset;
	__u64 word;			/* as it is now */
	__u64 desired;			/* as it will be */
	__u64 instruction_pointer;	/* of the user's instruction that faulted; 0: none */
	__u64 fault_address;
	char name[16];			/* of the thread */
};
struct morsel_gate_actors {
	__u32 size;
	__u32 closed;			/* out */
	__u64 actors;			/* user pointer to struct morsel_gate_actor[room] */
	__u64 room;
	__u64 count;			/* out: there are */
	__u32 met_by;			/* out: the actor that has met UNTIL's condition; 0: none yet */
	__u32 reserved;
};

/* Global: what the module holds right now; all zero after the last object is gone. */
struct morsel_counters {
	__u32 size;
	__u32 reserved;
	__u64 objects;
	__u64 views;
	__u64 tables;
	__u64 frames;
	__u64 attachments;
	__u64 contexts;			/* processes registered for notification */
	__u64 attached_total;		/* since load */
	__u64 detached_total;
	__u64 flushes_total;
	__u64 fills_total;
	__u64 bad_entries;		/* entries that were not what the module had put there; must stay zero */
	__u64 own_pages;		/* 4-KiB pages of vCPUs, devices, labs, and of hardware that walks */
};

/* A list of the objects: fills `names` with NUL-terminated names, one after the other. */
struct morsel_list {
	__u32 size;
	__u32 reserved;
	__u64 names;			/* user pointer */
	__u64 names_bytes;		/* in: room; out: needed */
	__u64 count;			/* out */
};

/*
 * Waiting, so that nobody needs to poll; a signal ends it with EINTR. No argument: 0.
 *
 * MORSEL_IOC_SETTLE, on an object: what operations that have returned took out of its trees is freed when its grace
 * period is over; wait for that. Not for frames that are kept because an invalidation was dropped by injection.
 * MORSEL_IOC_IDLE, on /dev/morsel: the kernel forgets a process that mapped objects a little after it has ended, or has
 * unmapped the last; wait until no process is known (morsel_counters.contexts is 0).
 */
#define MORSEL_IOC_MAGIC 0xB7
#define MORSEL_IOC_VERSION _IOWR(MORSEL_IOC_MAGIC, 0, struct morsel_version)
#define MORSEL_IOC_CREATE _IOWR(MORSEL_IOC_MAGIC, 1, struct morsel_create)
#define MORSEL_IOC_COUNTERS _IOWR(MORSEL_IOC_MAGIC, 2, struct morsel_counters)
#define MORSEL_IOC_INJECT_ADD _IOWR(MORSEL_IOC_MAGIC, 3, struct morsel_inject)
#define MORSEL_IOC_INJECT_LIST _IOWR(MORSEL_IOC_MAGIC, 4, struct morsel_inject)
#define MORSEL_IOC_INJECT_CLEAR _IO(MORSEL_IOC_MAGIC, 5)
#define MORSEL_IOC_LIST _IOWR(MORSEL_IOC_MAGIC, 6, struct morsel_list)
#define MORSEL_IOC_IDLE _IO(MORSEL_IOC_MAGIC, 7)
#define MORSEL_IOC_JOURNAL _IOWR(MORSEL_IOC_MAGIC, 8, struct morsel_journal_switch)
#define MORSEL_IOC_GATE _IOWR(MORSEL_IOC_MAGIC, 9, struct morsel_gate)
#define MORSEL_IOC_GATE_STOP _IO(MORSEL_IOC_MAGIC, 10)
#define MORSEL_IOC_GATE_RUN _IO(MORSEL_IOC_MAGIC, 11)
#define MORSEL_IOC_GATE_STEP _IOWR(MORSEL_IOC_MAGIC, 12, struct morsel_gate_step)
#define MORSEL_IOC_GATE_UNTIL _IOWR(MORSEL_IOC_MAGIC, 13, struct morsel_gate_until)
#define MORSEL_IOC_GATE_ACTORS _IOWR(MORSEL_IOC_MAGIC, 14, struct morsel_gate_actors)
#define MORSEL_IOC_INJECT_FIRED _IOWR(MORSEL_IOC_MAGIC, 15, struct morsel_fired)
#define MORSEL_IOC_INFO _IOWR(MORSEL_IOC_MAGIC, 32, struct morsel_info)
#define MORSEL_IOC_POPULATE _IOWR(MORSEL_IOC_MAGIC, 33, struct morsel_range)
#define MORSEL_IOC_UNMAP _IOWR(MORSEL_IOC_MAGIC, 34, struct morsel_range)
#define MORSEL_IOC_PROTECT _IOWR(MORSEL_IOC_MAGIC, 35, struct morsel_range)
#define MORSEL_IOC_VIEW_ADD _IOWR(MORSEL_IOC_MAGIC, 36, struct morsel_view_add)
#define MORSEL_IOC_VIEW_DROP _IOWR(MORSEL_IOC_MAGIC, 37, struct morsel_view_drop)
#define MORSEL_IOC_ACCESS _IOWR(MORSEL_IOC_MAGIC, 38, struct morsel_access)
#define MORSEL_IOC_MAP_VIEW _IOWR(MORSEL_IOC_MAGIC, 39, struct morsel_map_view)
#define MORSEL_IOC_SETTLE _IO(MORSEL_IOC_MAGIC, 40)
#define MORSEL_IOC_SPLIT _IOWR(MORSEL_IOC_MAGIC, 41, struct morsel_range)
#define MORSEL_IOC_MERGE _IOWR(MORSEL_IOC_MAGIC, 42, struct morsel_range)
#define MORSEL_IOC_MIGRATE _IOWR(MORSEL_IOC_MAGIC, 43, struct morsel_range)
#define MORSEL_IOC_HARVEST _IOWR(MORSEL_IOC_MAGIC, 44, struct morsel_harvest)
#define MORSEL_IOC_RANGES _IOWR(MORSEL_IOC_MAGIC, 45, struct morsel_ranges)

#endif /* MORSEL_IOCTL_H */
