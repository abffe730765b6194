/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Devices behind an IOMMU that morsel.ko drives: what a device reads and writes is an object, as a view maps it. The
 * IOMMU walks the view's tables. Plain C; the rules of morsel_ioctl.h hold here, too. Decision 0017.
 *
 * The object has the device's addresses from MORSEL_DEVICE_BASE on (in those below 4 GiB x86 has a place for
 * interrupts, where nothing is translated). A lab's tables translate the same place.
 */
#ifndef MORSEL_DEVICE_H
#define MORSEL_DEVICE_H

#include "engine/abi/morsel_vcpu.h"	/* the size of a lab */

#define MORSEL_DEVICE_BASE 0x8000000000ull
#define MORSEL_DEVICE_SPAN 0x8000000000ull

/* PCI devices that the module has a driver for. It takes an NVMe drive only if the drive's driver_override says so. */
enum morsel_device_kind {
	MORSEL_DEVICE_EDU = 1,		/* QEMU's educational device: one word at a time */
	MORSEL_DEVICE_NVME = 2,		/* blocks of a drive */
};

/*
 * MORSEL_IOC_DEVICE, on an object's file opened for writing (CAP_SYS_ADMIN besides): attaches a device to a view. The
 * descriptor holds the device, the object and the view; closed, the device is given back with bus mastering off. The
 * first one turns the IOMMU's translation on, the last one off: what else does DMA meanwhile passes through it
 * untranslated.
 *
 * MORSEL_IOC_DEVICE_LAB, on /dev/morsel: the same on 2 MiB of memory that the caller maps by mmap() and fills with
 * tables of its own (see MORSEL_IOC_VCPU_LAB).
 *
 * ENODEV: there is no such IOMMU, or it lacks something; ENOENT: no device of that kind; EBUSY: somebody else drives
 * the IOMMU, or has the device; EOPNOTSUPP: nothing here walks that format. `reason` then says so in words.
 */
#define MORSEL_DEVICE_ANY 0xffffffffu
struct morsel_device_attach {
	__u32 size;
	__u32 view;			/* DEVICE: the view's number; LAB: 0 */
	__u32 format;			/* LAB: enum morsel_format; DEVICE: 0 */
	__u32 kind;			/* enum morsel_device_kind */
	__u32 device;			/* in: bus << 8 | slot << 3 | function, or MORSEL_DEVICE_ANY; out: which */
	__s32 fd;			/* out */
	__u32 walker;			/* out: enum morsel_walker */
	__u32 caching_mode;		/* out: the IOMMU may cache that nothing is mapped */
	__u64 lab_pa;			/* out, LAB: physical address of its memory, a multiple of 2 MiB */
	__u64 block_bytes;		/* out, NVME: of a block of the drive */
	__u64 blocks;			/* out, NVME: of the drive */
	char reason[128];		/* out, on failure */
};

/* How the IOMMU explains that it has refused, whatever numbers it has for that. */
enum morsel_dma_class {
	MORSEL_DMA_NO_FAULT = 0,
	MORSEL_DMA_REFUSED = 1,		/* nothing is mapped there, or not with this right: it does not say which */
	MORSEL_DMA_RESERVED = 2,	/* an entry has a bit set that must be zero */
	MORSEL_DMA_BROKEN = 3,		/* it was not the tables' fault */
};
enum morsel_dma_result {
	MORSEL_DMA_DONE = 0,
	MORSEL_DMA_DENIED = 1,		/* the primary forbids it */
	MORSEL_DMA_HOLE = 2,		/* the primary has no page there, and none was to be populated */
	MORSEL_DMA_FAULT = 3,		/* the tables do not allow it, and were not to be filled (always in a lab) */
	MORSEL_DMA_OUTSIDE = 4,		/* behind the object's end */
	MORSEL_DMA_STUCK = 5,		/* the engine finds it allowed by the view, the IOMMU goes on refusing: it is
					 * broken, no entry is known that they read so differently */
};
#define MORSEL_DMA_POPULATE 1u		/* a hole in the primary is populated */
#define MORSEL_DMA_NO_FILL 2u		/* the first fault ends it */
#define MORSEL_DMA_FLUSH 4u		/* what the IOMMU caches for the device is thrown away before */

/*
 * MORSEL_IOC_DMA, on an attached device's descriptor: one transfer. These devices cannot wait for a page: a transfer
 * is tried, a fault that the IOMMU has recorded is a fill by the protocol, and then the whole transfer is tried again.
 * A signal ends it between tries with EINTR; EBUSY: one is under way.
 */
#define MORSEL_DMA_BYTES (64u << 10)	/* at most */
struct morsel_dma {
	__u32 size;
	__u32 operation;		/* MORSEL_READ: the device reads the object; MORSEL_WRITE: it writes it */
	__u64 offset;			/* in the object: a multiple of 8 (EDU), of 512 (NVME) */
	__u64 bytes;			/* EDU: 8; NVME: a multiple of the drive's blocks */
	__u64 value;			/* EDU: written, or out: read */
	__u64 block;			/* NVME: where on the drive */
	__u32 flags;			/* MORSEL_DMA_POPULATE, ... */
	__u32 result;			/* out: enum morsel_dma_result; all that follows is out, too */
	__u32 outcome;			/* enum morsel_access_result: the most that a fault took */
	__u32 fault_class;		/* of the last fault: enum morsel_dma_class */
	__u32 reason;			/* ... as the IOMMU has recorded it: its number of the reason */
	__u32 source;			/* ... and the device that it names */
	__u32 access;			/* ... MORSEL_READ or MORSEL_WRITE */
	__u32 reserved;
	__u64 fault;			/* ... the page's offset in the object */
	__u64 faults;
	__u64 transfers;		/* begun */
};

/* MORSEL_IOC_DEVICE_INVALIDATE, on a lab's descriptor: makes the IOMMU forget one page of a domain. */
struct morsel_device_invalidate {
	__u32 size;
	__u32 other_domain;		/* 0: of the lab's own domain; 1: of one that nobody has */
	__u64 offset;			/* in the object: a multiple of 4096 */
};

/* MORSEL_IOC_DEVICE_STATE, on /dev/morsel. */
struct morsel_device_state {
	__u32 size;
	__u32 attached;			/* out: devices; translation is on while this is not zero */
};

#define MORSEL_IOC_DEVICE_STATE _IOWR(MORSEL_IOC_MAGIC, 28, struct morsel_device_state)
#define MORSEL_IOC_DEVICE_LAB _IOWR(MORSEL_IOC_MAGIC, 29, struct morsel_device_attach)
#define MORSEL_IOC_DEVICE _IOWR(MORSEL_IOC_MAGIC, 60, struct morsel_device_attach)
#define MORSEL_IOC_DMA _IOWR(MORSEL_IOC_MAGIC, 76, struct morsel_dma)
#define MORSEL_IOC_DEVICE_INVALIDATE _IOWR(MORSEL_IOC_MAGIC, 77, struct morsel_device_invalidate)

#endif /* MORSEL_DEVICE_H */
