// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What attaching buys: mapping a populated 1-GiB object and touching it once, and unmapping it, against an equally
 * populated memfd mapped with MAP_POPULATE (without it, the memfd would fault once a page later); and what unmapping
 * all of its dirty pages costs while it is mapped, against cutting such a memfd off. Medians.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_ioctl.h"
#include "kmod/tests/measure.h"

#define ROUNDS 15
#define RW (PROT_READ | PROT_WRITE)

struct times {
	double attach[ROUNDS], detach[ROUNDS];
};

static char *map(int fd, int flags)
{
	char *memory = mmap(NULL, GIB, RW, MAP_SHARED | flags, fd, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static void measure(int fd, int flags, struct times *times)
{
	for (int i = 0; i < ROUNDS; i++) {
		const double start = now_ms();
		volatile char *memory = map(fd, flags);
		char first = memory[0];
		const double mapped = now_ms();

		if (first != 1)
			die("wrong contents");
		munmap((void *)memory, GIB);
		times->detach[i] = now_ms() - mapped;
		times->attach[i] = mapped - start;
	}
}

static void set_granularity(const char *value)
{
	int fd = open("/sys/module/morsel/parameters/granularity", O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("granularity");
	close(fd);
}

static int new_memfd(void)
{
	int fd = memfd_create("baseline", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, GIB))
		die("memfd");
	write_pages(fd, GIB);
	return fd;
}

static uint64_t flushes(void)
{
	struct morsel_counters counters = { .size = sizeof(counters) };
	int device = open("/dev/morsel", O_RDWR | O_CLOEXEC);

	if (device < 0 || ioctl(device, MORSEL_IOC_COUNTERS, &counters))
		die("/dev/morsel");
	close(device);
	return counters.flushes_total;
}

/* The baseline of unmap_dirty(): all pages of a memfd that a process maps. */
static double cut_off(int memfd)
{
	char *mapped = map(memfd, MAP_POPULATE);
	const double start = now_ms();
	double cut;

	if (ftruncate(memfd, 0))
		die("ftruncate");
	cut = now_ms() - start;
	munmap(mapped, GIB);
	return cut;
}

/* All pages, each of them dirty, while a process maps them. */
static void unmap_dirty(int object, double cut)
{
	struct morsel_range all = { .size = sizeof(all), .end = GIB };
	char *mapped = map(object, 0);
	double start, unmapped;
	uint64_t before;

	if (mapped[GIB - 1] || mapped[0] != 1)
		die("wrong contents");
	before = flushes();
	start = now_ms();
	if (ioctl(object, MORSEL_IOC_UNMAP, &all) || all.changed_pages != GIB / PAGE)
		die("unmap");
	unmapped = now_ms() - start;
	report("unmap 1 GiB of dirty 4-KiB pages that a process maps", "ms", unmapped, cut, 0);
	report("flushes of that, against one for each leaf table", "flushes", (double)(flushes() - before), 512, 0);
	munmap(mapped, GIB);
}

int main(void)
{
	struct times memfd, morsel;
	int fd = new_memfd();
	double attach, detach, cut;

	measure(fd, MAP_POPULATE, &memfd);
	cut = cut_off(fd);
	close(fd);
	attach = median(memfd.attach, ROUNDS);
	detach = median(memfd.detach, ROUNDS);
	fd = new_object("/morsel/bench", GIB);
	measure(fd, 0, &morsel);
	report("attach 1 GiB at 1-GiB granularity", "ms", median(morsel.attach, ROUNDS), attach, 500);
	report("detach 1 GiB at 1-GiB granularity", "ms", median(morsel.detach, ROUNDS), detach, 140);
	set_granularity("2m");
	measure(fd, 0, &morsel);
	report("attach 1 GiB at 2-MiB granularity, first slot touched", "ms", median(morsel.attach, ROUNDS), attach, 0);
	report("detach 1 GiB at 2-MiB granularity, first slot touched", "ms", median(morsel.detach, ROUNDS), detach, 0);
	set_granularity("1g");
	unmap_dirty(fd, cut);
	unlink("/morsel/bench");
	return 0;
}
