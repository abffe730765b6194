// SPDX-License-Identifier: GPL-2.0-or-later
/* Leaves that are split and merged, pages that move, and the report of those that were used. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define RIGHTS_RW (MORSEL_READ | MORSEL_WRITE)
#define PAGES 1024

static uint64_t touch(int fd, unsigned view, uint64_t offset, unsigned right, uint64_t value)
{
	unsigned result;

	CHECK_EQ(access_view(fd, view, offset, right, MORSEL_ACCESS_TOUCH | MORSEL_ACCESS_POPULATE, &value, &result),
		 0);
	CHECK(result != MORSEL_ACCESS_DENIED);
	return value;
}

/* ---- split and merge ---- */

static void splits_and_merges_what_nobody_maps(void)
{
	int fd = open_object("reshaped", MIB(16));
	unsigned ept = add_view(fd, MORSEL_FORMAT_EPT);
	uint64_t tables, pages;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(4), RIGHTS_RW, 1, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, MIB(4), MIB(6), RIGHTS_RW, 0, NULL), 0);
	touch(fd, 0, PAGE + 8, MORSEL_WRITE, 42);
	CHECK_EQ(touch(fd, ept, PAGE + 8, MORSEL_READ, 0), 42);
	tables = info_of(fd).tables;
	CHECK_EQ(change(fd, MORSEL_IOC_SPLIT, PAGE, 2 * PAGE, 0, 0, NULL), 0);
	CHECK_EQ(info_of(fd).tables, tables + 1);
	CHECK_EQ(touch(fd, 0, PAGE + 8, MORSEL_READ, 0), 42);
	CHECK_EQ(touch(fd, ept, PAGE + 8, MORSEL_READ, 0), 42);
	/* Single frames stay single, wherever they lie: those at MIB(4). */
	CHECK_EQ(change(fd, MORSEL_IOC_MERGE, 0, MIB(16), 0, 1, &pages), 0);
	CHECK_EQ(pages, 512);
	settle(fd);
	CHECK_EQ(info_of(fd).tables, tables);
	CHECK_EQ(touch(fd, 0, PAGE + 8, MORSEL_READ, 0), 42);
	CHECK_EQ(touch(fd, ept, PAGE + 8, MORSEL_WRITE, 43), 43);
	CHECK_EQ(change(fd, MORSEL_IOC_MERGE, 0, MIB(16), 0, 1, &pages), 0);
	CHECK_EQ(pages, 0);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, MIB(2), MIB(2) + PAGE, 0, 0, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_MERGE, 0, MIB(16), 0, 1, &pages), 0);
	CHECK_EQ(pages, 0);	/* a table with a hole */
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(16), 0, 0, &pages), 0);
	CHECK_EQ(pages, 3 * 512 - 1);
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 0);
}

static void splits_what_a_process_maps_and_refuses_to_merge_it(void)
{
	int fd = open_object("split", MIB(16));
	volatile char *memory;
	uint64_t pages;
	size_t at;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(8), RIGHTS_RW, 1, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_SPLIT, 0, MIB(2), 0, 0, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_MERGE, 0, MIB(2), 0, 1, &pages), 0);
	CHECK_EQ(pages, 512);
	memory = map(fd, MIB(16), RW);
	for (at = 0; at < MIB(8); at += PAGE)
		*(volatile uint64_t *)(memory + at) = at + 1;
	CHECK_EQ(change(fd, MORSEL_IOC_SPLIT, 0, MIB(8), 0, 0, NULL), 0);
	for (at = 0; at < MIB(8); at += PAGE) {
		CHECK_EQ(*(volatile uint64_t *)(memory + at), at + 1);
		*(volatile uint64_t *)(memory + at) = at + 2;
	}
	CHECK_ERRNO(change(fd, MORSEL_IOC_MERGE, 0, MIB(8), 0, 1, NULL), EBUSY);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, PAGE, 2 * PAGE, 0, 0, NULL), 0);
	CHECK_EQ(memory[PAGE], 0);
	CHECK_EQ(*(volatile uint64_t *)memory, 2);
}

