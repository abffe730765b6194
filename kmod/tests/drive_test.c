// SPDX-License-Identifier: GPL-2.0-or-later
/* An NVMe drive that reads and writes objects directly, by a view that the IOMMU walks. */
#define _GNU_SOURCE
#include "kmod/tests/dma.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"

#define RW (MORSEL_READ | MORSEL_WRITE)

static int drive_on(int fd)
{
	return new_device(fd, add_view(fd, MORSEL_FORMAT_VTD_SECOND_STAGE), MORSEL_DEVICE_NVME);
}

/* The frame of a page that the process maps. */
static uint64_t frame_of(const volatile void *address)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	CHECK(pagemap >= 0);
	CHECK_EQ(pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)address / PAGE * sizeof(entry))),
		 sizeof(entry));
	close(pagemap);
	return entry & ((1ull << 55) - 1);
}

static void fill_words(volatile uint64_t *words, size_t bytes, uint64_t seed)
{
	size_t i;

	for (i = 0; i < bytes / 8; i++)
		words[i] = seed + i;
}

static void check_words(const volatile uint64_t *words, size_t bytes, uint64_t seed)
{
	size_t i;

	for (i = 0; i < bytes / 8; i++)
		CHECK_EQ(words[i], seed + i);
}

/* What a process has written goes to the drive and comes back, from and into the frames that it has. */
static void nothing_is_copied(void)
{
	int fd = open_object("drive-frames", MIB(4)), drive = drive_on(fd);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(4), PROT_READ | PROT_WRITE);
	uint64_t frames[32];
	size_t page;

	fill_words(words, KIB(128), 1000);
	for (page = 0; page < 32; page++)
		frames[page] = frame_of(words + page * PAGE / 8);
	CHECK_EQ(info_of(fd).frames, 32);
	to_drive(drive, 0, KIB(64), 100);
	to_drive(drive, KIB(64), KIB(64), 228);
	memset((void *)words, 0, KIB(128));
	from_drive(drive, KIB(64), KIB(64), 228);
	from_drive(drive, 0, KIB(64), 100);
	check_words(words, KIB(128), 1000);
	for (page = 0; page < 32; page++)
		CHECK_EQ(frame_of(words + page * PAGE / 8), frames[page]);
	CHECK_EQ(info_of(fd).frames, 32);
}

/* Of any length and place that blocks allow: one address, two, or a list of them. */
static void transfers_of_every_shape(void)
{
	static const struct {
		size_t offset, bytes;
	} shapes[] = {
		{ 0, BLOCK }, { PAGE - BLOCK, BLOCK }, { PAGE - BLOCK, 2 * BLOCK }, { 0, PAGE }, { BLOCK, PAGE },
		{ 0, 2 * PAGE }, { 3 * BLOCK, 2 * PAGE }, { PAGE - BLOCK, KIB(16) }, { BLOCK, KIB(64) - BLOCK },
		{ KIB(16), KIB(64) },
	};
	int fd = open_object("drive-shapes", MIB(2)), drive = drive_on(fd);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	size_t i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		volatile uint64_t *from = words + shapes[i].offset / 8, *to = words + (MIB(1) + shapes[i].offset) / 8;

		CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(2), 0, 0, NULL), 0);
		fill_words(from, shapes[i].bytes, i * 100000);
		to[shapes[i].bytes / 8] = 99;
		to_drive(drive, shapes[i].offset, shapes[i].bytes, 7);
		from_drive(drive, MIB(1) + shapes[i].offset, shapes[i].bytes, 7);
		check_words(to, shapes[i].bytes, i * 100000);
		CHECK_EQ(to[shapes[i].bytes / 8], 99);
		if (shapes[i].offset)
			CHECK_EQ(to[-1], 0);
	}
}

