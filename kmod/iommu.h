/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices behind an IOMMU: what is common (iommu.c: attaching, requests, flushes; iommu_run.c: transfers and faults;
 * iommu_pci.c: the devices that there are), the operations of an IOMMU (iommu_vtd.c, iommu_dmar.c), and those of a kind
 * of device (iommu_edu.c, iommu_nvme.c).
 *
 * Locks, in this order: device->running > morsel_transfers_mutex > morsel_devices_mutex. The second is held while a
 * device does DMA, the third while somebody is attached or the IOMMU is told something. Nobody who holds one of these
 * two begins an operation of the engine or touches user memory: a flush may take both.
 */
#ifndef MORSEL_KMOD_IOMMU_H
#define MORSEL_KMOD_IOMMU_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "engine/abi/morsel_device.h"
#include "kmod/shim.h"

struct morsel_device;

/* A device's own memory: at these addresses it finds pages that are no object's. */
#define MORSEL_OWN_BASE 0x100000ull
#define MORSEL_DEVICE_OWN_PAGES 8
static inline u64 morsel_own_address(unsigned int page)
{
	return MORSEL_OWN_BASE + page * PAGE_SIZE;
}

/* The tables that hardware walks above and beside the view's. */
enum morsel_device_stage { MORSEL_DEVICE_ROOT, MORSEL_DEVICE_LEVEL_2, MORSEL_DEVICE_LEVEL_1, MORSEL_DEVICE_LEVEL_0,
			   MORSEL_DEVICE_STAGE_PAGES };

struct morsel_dma_fault {
	enum morsel_dma_class class;
	u32 reason, source;
	u32 access;			/* MORSEL_READ or MORSEL_WRITE */
	u64 address;			/* of the page, as the device has it */
};

/* The machine's IOMMU. All but caches_non_present are called with morsel_devices_mutex held. */
struct morsel_iommu_ops {
	unsigned int walker;		/* enum morsel_walker */
	unsigned int format;		/* enum morsel_format that it walks */
	u64 table_bits, leaf_bits;	/* of entries for devices' own memory, beside the address */
	bool (*caches_non_present)(void);
	/* Before the first device is attached, after the last. */
	int (*switch_on)(const char **reason);
	void (*switch_off)(void);
	/* A domain for the device, whose tables begin at device->stage; and back to no translation. */
	int (*attach)(struct morsel_device *device, const char **reason);
	void (*detach)(struct morsel_device *device);
	/* Before a transfer: it must not walk older tables than the CPUs see. */
	void (*publish)(void);
	/* Forget what was cached of the range for the domain; DMA that used it is over. It publishes, too. */
	int (*invalidate)(unsigned int domain, u64 start, u64 end);
	/* What was recorded for the device since the last call. */
	struct morsel_dma_fault (*take_fault)(struct morsel_device *device);
};
extern const struct morsel_iommu_ops morsel_vtd_ops;

/* A kind of device. They sleep; an error is an errno. */
struct morsel_device_ops {
	enum morsel_device_kind kind;
	/*
	 * It translates the addresses of a transfer once, when it begins, and uses them to its end: no invalidation
	 * reaches it, so a flush waits for the end.
	 */
	bool keeps_translations;
	int (*start)(struct morsel_device *device);	/* switches bus mastering on */
	void (*stop)(struct morsel_device *device);
	int (*check)(const struct morsel_device *device, const struct morsel_dma *dma);
	/* Only the second concerns the object, and is done again after a fault. */
	int (*prepare)(struct morsel_device *device, struct morsel_dma *dma);
	int (*transfer)(struct morsel_device *device, struct morsel_dma *dma);
	int (*finish)(struct morsel_device *device, struct morsel_dma *dma);
};
extern const struct morsel_device_ops morsel_edu_ops, morsel_nvme_ops;

/* One for each PCI device that is bound to the module's driver. */
struct morsel_device {
	const struct morsel_device_ops *ops;
	struct pci_dev *pci;
	void __iomem *registers;
	struct list_head node;		/* of all; morsel_devices_mutex */
	bool taken;			/* morsel_devices_mutex */
	wait_queue_head_t given_back;
	/* While it is taken: */
	struct file *file;		/* the object's; NULL: a lab */
	struct morsel_tree *tree;	/* pinned; NULL: a lab */
	struct list_head attached;	/* tree->devices; morsel_devices_mutex and tree->lock */
	struct mutex running;		/* by the task that does a transfer */
	const u64 *view_root;		/* its first entry is the object's */
	u64 *stage;			/* MORSEL_DEVICE_STAGE_PAGES: hardware's root is the first */
	void *own;			/* MORSEL_DEVICE_OWN_PAGES */
	struct page *lab;
	unsigned int domain;
	bool dead;			/* it, or the IOMMU, does not answer: off the bus until it is bound anew */
	wait_queue_head_t interrupted;
	void *hardware;			/* of the operations */
	u64 block_bytes, blocks;	/* of a drive */
	int interrupts;			/* so many have come */
};

static inline void *morsel_own_page(const struct morsel_device *device, unsigned int page)
{
	return device->own + page * PAGE_SIZE;
}

extern struct mutex morsel_devices_mutex;
extern struct mutex morsel_transfers_mutex;
extern struct list_head morsel_devices;
extern const struct morsel_iommu_ops *const morsel_iommu;

/* iommu.c */
void morsel_device_dead(struct morsel_device *device, const char *what);
bool morsel_device_refresh(struct morsel_device *device);
int morsel_device_invalidate(struct morsel_device *device, u64 start, u64 end);

/* iommu_run.c */
int morsel_dma_run(struct morsel_device *device, struct morsel_dma *dma);

/* iommu_dmar.c */
int morsel_dmar_find(phys_addr_t *address, const char **reason);
bool morsel_dmar_covers(struct pci_dev *pci);

/* iommu_pci.c */
struct morsel_device *morsel_device_take(unsigned int kind, unsigned int address, const char **reason);
void morsel_device_give_back(struct morsel_device *device);
int morsel_device_enable(struct morsel_device *device, irq_handler_t handler);
void morsel_device_disable(struct morsel_device *device);

#endif /* MORSEL_KMOD_IOMMU_H */
