// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a page fault of a process costs that populates a page of an object. Prints nanoseconds: the lowest tenth of many
 * rounds, each over all pages of a table, so that a round in which something else ran does not count.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_ioctl.h"
#include "kmod/tests/measure.h"

#define PAGES 512
#define BYTES (PAGES * PAGE)
#define ROUNDS 100

int main(void)
{
	struct morsel_range all = { .size = sizeof(all), .end = BYTES };
	int fd = open("/morsel/fault-bench", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	static double rounds[ROUNDS];
	volatile char *memory;

	if (fd < 0 || ftruncate(fd, BYTES))
		die("/morsel/fault-bench");
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	for (int round = 0; round < ROUNDS; round++) {
		const double start = now_ms();

		for (unsigned long at = 0; at < BYTES; at += PAGE)
			memory[at] = 1;
		rounds[round] = (now_ms() - start) * 1e6 / PAGES;
		if (ioctl(fd, MORSEL_IOC_UNMAP, &all) || all.changed_pages != PAGES)
			die("unmap");
	}
	sort(rounds, ROUNDS);
	printf("%.1f\n", rounds[ROUNDS / 10]);
	unlink("/morsel/fault-bench");
	return 0;
}