/* ---- migrate ---- */

static int stop;

/* Each counts in words of its own, one in each page: a lost write shows as a number that is too small. */
struct counter {
	pthread_t thread;
	volatile uint64_t *words;	/* in the first page; NULL: through `view`, by the engine's walker */
	int fd;
	unsigned view, which, pages;
	uint64_t expected[PAGES];
	uint64_t lost, rounds;
};

static uint64_t next_count(struct counter *c, unsigned page)
{
	const uint64_t offset = page * PAGE + c->which * 8;
	volatile uint64_t *word = c->words + page * (PAGE / 8) + c->which;
	uint64_t found;

	if (c->words) {
		found = *word;
		*word = found + 1;
	} else {
		found = touch(c->fd, c->view, offset, MORSEL_READ, 0);
		touch(c->fd, c->view, offset, MORSEL_WRITE, found + 1);
	}
	return found;
}

static void *count(void *argument)
{
	struct counter *c = argument;
	unsigned seed = c->which + 1;

	for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED); c->rounds++) {
		const unsigned page = (unsigned)rand_r(&seed) % c->pages;

		c->lost += next_count(c, page) != c->expected[page];
		c->expected[page]++;
	}
	for (unsigned page = 0; page < c->pages; page++)
		c->lost += next_count(c, page) != c->expected[page];
	return NULL;
}

static void migrate_loses_no_write(void)
{
	static struct counter counters_of[4];
	int fd = open_object("migrated", PAGES * PAGE);
	unsigned amd64 = add_view(fd, MORSEL_FORMAT_AMD64), ept = add_view(fd, MORSEL_FORMAT_EPT);
	uint64_t moved = 0, pages;

	/* The last one: no slot is covered, so the pages stand in tables of the kernel's own. */
	counters_of[0].words = (volatile uint64_t *)map(fd, PAGES * PAGE, RW);
	counters_of[1].words = (volatile uint64_t *)map_view(fd, amd64, PAGES * PAGE);
	counters_of[2].fd = fd;
	counters_of[2].view = ept;
	counters_of[3].words = mmap(NULL, MIB(1), RW, MAP_SHARED, fd, 0);
	CHECK(counters_of[3].words != MAP_FAILED);
	for (unsigned i = 0; i < 4; i++) {
		counters_of[i].which = i;
		counters_of[i].pages = i == 3 ? MIB(1) / PAGE : PAGES;
		CHECK_EQ(pthread_create(&counters_of[i].thread, NULL, count, &counters_of[i]), 0);
	}
	for (int round = 0; round < 40 * stress_factor() || moved < PAGES; round++) {
		const uint64_t first = (unsigned)rand() % PAGES, last = first + 1 + (unsigned)rand() % (PAGES - first);

		CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, first * PAGE, last * PAGE, 0, 0, &pages), 0);
		CHECK(pages <= last - first);
		moved += pages;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(pthread_join(counters_of[i].thread, NULL), 0);
		CHECK_EQ(counters_of[i].lost, 0);
		CHECK(counters_of[i].rounds > 0);
	}
	settle(fd);
	CHECK_EQ(info_of(fd).frames, PAGES);
}