/* A page that nobody has is made for the drive, if it may; and what a transfer needs is filled at once. */
static void holes_are_filled_or_refused(void)
{
	int fd = open_object("drive-holes", MIB(2)), drive = drive_on(fd);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct morsel_dma request = transfer(MORSEL_WRITE, 0, KIB(64), 0);

	fill_words(words, KIB(64), 5);
	to_drive(drive, 0, KIB(64), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(2), 0, 0, NULL), 0);
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 0);
	request.flags = 0;
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_HOLE);
	CHECK_EQ(info_of(fd).frames, 0);
	request.flags = MORSEL_DMA_POPULATE;
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
	CHECK_EQ(request.outcome, MORSEL_ACCESS_POPULATED);
	CHECK_EQ(request.faults, 1);
	CHECK_EQ(info_of(fd).frames, 16);
	check_words(words, KIB(64), 5);
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
	CHECK_EQ(request.faults, 0);
	request.offset = MIB(2);
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_OUTSIDE);
}

/* After an unmap no transfer finds the frame that was there, whatever the IOMMU had cached. */
static void an_unmap_between_transfers_is_a_fault(void)
{
	int fd = open_object("drive-unmap", MIB(2)), drive = drive_on(fd);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct morsel_dma request = transfer(MORSEL_WRITE, 0, PAGE, 0);
	int round;

	fill_words(words, PAGE, 7);
	to_drive(drive, 0, PAGE, 0);
	for (round = 0; round < 20; round++) {
		CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
		CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, PAGE, 0, 0, NULL), 0);
		request.flags = round % 2 ? MORSEL_DMA_NO_FILL : 0;
		CHECK_EQ(dma(drive, &request), round % 2 ? MORSEL_DMA_FAULT : MORSEL_DMA_HOLE);
		CHECK_EQ(request.faults, 1);
		settle(fd);
		CHECK_EQ(info_of(fd).frames, 0);
		request.flags = MORSEL_DMA_POPULATE;
		CHECK_EQ(words[0], 0);
	}
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
	check_words(words, PAGE, 7);
}

/* The opposite, to see that the test above can fail: without the flush the old frame is found. */
static void a_flush_that_is_left_out_is_seen(void)
{
	int fd = open_object("drive-stale", MIB(2)), drive = drive_on(fd), device = open_device();
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct morsel_dma request = transfer(MORSEL_READ, 0, BLOCK, 1);
	struct morsel_inject rule = {
		.size = sizeof(rule), .point = MORSEL_POINT_flush, .action = MORSEL_FAULT_DROP, .view = 1, .nth = 1,
		.times = 1, .interval = 1, .probability = 100,
	};

	words[0] = 4711;
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_ADD, &rule), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, PAGE, 0, 0, NULL), 0);
	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_CLEAR, 0), 0);
	request.flags = 0;
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_DONE);
	from_drive(drive, PAGE, BLOCK, 1);
	CHECK_EQ(words[PAGE / 8], 4711);
	request.flags = MORSEL_DMA_FLUSH;
	CHECK_EQ(dma(drive, &request), MORSEL_DMA_HOLE);
}

static void wrong_transfers_are_refused(void)
{
	int fd = open_object("drive-wrong", MIB(2)), drive;
	struct morsel_device_attach attached;
	struct morsel_dma request;

	CHECK_EQ(attach_device(fd, add_view(fd, MORSEL_FORMAT_VTD_SECOND_STAGE), MORSEL_DEVICE_NVME, &attached), 0);
	drive = attached.fd;
	CHECK_EQ(attached.block_bytes, BLOCK);
	CHECK_EQ(attached.blocks, MIB(16) / BLOCK);
	request = transfer(MORSEL_READ, 0, BLOCK, attached.blocks);
	CHECK_ERRNO(ioctl(drive, MORSEL_IOC_DMA, &request), ERANGE);
	request = transfer(MORSEL_READ, 0, 2 * BLOCK, attached.blocks - 1);
	CHECK_ERRNO(ioctl(drive, MORSEL_IOC_DMA, &request), ERANGE);
	request = transfer(MORSEL_READ, 0, 100, 0);
	CHECK_ERRNO(ioctl(drive, MORSEL_IOC_DMA, &request), EINVAL);
	request = transfer(MORSEL_READ, 8, BLOCK, 0);
	CHECK_ERRNO(ioctl(drive, MORSEL_IOC_DMA, &request), EINVAL);
	request = transfer(MORSEL_READ, 0, KIB(64) + BLOCK, 0);
	CHECK_ERRNO(ioctl(drive, MORSEL_IOC_DMA, &request), EINVAL);
	to_drive(drive, 0, BLOCK, attached.blocks - 1);
}

