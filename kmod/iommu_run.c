// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One transfer of a device: tried, and after a fault filled and tried again, because these devices cannot wait for a
 * page. A fault is a fill by the protocol, by an actor of the kind IOMMU, in the task that asked for the transfer.
 *
 * One device at a time does DMA: an IOMMU may have room for a single fault, and drops the others.
 */
#include <linux/sched/signal.h>

#include "kmod/iommu.h"

static void forget(struct morsel_device *device, u64 start, u64 end)
{
	mutex_lock(&morsel_devices_mutex);
	morsel_device_invalidate(device, start, end);
	mutex_unlock(&morsel_devices_mutex);
}

/*
 * An IOMMU may refuse a write by a translation that it has cached, and record nothing (QEMU's does). So none is left of
 * the pages to be written, whatever the view lets the device do by now: a fill that gives a right flushes afterwards.
 */
static void forget_before_write(struct morsel_device *device, const struct morsel_dma *dma)
{
	forget(device, dma->offset & PAGE_MASK, PAGE_ALIGN(dma->offset + dma->bytes));
}

/* Done, or what was recorded. */
static int try_once(struct morsel_device *device, struct morsel_dma *dma, struct morsel_dma_fault *fault)
{
	int error;

	mutex_lock(&morsel_transfers_mutex);
	mutex_lock(&morsel_devices_mutex);
	if (!morsel_device_refresh(device))
		morsel_iommu->publish();
	morsel_iommu->take_fault(device);	/* of before: nobody's */
	mutex_unlock(&morsel_devices_mutex);
	error = device->dead ? -EIO : device->ops->transfer(device, dma);
	mutex_lock(&morsel_devices_mutex);
	*fault = morsel_iommu->take_fault(device);
	mutex_unlock(&morsel_devices_mutex);
	mutex_unlock(&morsel_transfers_mutex);
	dma->transfers++;
	return fault->class && !device->dead ? 0 : error;
}

/* One page; 0, or an errno. */
static int fill_page(struct morsel_device *device, struct morsel_dma *dma, u64 offset, unsigned int *outcome)
{
	struct morsel_object *object = device->tree->object;
	struct engine_actor actor = morsel_actor(object, MORSEL_ACTOR_IOMMU);
	int error;

	*outcome = MORSEL_ACCESS_HIT;
	error = morsel_errno(engine_access(&actor, &object->engine, &device->tree->view, offset, dma->access,
					   dma->flags & MORSEL_DMA_POPULATE, outcome));
	dma->outcome = max(dma->outcome, *outcome);
	if (!error && *outcome != MORSEL_ACCESS_HIT)
		morsel_count(MORSEL_FILLS, 1);
	return error;
}

/*
 * All pages of the transfer, because it needs them at once: one by one, somebody who keeps taking them away would keep
 * it from ending. Returns whether the transfer is over, with its result.
 */
static bool fill(struct morsel_device *device, struct morsel_dma *dma, unsigned int *refusals, int *error)
{
	const u64 start = dma->offset & PAGE_MASK, end = dma->offset + dma->bytes;
	unsigned int outcome, most = MORSEL_ACCESS_HIT;
	u64 at;

	*error = 0;
	for (at = start; at < end && !*error; at += PAGE_SIZE) {
		*error = fill_page(device, dma, at, &outcome);
		most = max(most, outcome);
	}
	if (*error == -EACCES || *error == -ENXIO || *error == -ERANGE) {
		dma->result = *error == -EACCES ? MORSEL_DMA_DENIED :
			      *error == -ENXIO	? MORSEL_DMA_HOLE :
						  MORSEL_DMA_OUTSIDE;
		*error = 0;
		return true;
	}
	if (*error)
		return true;
	if (most != MORSEL_ACCESS_HIT) {
		*refusals = 0;
		return false;
	}
	forget(device, start, end);	/* it may go on refusing by what it has cached */
	dma->result = MORSEL_DMA_STUCK;
	return ++*refusals == MORSEL_MAX_REFUSALS;
}

static bool faulted(struct morsel_device *device, struct morsel_dma *dma, const struct morsel_dma_fault *fault,
		    unsigned int *refusals, int *error)
{
	dma->faults++;
	dma->fault_class = fault->class;
	dma->reason = fault->reason;
	dma->source = fault->source;
	dma->access = fault->access;
	dma->fault = fault->address - MORSEL_DEVICE_BASE;
	if (fault->address < MORSEL_DEVICE_BASE || dma->fault + PAGE_SIZE <= dma->offset ||
	    dma->fault >= dma->offset + dma->bytes) {
		*error = -EIO;		/* not at what was to be transferred: the rest is always there */
		return true;
	}
	dma->result = MORSEL_DMA_FAULT;
	if (!device->tree || dma->flags & MORSEL_DMA_NO_FILL)
		return true;
	if (fault->class != MORSEL_DMA_REFUSED) {
		*error = -EIO;		/* the tables are broken */
		return true;
	}
	return fill(device, dma, refusals, error);
}

static int run_until_over(struct morsel_device *device, struct morsel_dma *dma)
{
	const bool fills = device->tree && !(dma->flags & MORSEL_DMA_NO_FILL);
	struct morsel_dma_fault fault;
	unsigned int refusals = 0;
	int error;

	for (;;) {
		if (signal_pending(current))
			return -EINTR;
		if (fills && dma->operation == MORSEL_WRITE)
			forget_before_write(device, dma);
		error = try_once(device, dma, &fault);
		if (error)
			return error;
		if (!fault.class) {
			dma->result = MORSEL_DMA_DONE;
			return 0;
		}
		if (faulted(device, dma, &fault, &refusals, &error))
			return error;
	}
}

static int own_pages(struct morsel_device *device, struct morsel_dma *dma,
		     int (*work)(struct morsel_device *device, struct morsel_dma *dma))
{
	int error;

	if (!work)
		return 0;
	mutex_lock(&morsel_transfers_mutex);
	error = device->dead ? -EIO : work(device, dma);
	mutex_unlock(&morsel_transfers_mutex);
	return error;
}

int morsel_dma_run(struct morsel_device *device, struct morsel_dma *dma)
{
	int error;

	if (!mutex_trylock(&device->running))
		return -EBUSY;
	dma->outcome = dma->fault_class = dma->reason = dma->source = dma->access = 0;
	dma->fault = dma->faults = dma->transfers = 0;
	if (dma->flags & MORSEL_DMA_FLUSH)
		forget(device, 0, MORSEL_DEVICE_SPAN);
	error = own_pages(device, dma, device->ops->prepare);
	if (!error)
		error = run_until_over(device, dma);
	if (!error && dma->result == MORSEL_DMA_DONE)
		error = own_pages(device, dma, device->ops->finish);
	mutex_unlock(&device->running);
	return error;
}
