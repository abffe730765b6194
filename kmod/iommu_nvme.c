// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An NVMe drive that reads and writes an object: one queue for commands to the controller, one for those to the drive,
 * one command at a time. Queues and lists lie in the device's own pages; the addresses of a transfer are the object's,
 * so that nothing is copied. Sections are those of the NVM Express Base Specification 1.4.
 *
 * A transfer that faulted may end without an error, and with wrong data on the drive: QEMU's reads zeroes where the
 * IOMMU refuses. The fault's record says so, and the whole command is done again.
 */
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/nvme.h>
#include <linux/slab.h>

#include "kmod/iommu.h"

enum { PAGE_ADMIN_COMMANDS, PAGE_ADMIN_ANSWERS, PAGE_COMMANDS, PAGE_ANSWERS, PAGE_ADDRESSES, PAGE_DATA };

#define QUEUE_ENTRIES 8
#define NAMESPACE 1
#define ANSWER (30 * HZ)		/* a guard against a drive that hangs */

struct queue {
	struct nvme_command *commands;
	struct nvme_completion *answers;
	u16 id, tail, head;
	u16 phase;			/* of a new answer: 4.6 */
};
struct drive {
	struct queue admin, io;
	u32 doorbell_bytes;
	u32 max_bytes;			/* of one transfer */
};

static irqreturn_t nvme_interrupt(int irq, void *data)
{
	struct morsel_device *device = data;

	WRITE_ONCE(device->interrupts, device->interrupts + 1);
	wake_up(&device->interrupted);
	return IRQ_HANDLED;
}

/* ---- commands ---- */

static void init_queue(struct morsel_device *device, struct queue *queue, u16 id)
{
	const unsigned int first = id ? PAGE_COMMANDS : PAGE_ADMIN_COMMANDS;

	*queue = (struct queue){
		.commands = morsel_own_page(device, first), .answers = morsel_own_page(device, first + 1),
		.id = id, .phase = 1,
	};
	memset(queue->answers, 0, PAGE_SIZE);
}

static void __iomem *doorbell(const struct morsel_device *device, const struct queue *queue, bool of_answers)
{
	const struct drive *drive = device->hardware;

	return device->registers + NVME_REG_DBS + (2 * queue->id + of_answers) * drive->doorbell_bytes;
}

static bool is_answered(const struct queue *queue)
{
	return (le16_to_cpu(READ_ONCE(queue->answers[queue->head].status)) & 1) == queue->phase;
}

/* Returns the command's status (0: success), or an errno. */
static int submit(struct morsel_device *device, struct queue *queue, struct nvme_command *command)
{
	int status;

	command->common.command_id = cpu_to_le16(queue->tail);
	queue->commands[queue->tail] = *command;
	queue->tail = (queue->tail + 1) % QUEUE_ENTRIES;
	writel(queue->tail, doorbell(device, queue, false));
	if (!wait_event_timeout(device->interrupted, is_answered(queue), ANSWER)) {
		morsel_device_dead(device, "it does not answer");
		return -EIO;
	}
	dma_rmb();	/* the answer is there, then what it says */
	status = le16_to_cpu(queue->answers[queue->head].status) >> 1;
	queue->head = (queue->head + 1) % QUEUE_ENTRIES;
	if (!queue->head)
		queue->phase ^= 1;
	writel(queue->head, doorbell(device, queue, true));
	return status;
}

static int identify(struct morsel_device *device, u8 what, u32 namespace)
{
	struct drive *drive = device->hardware;
	struct nvme_command command = {};

	command.identify.opcode = nvme_admin_identify;
	command.identify.nsid = cpu_to_le32(namespace);
	command.identify.dptr.prp1 = cpu_to_le64(morsel_own_address(PAGE_DATA));
	command.identify.cns = what;
	return submit(device, &drive->admin, &command);
}

