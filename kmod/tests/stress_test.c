// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many at once: threads that access through the primary and its views against one that changes the primary. What each
 * page may hold is known: zero, or the page's own number. A page that was freed too early, or a translation that
 * stayed, shows as a foreign number.
 */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES 2048
#define RW (PROT_READ | PROT_WRITE)

static int object;
static int stop;

struct walker {
	pthread_t thread;
	volatile char *memory;
	unsigned seed;
	uint64_t wrong, writes;
};

static void *walk(void *argument)
{
	struct walker *w = argument;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		const unsigned page = (unsigned)rand_r(&w->seed) % PAGES;
		volatile uint64_t *word = (volatile uint64_t *)(w->memory + page * PAGE);
		const uint64_t found = *word;

		if (found && found != page + 1)
			w->wrong++;
		if (rand_r(&w->seed) % 2) {
			*word = page + 1;
			w->writes++;
		}
	}
	return NULL;
}

/* A foreign process's memory, in which our numbers would show if a frame were given away too early. */
static void *churn(void *argument)
{
	struct walker *w = argument;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		volatile uint64_t *words = mmap(NULL, MIB(1), RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		size_t i;

		for (i = 0; i < MIB(1) / 8; i += 512)
			words[i] = 0xfeedfacefeedfaceull;
		for (i = 0; i < MIB(1) / 8; i += 512)
			w->wrong += words[i] != 0xfeedfacefeedfaceull;
		munmap((void *)words, MIB(1));
	}
	return NULL;
}

static void start(struct walker *w, void *(*body)(void *), volatile char *memory, unsigned seed)
{
	*w = (struct walker){ .memory = memory, .seed = seed };
	CHECK_EQ(pthread_create(&w->thread, NULL, body, w), 0);
}

static void finish(struct walker *walkers, int count)
{
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < count; i++)
		CHECK_EQ(pthread_join(walkers[i].thread, NULL), 0);
	for (int i = 0; i < count; i++)
		CHECK_EQ(walkers[i].wrong, 0);
}