static void pages_that_others_hold_do_not_move(void)
{
	int fd = open_object("held", MIB(8)), pipes[2];
	volatile char *memory = map(fd, MIB(8), RW);
	struct iovec page = { (char *)memory + 2 * PAGE, PAGE };
	char buffer[PAGE];
	uint64_t pages;
	size_t at;

	for (at = 0; at < 4 * PAGE; at += PAGE)
		memory[at] = 1;
	CHECK_EQ(pipe(pipes), 0);
	CHECK_EQ(vmsplice(pipes[1], &page, 1, 0), PAGE);
	CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, 4 * PAGE, 0, 0, &pages), 0);
	CHECK_EQ(pages, 3);
	memory[2 * PAGE] = 7;	/* the pipe's page is still this one */
	CHECK_EQ(read(pipes[0], buffer, PAGE), PAGE);
	CHECK_EQ(buffer[0], 7);
	CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, 4 * PAGE, 0, 0, &pages), 0);
	CHECK_EQ(pages, 4);
	CHECK_EQ(memory[2 * PAGE], 7);
	/* A large page moves as a whole, or not at all. */
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, MIB(4), MIB(6), RIGHTS_RW, 1, NULL), 0);
	page.iov_base = (char *)memory + MIB(4) + 5 * PAGE;
	memory[MIB(4) + 5 * PAGE] = 8;
	CHECK_EQ(vmsplice(pipes[1], &page, 1, 0), PAGE);
	CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, MIB(4), MIB(6), 0, 0, &pages), 0);
	CHECK_EQ(pages, 0);
	CHECK_EQ(read(pipes[0], buffer, PAGE), PAGE);
	CHECK_EQ(buffer[0], 8);
	CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, MIB(4), MIB(6), 0, 0, &pages), 0);
	CHECK_EQ(pages, 512);
	CHECK_EQ(memory[MIB(4) + 5 * PAGE], 8);
}

/* ---- harvest and ranges ---- */

static struct {
	uint64_t accessed[PAGES / 64], dirty[PAGES / 64];
} bitmaps;

static void harvest(int fd)
{
	struct morsel_harvest request = {
		.size = sizeof(request), .end = PAGES * PAGE,
		.accessed = (uintptr_t)bitmaps.accessed, .dirty = (uintptr_t)bitmaps.dirty,
	};

	memset(&bitmaps, 0xff, sizeof(bitmaps));
	CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &request), 0);
}

static int bit(const uint64_t *bits, unsigned page)
{
	return bits[page / 64] >> page % 64 & 1;
}

static unsigned bits_in(const uint64_t *bits)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < PAGES / 64; i++)
		sum += (unsigned)__builtin_popcountll(bits[i]);
	return sum;
}

static uint64_t runs_of(int fd, unsigned kind, uint64_t start, uint64_t end, struct morsel_run *runs, uint64_t room)
{
	struct morsel_ranges request = {
		.size = sizeof(request), .kind = kind, .start = start, .end = end,
		.runs = (uintptr_t)runs, .room = room,
	};

	CHECK_EQ(ioctl(fd, MORSEL_IOC_RANGES, &request), 0);
	CHECK_EQ(request.next, end);
	return request.count;
}

static void harvest_sees_exactly_what_was_written(void)
{
	int fd = open_object("harvested", PAGES * PAGE);
	unsigned amd64 = add_view(fd, MORSEL_FORMAT_AMD64), npt = add_view(fd, MORSEL_FORMAT_NPT);
	volatile char *primary = map(fd, PAGES * PAGE, RW), *view = map_view(fd, amd64, PAGES * PAGE);
	volatile char *by_page = mmap(NULL, MIB(1), RW, MAP_SHARED, fd, 0);	/* no slot is covered */
	struct morsel_run runs[8];

	CHECK(by_page != MAP_FAILED);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, PAGES * PAGE, RIGHTS_RW, 0, NULL), 0);
	harvest(fd);
	CHECK_EQ(bits_in(bitmaps.dirty), 0);
	for (char round = 1; round <= 3; round++) {
		CHECK_EQ(runs_of(fd, MORSEL_RANGES_DIRTY, 0, PAGES * PAGE, runs, 8), 0);
		primary[3 * PAGE] = round;
		view[7 * PAGE] = round;
		view[700 * PAGE] = round;
		by_page[20 * PAGE] = round;
		touch(fd, npt, 30 * PAGE, MORSEL_WRITE, 1);
		touch(fd, 0, 31 * PAGE, MORSEL_WRITE, 1);
		(void)primary[40 * PAGE];
		(void)view[50 * PAGE];
		CHECK_EQ(runs_of(fd, MORSEL_RANGES_DIRTY, 0, PAGES * PAGE, runs, 8), 5);
		CHECK_EQ(runs[3].start, 30 * PAGE);
		CHECK_EQ(runs[3].end, 32 * PAGE);
		harvest(fd);
		for (unsigned page = 0; page < PAGES; page++) {
			const int is_written = page == 3 || page == 7 || page == 700 || page == 20 || page == 30 ||
					       page == 31;

			CHECK_EQ(bit(bitmaps.dirty, page) * 10000 + page, is_written * 10000 + page);
		}
		CHECK(bit(bitmaps.accessed, 3) && bit(bitmaps.accessed, 7) && bit(bitmaps.accessed, 30));
		CHECK(bit(bitmaps.accessed, 40) && bit(bitmaps.accessed, 50) && !bit(bitmaps.accessed, 60));
		harvest(fd);
		CHECK_EQ(bits_in(bitmaps.dirty), 0);
		CHECK_EQ(bits_in(bitmaps.accessed), 0);
	}
}