/* The largest transfer, in smallest pages of the controller's: 5.15.2.2. */
static int ask_controller(struct morsel_device *device)
{
	const struct nvme_id_ctrl *answer = morsel_own_page(device, PAGE_DATA);
	struct drive *drive = device->hardware;
	const unsigned int smallest = NVME_CAP_MPSMIN(readq(device->registers + NVME_REG_CAP)) + 12;
	const int status = identify(device, NVME_ID_CNS_CTRL, 0);

	if (status)
		return status;
	drive->max_bytes = MORSEL_DMA_BYTES;
	if (answer->mdts && answer->mdts + smallest < 31)
		drive->max_bytes = min(drive->max_bytes, 1u << (answer->mdts + smallest));
	return 0;
}

/* Blocks without metadata: 5.15.2.1. */
static int ask_namespace(struct morsel_device *device)
{
	const struct nvme_id_ns *answer = morsel_own_page(device, PAGE_DATA);
	const struct nvme_lbaf *format;
	const int status = identify(device, NVME_ID_CNS_NS, NAMESPACE);

	if (status)
		return status;
	format = &answer->lbaf[answer->flbas & NVME_NS_FLBAS_LBA_MASK];
	if (format->ms || format->ds < 9 || format->ds > 12)
		return -EOPNOTSUPP;
	device->block_bytes = 1u << format->ds;
	device->blocks = le64_to_cpu(answer->nsze);
	return 0;
}

static int make_queue(struct morsel_device *device)
{
	struct drive *drive = device->hardware;
	struct nvme_command answers = {}, commands = {};
	int status;

	answers.create_cq.opcode = nvme_admin_create_cq;
	answers.create_cq.prp1 = cpu_to_le64(morsel_own_address(PAGE_ANSWERS));
	answers.create_cq.cqid = cpu_to_le16(drive->io.id);
	answers.create_cq.qsize = cpu_to_le16(QUEUE_ENTRIES - 1);
	answers.create_cq.cq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG | NVME_CQ_IRQ_ENABLED);
	status = submit(device, &drive->admin, &answers);
	if (status)
		return status;
	commands.create_sq.opcode = nvme_admin_create_sq;
	commands.create_sq.prp1 = cpu_to_le64(morsel_own_address(PAGE_COMMANDS));
	commands.create_sq.sqid = cpu_to_le16(drive->io.id);
	commands.create_sq.qsize = cpu_to_le16(QUEUE_ENTRIES - 1);
	commands.create_sq.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG);
	commands.create_sq.cqid = cpu_to_le16(drive->io.id);
	return submit(device, &drive->admin, &commands);
}

/* ---- on and off ---- */

/* 7.6.1, 7.6.2. */
static int set_ready(struct morsel_device *device, u32 configuration)
{
	const u32 wanted = configuration & NVME_CC_ENABLE ? NVME_CSTS_RDY : 0;
	const u64 limit_us = (NVME_CAP_TIMEOUT(readq(device->registers + NVME_REG_CAP)) + 1) * 500000ull;
	u32 status;

	writel(configuration, device->registers + NVME_REG_CC);
	return readl_poll_timeout(device->registers + NVME_REG_CSTS, status, (status & NVME_CSTS_RDY) == wanted, 100,
				  limit_us);
}

static int start_controller(struct morsel_device *device)
{
	struct drive *drive = device->hardware;
	const u64 capabilities = readq(device->registers + NVME_REG_CAP);
	int error;

	if (NVME_CAP_MPSMIN(capabilities) + 12 > PAGE_SHIFT)
		return -EOPNOTSUPP;
	drive->doorbell_bytes = 4u << NVME_CAP_STRIDE(capabilities);
	if (NVME_REG_DBS + 4ull * drive->doorbell_bytes > pci_resource_len(device->pci, 0))
		return -EOPNOTSUPP;	/* of two queues: behind what is mapped */
	init_queue(device, &drive->admin, 0);
	init_queue(device, &drive->io, 1);
	error = set_ready(device, 0);
	if (error)
		return error;
	pci_set_master(device->pci);	/* now that it has no queues of somebody else's, firmware's perhaps */
	writel((QUEUE_ENTRIES - 1) << 16 | (QUEUE_ENTRIES - 1), device->registers + NVME_REG_AQA);
	writeq(morsel_own_address(PAGE_ADMIN_COMMANDS), device->registers + NVME_REG_ASQ);
	writeq(morsel_own_address(PAGE_ADMIN_ANSWERS), device->registers + NVME_REG_ACQ);
	return set_ready(device, NVME_CC_ENABLE | NVME_CC_CSS_NVM | NVME_CC_IOSQES | NVME_CC_IOCQES);
}

