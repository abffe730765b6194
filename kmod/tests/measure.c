// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "kmod/tests/measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
}

double median(double *values, size_t count)
{
	sort(values, count);
	return values[count / 2];
}

void die(const char *what)
{
	perror(what);
	exit(1);
}

void write_pages(int fd, size_t bytes)
{
	volatile char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	size_t at;

	if (memory == MAP_FAILED)
		die("mmap");
	for (at = 0; at < bytes; at += PAGE)
		memory[at] = 1;
	munmap((void *)memory, bytes);
}

int new_object(const char *name, size_t bytes)
{
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		die(name);
	write_pages(fd, bytes);
	return fd;
}

void report(const char *name, const char *unit, double value, double baseline, int goal)
{
	printf("{\"area\":\"vm\",\"name\":\"%s\",\"value\":%.4f,\"unit\":\"%s\",\"baseline\":%.3f,\"ratio\":%.1f", name,
	       value, unit, baseline, baseline / value);
	if (goal)
		printf(",\"goal\":\">= %d times faster\",\"met\":%s", goal,
		       baseline / value >= goal ? "true" : "false");
	printf("}\n");
}