static char written[PAGES];

static void *write_each_page_once(void *argument)
{
	volatile char *memory = argument;

	for (unsigned i = 0; i < PAGES; i++) {
		const unsigned page = i * 389 % PAGES;	/* odd: every page has its turn */

		memory[page * PAGE] = 1;
		__atomic_store_n(&written[page], 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* What was written when a harvest begins is in its report, if it was in none before. */
static void harvest_misses_nothing(int which)
{
	int fd = open_object("missed", PAGES * PAGE);
	volatile char *memory = which == 0 ? map(fd, PAGES * PAGE, RW)
					   : map_view(fd, add_view(fd, MORSEL_FORMAT_AMD64), PAGES * PAGE);
	static char before[PAGES], reported[PAGES];
	unsigned done = 0;
	pthread_t thread;

	memset(written, 0, sizeof(written));
	memset(reported, 0, sizeof(reported));
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, PAGES * PAGE, RIGHTS_RW, 0, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, write_each_page_once, (void *)memory), 0);
	while (done < PAGES) {
		done = 0;
		for (unsigned page = 0; page < PAGES; page++)
			done += before[page] = __atomic_load_n(&written[page], __ATOMIC_ACQUIRE);
		harvest(fd);
		for (unsigned page = 0; page < PAGES; page++) {
			reported[page] = reported[page] || bit(bitmaps.dirty, page);
			CHECK(reported[page] || !before[page]);
		}
	}
	CHECK_EQ(pthread_join(thread, NULL), 0);
	harvest(fd);
	CHECK_EQ(bits_in(bitmaps.dirty), 0);
}

static void harvest_misses_nothing_in_the_primary(void)
{
	harvest_misses_nothing(0);
}

static void harvest_misses_nothing_in_a_view(void)
{
	harvest_misses_nothing(1);
}

static void ranges_are_runs_of_pages(void)
{
	int fd = open_object("ranges", GIB(1));
	struct morsel_run runs[8];
	struct morsel_ranges request = {
		.size = sizeof(request), .end = GIB(1), .runs = (uintptr_t)runs, .room = 3,
	};
	size_t at;

	CHECK_EQ(runs_of(fd, MORSEL_RANGES_POPULATED, 0, GIB(1), runs, 8), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, PAGE, 4 * PAGE, RIGHTS_RW, 0, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 2 * PAGE, 3 * PAGE, MORSEL_READ, 0, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, MIB(2), MIB(6), RIGHTS_RW, 1, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, MIB(6), MIB(6) + PAGE, RIGHTS_RW, 0, NULL), 0);
	CHECK_EQ(runs_of(fd, MORSEL_RANGES_POPULATED, 0, GIB(1), runs, 8), 4);
	CHECK_EQ(runs[1].start, 2 * PAGE);
	CHECK_EQ(runs[1].end, 3 * PAGE);
	CHECK_EQ(runs[1].rights, MORSEL_READ);
	CHECK_EQ(runs[3].start, MIB(2));
	CHECK_EQ(runs[3].end, MIB(6) + PAGE);
	CHECK_EQ(runs_of(fd, MORSEL_RANGES_POPULATED, MIB(3), MIB(4), runs, 8), 1);
	CHECK_EQ(runs[0].end, MIB(4));
	/* Where there is no room for the rest, it is said where that begins. */
	for (at = MIB(10); at < MIB(10) + 8 * PAGE; at += 2 * PAGE)
		CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, at, at + PAGE, RIGHTS_RW, 0, NULL), 0);
	CHECK_EQ(ioctl(fd, MORSEL_IOC_RANGES, &request), 0);
	CHECK_EQ(request.count, 3);
	CHECK_EQ(request.next, MIB(2));
	request.start = request.next;
	CHECK_EQ(ioctl(fd, MORSEL_IOC_RANGES, &request), 0);
	CHECK_EQ(request.next, MIB(10) + 4 * PAGE);
}