static int nvme_start(struct morsel_device *device)
{
	int status;

	device->hardware = kzalloc(sizeof(struct drive), GFP_KERNEL_ACCOUNT);
	if (!device->hardware)
		return -ENOMEM;
	status = morsel_device_enable(device, nvme_interrupt);
	if (!status)
		status = start_controller(device);
	if (!status)
		status = ask_controller(device);
	if (!status)
		status = ask_namespace(device);
	if (!status)
		status = make_queue(device);
	return status > 0 ? -EIO : status;
}

static void nvme_stop(struct morsel_device *device)
{
	if (device->registers && set_ready(device, 0))
		morsel_device_dead(device, "it does not stop");
	morsel_device_disable(device);
	kfree(device->hardware);
	device->hardware = NULL;
	device->block_bytes = device->blocks = 0;
}

/* ---- transfers ---- */

/* No more than the drive takes at once, and than one page of addresses holds. */
static int nvme_check(const struct morsel_device *device, const struct morsel_dma *dma)
{
	const struct drive *drive = device->hardware;

	BUILD_BUG_ON(MORSEL_DMA_BYTES / PAGE_SIZE > PAGE_SIZE / sizeof(__le64));
	if (!IS_ALIGNED(dma->offset, 512) || !IS_ALIGNED(dma->bytes, device->block_bytes) ||
	    dma->bytes > drive->max_bytes)
		return -EINVAL;
	if (dma->value)
		return -EINVAL;
	return dma->block < device->blocks &&
	       dma->bytes / device->block_bytes <= device->blocks - dma->block ? 0 : -ERANGE;
}

/* One address, two, or one and a list of the others: 4.3. */
static void set_addresses(struct morsel_device *device, struct nvme_command *command, u64 start, u64 end)
{
	__le64 *list = morsel_own_page(device, PAGE_ADDRESSES);
	const u64 second = (start & PAGE_MASK) + PAGE_SIZE;
	u64 at;

	command->rw.dptr.prp1 = cpu_to_le64(start);
	if (end <= second)
		return;
	if (end <= second + PAGE_SIZE) {
		command->rw.dptr.prp2 = cpu_to_le64(second);
		return;
	}
	for (at = second; at < end; at += PAGE_SIZE)
		*list++ = cpu_to_le64(at);
	command->rw.dptr.prp2 = cpu_to_le64(morsel_own_address(PAGE_ADDRESSES));
}

static int nvme_transfer(struct morsel_device *device, struct morsel_dma *dma)
{
	struct drive *drive = device->hardware;
	const u64 start = MORSEL_DEVICE_BASE + dma->offset;
	struct nvme_command command = {};
	int status;

	command.rw.opcode = dma->operation == MORSEL_READ ? nvme_cmd_write : nvme_cmd_read;
	command.rw.nsid = cpu_to_le32(NAMESPACE);
	command.rw.slba = cpu_to_le64(dma->block);
	command.rw.length = cpu_to_le16(dma->bytes / device->block_bytes - 1);
	set_addresses(device, &command, start, start + dma->bytes);
	status = submit(device, &drive->io, &command);
	return status > 0 ? -EIO : status;
}

const struct morsel_device_ops morsel_nvme_ops = {
	.kind = MORSEL_DEVICE_NVME,
	.keeps_translations = true,
	.start = nvme_start,
	.stop = nvme_stop,
	.check = nvme_check,
	.transfer = nvme_transfer,
};
