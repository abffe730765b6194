/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Virtual CPUs of morsel.ko: a guest without an operating system, one page of code, whose physical memory is an object
 * as a view maps it, or the primary. The machine's own second stage of translation walks those tables. Plain C; the
 * rules of morsel_ioctl.h hold here, too. Decision 0014.
 *
 * The guest's physical memory, which its own tables map one to one, and nothing else is there:
 *
 *   [0, 512 GiB)              the object: the view's tables (of a lab: those that the caller has made)
 *   MORSEL_VCPU_CODE          the program, at most one page
 *   MORSEL_VCPU_SCRATCH       one page of zeroes at each start; rdx points to it. Word 0: rounds of MORSEL_VCPU_SPIN
 *   MORSEL_VCPU_TABLES        the guest's own PML4 table, made anew at each start. It may destroy it
 *
 * At MORSEL_VCPU_READ_ONLY the guest sees the object once more, by virtual addresses that its own tables do not allow
 * to write.
 */
#ifndef MORSEL_VCPU_H
#define MORSEL_VCPU_H

#include "engine/abi/morsel_ioctl.h"

#define MORSEL_VCPU_CODE 0x8000000000ull
#define MORSEL_VCPU_SCRATCH 0x8000001000ull
#define MORSEL_VCPU_TABLES 0x8000002000ull
#define MORSEL_VCPU_READ_ONLY 0x10000000000ull
#define MORSEL_VCPU_CODE_BYTES 4096
#define MORSEL_VCPU_ENDING_BYTES 3	/* of the instruction that ends a program: the CPU's call of its hypervisor */

/*
 * MORSEL_IOC_VCPU, on an object's file opened for writing: a virtual CPU on a view, or on the primary (view 0), where a
 * violation populates. The primary can be walked where the hardware's own format has the same entries (AMD's nested
 * paging); all of it is there at once, whatever its size. The descriptor holds object and view; closed, the vCPU is
 * gone. The first one switches the CPUs' virtualisation on, the last one off: meanwhile
 * kvm cannot use it, and while kvm does, there is none.
 *
 * MORSEL_IOC_VCPU_LAB, on /dev/morsel (CAP_SYS_ADMIN): a virtual CPU on 2 MiB of memory that the caller maps by mmap()
 * and fills with tables of its own; the root is the lab's first page. Only that root's first entry is used. What those
 * tables point to is the caller's affair: they may show the guest any memory.
 *
 * ENODEV: this machine cannot; EOPNOTSUPP: nothing here walks that format; EBUSY: another hypervisor is active.
 * `reason` then says so in words.
 */
#define MORSEL_LAB_BYTES (2ull << 20)
struct morsel_vcpu_create {
	__u32 size;
	__u32 view;			/* VCPU: the view's number, 0: the primary; LAB: 0 */
	__u32 format;			/* LAB: enum morsel_format; VCPU: 0 */
	__s32 fd;			/* out */
	__u32 walker;			/* out: enum morsel_walker */
	__u32 ending;			/* out: MORSEL_VCPU_ENDING_BYTES, the first one lowest */
	__u64 lab_pa;			/* out, LAB: physical address of its memory, a multiple of 2 MiB */
	char reason[128];		/* out, on failure */
};