static void refuses_wrong_requests_for_pages(void)
{
	int fd = open_object("wrong", GIB(4)), readable = open("/morsel/wrong", O_RDONLY | O_CLOEXEC);
	struct morsel_harvest harvested = {
		.size = sizeof(harvested), .end = PAGE, .accessed = (uintptr_t)bitmaps.accessed, .dirty = 8,
	};
	struct morsel_ranges ranges = { .size = sizeof(ranges), .end = PAGE, .room = 1 };

	CHECK_ERRNO(change(fd, MORSEL_IOC_SPLIT, 0, PAGE, MORSEL_READ, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_SPLIT, 0, PAGE, 0, 1, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_MERGE, 0, MIB(2), 0, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_MERGE, 0, GIB(1), 0, 2, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_MERGE, 0, PAGE, 0, 1, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_MIGRATE, 1, PAGE, 0, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_MIGRATE, 0, PAGE, 0, 1, NULL), EINVAL);
	CHECK_ERRNO(change(readable, MORSEL_IOC_MIGRATE, 0, PAGE, 0, 0, NULL), EBADF);
	CHECK_ERRNO(ioctl(readable, MORSEL_IOC_HARVEST, &harvested), EBADF);
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_HARVEST, &harvested), EFAULT);
	harvested.end = GIB(1) + PAGE;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_HARVEST, &harvested), EINVAL);
	harvested.end = 0;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_HARVEST, &harvested), EINVAL);
	harvested = (struct morsel_harvest){ .size = sizeof(harvested), .reserved = 1, .end = PAGE };
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_HARVEST, &harvested), EINVAL);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, RIGHTS_RW, 0, NULL), 0);
	CHECK_ERRNO(ioctl(readable, MORSEL_IOC_RANGES, &ranges), EFAULT);
	ranges.kind = 2;
	CHECK_ERRNO(ioctl(readable, MORSEL_IOC_RANGES, &ranges), EINVAL);
	ranges = (struct morsel_ranges){ .size = sizeof(ranges), .end = PAGE };
	CHECK_ERRNO(ioctl(readable, MORSEL_IOC_RANGES, &ranges), EINVAL);
}

const struct test pages_tests[] = {
	{ "splits_and_merges_what_nobody_maps", splits_and_merges_what_nobody_maps },
	{ "splits_what_a_process_maps_and_refuses_to_merge_it", splits_what_a_process_maps_and_refuses_to_merge_it },
	{ "migrate_loses_no_write", migrate_loses_no_write },
	{ "pages_that_others_hold_do_not_move", pages_that_others_hold_do_not_move },
	{ "harvest_sees_exactly_what_was_written", harvest_sees_exactly_what_was_written },
	{ "harvest_misses_nothing_in_the_primary", harvest_misses_nothing_in_the_primary },
	{ "harvest_misses_nothing_in_a_view", harvest_misses_nothing_in_a_view },
	{ "ranges_are_runs_of_pages", ranges_are_runs_of_pages },
	{ "refuses_wrong_requests_for_pages", refuses_wrong_requests_for_pages },
	{ NULL, NULL },
};