static void change_at_random(unsigned *seed)
{
	const uint64_t page = (unsigned)rand_r(seed) % PAGES, pages = 1 + (unsigned)rand_r(seed) % 600;
	const uint64_t start = page * PAGE, end = (page + pages < PAGES ? page + pages : PAGES) * PAGE;
	const uint64_t large = start & ~(MIB(2) - 1);

	switch (rand_r(seed) % 6) {
	case 0:
	case 1:
		CHECK_EQ(change(object, MORSEL_IOC_UNMAP, start, end, 0, 0, NULL), 0);
		break;
	case 2:
		CHECK_EQ(change(object, MORSEL_IOC_POPULATE, start, end, MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
		break;
	case 3:	/* the large frame may not be there */
		if (change(object, MORSEL_IOC_POPULATE, large, large + MIB(2), MORSEL_READ | MORSEL_WRITE, 1, NULL))
			CHECK_EQ(errno, ENOMEM);
		break;
	default:
		CHECK_EQ(change(object, MORSEL_IOC_UNMAP, start, start + PAGE, 0, 0, NULL), 0);
		break;
	}
}

static void accesses_against_changes(void)
{
	struct walker walkers[5];
	unsigned view, ept, seed = 7, result;

	object = open_object("stress", MIB(64));
	view = add_view(object, MORSEL_FORMAT_AMD64);
	ept = add_view(object, MORSEL_FORMAT_EPT);
	start(&walkers[0], walk, map(object, MIB(64), RW), 1);
	start(&walkers[1], walk, map_view(object, view, MIB(64)), 2);
	start(&walkers[2], walk, map_view(object, view, MIB(64)), 3);
	start(&walkers[3], walk, mmap(NULL, PAGES * PAGE, RW, MAP_SHARED, object, 0), 4);
	start(&walkers[4], churn, NULL, 5);
	for (int i = 0; i < 150 * stress_factor(); i++) {
		uint64_t value = 0;
		const uint64_t page = (unsigned)rand_r(&seed) % PAGES;

		change_at_random(&seed);
		CHECK_EQ(access_view(object, ept, page * PAGE, MORSEL_READ,
				     MORSEL_ACCESS_POPULATE | MORSEL_ACCESS_TOUCH, &value, &result), 0);
		CHECK(!value || value == page + 1);
	}
	finish(walkers, 5);
}

static void single_pages_against_changes(void)
{
	struct walker walkers[3];
	unsigned seed = 11;
	volatile char *odd;

	object = open_object("singles", MIB(64));
	CHECK_EQ(change(object, MORSEL_IOC_POPULATE, 0, PAGES * PAGE, MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	/* An address that is not congruent to the offset: nothing can be attached. */
	odd = mmap(NULL, MIB(64), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	odd = (volatile char *)(((uintptr_t)odd & ~(MIB(2) - 1)) + MIB(2) + PAGE);
	CHECK(mmap((void *)odd, PAGES * PAGE, RW, MAP_SHARED | MAP_FIXED, object, 0) == odd);
	start(&walkers[0], walk, odd, 1);
	start(&walkers[1], walk, map(object, MIB(64), RW), 2);
	start(&walkers[2], churn, NULL, 3);
	for (int i = 0; i < 100 * stress_factor(); i++)
		change_at_random(&seed);
	finish(walkers, 3);
}

static void mappings_come_and_go(void)
{
	struct walker walkers[2];
	unsigned view;

	object = open_object("coming", GIB(1));
	view = add_view(object, MORSEL_FORMAT_AMD64);
	start(&walkers[0], walk, map(object, GIB(1), RW), 1);
	start(&walkers[1], walk, map_view(object, view, GIB(1)), 2);
	for (int i = 0; i < 100 * stress_factor(); i++) {
		volatile char *a = map(object, MIB(512), RW), *b = map_view(object, view, MIB(512));
		int pid;

		a[MIB(100)] = (char)i;
		CHECK_EQ(b[MIB(100)], (char)i);
		CHECK_EQ(munmap((void *)(a + MIB(8)), MIB(4) + PAGE), 0);
		if (i % 10 == 0) {
			pid = fork();
			if (!pid) {
				CHECK_EQ(a[MIB(100)], (char)i);
				_exit(0);
			}
			CHECK_EQ(exit_status_of(pid), 0);
		}
		CHECK_EQ(munmap((void *)a, MIB(512)), 0);
		CHECK_EQ(munmap((void *)b, MIB(512)), 0);
		if (i % 7 == 0)
			CHECK_EQ(ftruncate(object, i % 2 ? GIB(1) : MIB(900)), 0);
	}
	finish(walkers, 2);
}

static void *list(void *argument)
{
	struct walker *w = argument;
	char names[KIB(4)];
	int device = open_device();

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct morsel_list request = {
			.size = sizeof(request), .names = (uintptr_t)names, .names_bytes = sizeof(names),
		};

		w->wrong += ioctl(device, MORSEL_IOC_LIST, &request) != 0 || request.count > 8;
	}
	return NULL;
}

/* Who lists may be the last to look at an object that is being removed. */
static void listing_against_unlinking(void)
{
	struct walker walkers[2];
	char path[64];

	start(&walkers[0], list, NULL, 1);
	start(&walkers[1], list, NULL, 2);
	for (int i = 0; i < 4000 * stress_factor(); i++) {
		snprintf(path, sizeof(path), "/morsel/listed-%d", i % 8);
		if (i >= 8)
			CHECK_EQ(unlink(path), 0);
		snprintf(path, sizeof(path), "listed-%d", i % 8);
		close(open_object(path, 0));
	}
	finish(walkers, 2);
}

/* Each changes pages of its own, behind those that the walkers use. */
static void *reshape(void *argument)
{
	struct walker *w = argument;
	const uint64_t start = (PAGES + 64 * w->seed) * PAGE, end = start + 8 * PAGE;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		w->wrong += change(object, MORSEL_IOC_POPULATE, start, end, MORSEL_READ | MORSEL_WRITE, 0, NULL) != 0;
		w->wrong += change(object, MORSEL_IOC_UNMAP, start, end, 0, 0, NULL) != 0;
		w->writes++;
	}
	return NULL;
}

static void record(int device, unsigned on)
{
	uint64_t rings[256];
	struct morsel_journal_switch request = {
		.size = sizeof(request), .on = on, .capacity_lg2 = on ? 6 : 0, .rings = (uintptr_t)rings, .room = 256,
	};

	CHECK_EQ(ioctl(device, MORSEL_IOC_JOURNAL, &request), 0);
}

/*
 * The kernel patches its code for each switch, while others run there. QEMU 7.2 had the CPUs caught in what stands
 * there meanwhile (kmod/observe.c).
 */
static void observation_is_switched_while_others_work(void)
{
	struct walker walkers[3];
	unsigned view;
	int device = open_device();

	object = open_object("observed", MIB(64));
	view = add_view(object, MORSEL_FORMAT_AMD64);
	start(&walkers[0], reshape, NULL, 1);
	start(&walkers[1], reshape, NULL, 2);
	start(&walkers[2], walk, map_view(object, view, MIB(64)), 3);
	for (int i = 0; i < 3 * stress_factor(); i++) {
		record(device, 1);
		record(device, 0);
	}
	finish(walkers, 3);
	CHECK(walkers[0].writes && walkers[1].writes);
}

static void *move(void *argument)
{
	struct walker *w = argument;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t pages = 0;

		/* The size may change meanwhile. */
		if (change(object, MORSEL_IOC_MIGRATE, 0, (1 + w->seed) * PAGE, 0, 0, &pages))
			w->wrong += errno != ERANGE;
		w->writes += pages;
	}
	return NULL;
}

/* Neither waits for the other: what was cut off must not come back with a frame that was copied too early. */
static void shrinking_against_moves(void)
{
	struct walker walkers[2];
	volatile char *a;

	object = open_object("cut", 4 * PAGE);
	a = map(object, 4 * PAGE, RW);
	start(&walkers[0], move, NULL, 0);
	start(&walkers[1], move, NULL, 1);
	for (int i = 0; i < 1000 * stress_factor(); i++) {
		volatile char *page = a + i % 2 * PAGE;
		const size_t end = 1 + (unsigned)i % (PAGE - 1);

		page[end - 1] = page[end] = page[PAGE - 1] = (char)(1 + i % 100);
		CHECK_EQ(ftruncate(object, (page - a) + end), 0);
		CHECK_EQ(ftruncate(object, 4 * PAGE), 0);
		CHECK_EQ(page[end - 1], 1 + i % 100);
		CHECK_EQ(page[PAGE - 1], 0);
		CHECK_EQ(page[end], 0);
	}
	finish(walkers, 2);
	CHECK(walkers[0].writes && walkers[1].writes);
}

const struct test stress_tests[] = {
	{ "observation_is_switched_while_others_work", observation_is_switched_while_others_work },
	{ "accesses_against_changes", accesses_against_changes },
	{ "single_pages_against_changes", single_pages_against_changes },
	{ "shrinking_against_moves", shrinking_against_moves },
	{ "mappings_come_and_go", mappings_come_and_go },
	{ "listing_against_unlinking", listing_against_unlinking },
	{ NULL, NULL },
};