/* What the guest does. `offset` is in the object, rbx in the guest. */
enum morsel_vcpu_program {
	MORSEL_VCPU_READ = 1,		/* value: what was read */
	MORSEL_VCPU_WRITE = 2,		/* value is written */
	MORSEL_VCPU_EXEC = 3,		/* one instruction is fetched and done; it cannot write the object */
	MORSEL_VCPU_COMPARE_EXCHANGE = 4, /* if `expected` stands there, value is put there; value: what stood there */
	MORSEL_VCPU_SPIN = 5,		/* reads until `expected` stands there; value: rounds */
	MORSEL_VCPU_RUN_CODE = 6,	/* a program of the caller's, CAP_SYS_ADMIN; value: rax at its end (`ending`) */
};
enum morsel_vcpu_result {
	MORSEL_VCPU_DONE = 0,
	MORSEL_VCPU_DENIED = 1,		/* the primary forbids it */
	MORSEL_VCPU_HOLE = 2,		/* the primary has no page there, and none was to be populated */
	MORSEL_VCPU_VIOLATION = 3,	/* the tables do not allow it, and were not to be filled (always in a lab) */
	MORSEL_VCPU_OUTSIDE = 4,	/* behind the object's end, or nothing is ever there */
	MORSEL_VCPU_REFUSED = 5,	/* the engine finds it allowed by the view, hardware goes on refusing: it is
					 * broken, no entry is known that they read so differently */
	MORSEL_VCPU_EXCEPTION = 6,	/* of the guest itself: `exit_code` is its vector */
	MORSEL_VCPU_SHUTDOWN = 7,	/* triple fault: each exception ends the run before, if hardware is sound */
	MORSEL_VCPU_FORBIDDEN = 8,	/* an instruction that is kept from the guest */
	MORSEL_VCPU_TIMEOUT = 9,
};
#define MORSEL_VCPU_POPULATE 1u		/* a hole in the primary is populated */
#define MORSEL_VCPU_NO_FILL 2u		/* the first violation ends the run */
#define MORSEL_VCPU_FLUSH 4u		/* what the vCPU caches is thrown away before it starts */
#define MORSEL_VCPU_USER 8u		/* the guest runs at CPL 3: its own tables are walked as a process's are */

/* A violation, as the engine's rights see it, in `access` of the reply; or the guest's page fault (EXCEPTION, 14). */
#define MORSEL_VCPU_PRESENT 0x100u	/* there was a translation, but not with this right */
#define MORSEL_VCPU_RESERVED 0x200u	/* an entry has a bit set that must be zero, or (EPT) is misconfigured: then
					 * hardware tells no right */
#define MORSEL_VCPU_TABLE_WALK 0x400u	/* met by the walk of the guest's own tables */

/* MORSEL_IOC_VCPU_RUN, on a vCPU's descriptor. A signal ends it with EINTR; EBUSY: it runs already. */
struct morsel_vcpu_run {
	__u32 size;
	__u32 program;			/* enum morsel_vcpu_program */
	__u64 offset;			/* READ to SPIN: bytes, a multiple of 8 (EXEC: any); RUN_CODE: rbx */
	__u64 value;			/* in and out; RUN_CODE: rax */
	__u64 expected;			/* RUN_CODE: rcx */
	__u64 code;			/* RUN_CODE: user pointer */
	__u32 code_bytes;
	__u32 flags;			/* MORSEL_VCPU_POPULATE, ... */
	__u32 timeout_ms;		/* 0: none */
	__u32 result;			/* out: enum morsel_vcpu_result; all that follows is out, too */
	__u32 access;			/* of the last violation: MORSEL_READ, ... and MORSEL_VCPU_PRESENT, ... */
	__u32 outcome;			/* enum morsel_access_result: the most that a violation took */
	__u64 violation;		/* guest-physical address of the last one; of a page fault: guest-virtual */
	__u64 exit_code;		/* as hardware told the end; EXCEPTION: the vector */
	__u64 instruction_pointer;	/* where the guest stopped */
	__u64 entries;			/* into guest mode */
	__u64 interrupts;		/* entries that the host's interrupts ended */
	__u64 violations;
	__u64 scratch;			/* word 0 of the scratch page */
};

/* MORSEL_IOC_VCPU_STATE, on /dev/morsel. */
struct morsel_vcpu_state {
	__u32 size;
	__u32 vcpus;			/* out: there are; virtualisation is on while this is not zero */
};

#define MORSEL_IOC_VCPU_STATE _IOWR(MORSEL_IOC_MAGIC, 25, struct morsel_vcpu_state)
#define MORSEL_IOC_VCPU_LAB _IOWR(MORSEL_IOC_MAGIC, 24, struct morsel_vcpu_create)
#define MORSEL_IOC_VCPU _IOWR(MORSEL_IOC_MAGIC, 56, struct morsel_vcpu_create)
#define MORSEL_IOC_VCPU_RUN _IOWR(MORSEL_IOC_MAGIC, 72, struct morsel_vcpu_run)

#endif /* MORSEL_VCPU_H */