struct mover {
	pthread_t thread;
	int fd;
	int stop;
	uint64_t moved;
};

static void *move_pages(void *data)
{
	struct mover *mover = data;

	while (!__atomic_load_n(&mover->stop, __ATOMIC_SEQ_CST)) {
		uint64_t pages;

		CHECK_EQ(change(mover->fd, MORSEL_IOC_MIGRATE, 0, MIB(1), 0, 0, &pages), 0);
		mover->moved += pages;
	}
	return NULL;
}

/* Pages move to other frames under a drive that reads and writes them: each transfer is whole. */
static void no_transfer_is_torn_while_pages_move(void)
{
	int fd = open_object("drive-moved", MIB(1)), drive = drive_on(fd);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(1), PROT_READ | PROT_WRITE);
	struct mover mover = { .fd = fd };
	uint64_t round;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(1), RW, 0, NULL), 0);
	CHECK_EQ(pthread_create(&mover.thread, NULL, move_pages, &mover), 0);
	for (round = 0; round < 5; round++) {
		fill_words(words, KIB(16), round * 1000000);
		to_drive(drive, 0, KIB(16), 0);
		from_drive(drive, KIB(256), KIB(16), 0);
		check_words(words + KIB(256) / 8, KIB(16), round * 1000000);
	}
	__atomic_store_n(&mover.stop, 1, __ATOMIC_SEQ_CST);
	CHECK_EQ(pthread_join(mover.thread, NULL), 0);
	CHECK(mover.moved > 0);
}

/* A drive and the edu device on views of one object at once: each has a domain of its own. */
static void two_devices_share_an_object(void)
{
	int fd = open_object("drive-two", MIB(2)), drive = drive_on(fd);
	int edu = new_device(fd, add_view(fd, MORSEL_FORMAT_VTD_SECOND_STAGE), MORSEL_DEVICE_EDU);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct morsel_dma request = transfer(MORSEL_READ, PAGE, 8, 0);

	CHECK_EQ(attached_devices(), 2);
	words[0] = 31;
	to_drive(drive, 0, BLOCK, 3);
	from_drive(drive, PAGE, BLOCK, 3);
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_DONE);
	CHECK_EQ(request.value, 31);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, PAGE, 2 * PAGE, 0, 0, NULL), 0);
	request.flags = 0;
	CHECK_EQ(dma(edu, &request), MORSEL_DMA_HOLE);
	close(edu);
	CHECK_EQ(attached_devices(), 1);
	from_drive(drive, PAGE, BLOCK, 3);
	CHECK_EQ(words[PAGE / 8], 31);
}

const struct test drive_tests[] = {
	{ "nothing_is_copied", nothing_is_copied },
	{ "transfers_of_every_shape", transfers_of_every_shape },
	{ "holes_are_filled_or_refused", holes_are_filled_or_refused },
	{ "an_unmap_between_transfers_is_a_fault", an_unmap_between_transfers_is_a_fault },
	{ "a_flush_that_is_left_out_is_seen", a_flush_that_is_left_out_is_seen },
	{ "wrong_transfers_are_refused", wrong_transfers_are_refused },
	{ "no_transfer_is_torn_while_pages_move", no_transfer_is_torn_while_pages_move },
	{ "two_devices_share_an_object", two_devices_share_an_object },
	{ NULL, NULL },
};
