// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's educational device as a master of DMA: it copies between a buffer of its own and memory (QEMU,
 * docs/specs/edu.txt). So a word is read from the object into the buffer and from there into a page of the device's
 * own, and written the other way round. Each copy takes it a tenth of a second.
 */
#include <linux/interrupt.h>
#include <linux/io.h>

#include "kmod/iommu.h"

#define INTERRUPT_STATUS 0x24
#define INTERRUPT_ACKNOWLEDGE 0x64
#define DMA_SOURCE 0x80
#define DMA_TARGET 0x88
#define DMA_COUNT 0x90
#define DMA_COMMAND 0x98
#define COMMAND_RUN 1
#define COMMAND_TO_MEMORY 2
#define COMMAND_INTERRUPT 4

#define BUFFER 0x40000ull		/* in its own address space */
#define ANSWER (30 * HZ)		/* a guard against a device that hangs */

static irqreturn_t edu_interrupt(int irq, void *data)
{
	struct morsel_device *device = data;
	const u32 status = readl(device->registers + INTERRUPT_STATUS);

	if (!status)
		return IRQ_NONE;
	writel(status, device->registers + INTERRUPT_ACKNOWLEDGE);
	WRITE_ONCE(device->interrupts, device->interrupts + 1);
	wake_up(&device->interrupted);
	return IRQ_HANDLED;
}

static int edu_start(struct morsel_device *device)
{
	const int error = morsel_device_enable(device, edu_interrupt);

	if (!error)
		pci_set_master(device->pci);
	return error;
}

static int edu_check(const struct morsel_device *device, const struct morsel_dma *dma)
{
	return dma->bytes == sizeof(u64) && IS_ALIGNED(dma->offset, sizeof(u64)) && !dma->block ? 0 : -EINVAL;
}

static int copy(struct morsel_device *device, u64 address, bool to_memory)
{
	const int before = READ_ONCE(device->interrupts);

	writeq(to_memory ? BUFFER : address, device->registers + DMA_SOURCE);
	writeq(to_memory ? address : BUFFER, device->registers + DMA_TARGET);
	writeq(sizeof(u64), device->registers + DMA_COUNT);
	writeq(COMMAND_RUN | COMMAND_INTERRUPT | (to_memory ? COMMAND_TO_MEMORY : 0),
	       device->registers + DMA_COMMAND);
	if (wait_event_timeout(device->interrupted, READ_ONCE(device->interrupts) != before, ANSWER))
		return 0;
	morsel_device_dead(device, "it does not end its DMA");
	return -EIO;
}

static int edu_prepare(struct morsel_device *device, struct morsel_dma *dma)
{
	if (dma->operation != MORSEL_WRITE)
		return 0;
	*(u64 *)morsel_own_page(device, 0) = dma->value;
	return copy(device, morsel_own_address(0), false);
}

static int edu_transfer(struct morsel_device *device, struct morsel_dma *dma)
{
	return copy(device, MORSEL_DEVICE_BASE + dma->offset, dma->operation == MORSEL_WRITE);
}

static int edu_finish(struct morsel_device *device, struct morsel_dma *dma)
{
	int error;

	if (dma->operation != MORSEL_READ)
		return 0;
	error = copy(device, morsel_own_address(0), true);
	dma->value = READ_ONCE(*(u64 *)morsel_own_page(device, 0));
	return error;
}

const struct morsel_device_ops morsel_edu_ops = {
	.kind = MORSEL_DEVICE_EDU,
	.start = edu_start,
	.stop = morsel_device_disable,
	.check = edu_check,
	.prepare = edu_prepare,
	.transfer = edu_transfer,
	.finish = edu_finish,
};
