// SPDX-License-Identifier: GPL-2.0-or-later
/* The primary mapped by processes: sharing, and every way in which a mapping changes or goes. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)

static void shares_pages_between_mappings_and_processes(void)
{
	int fd = open_object("shared", GIB(2));
	volatile char *a = map(fd, GIB(2), RW), *b = map(fd, GIB(2), RW);
	int pid;

	a[5] = 1;
	a[MIB(3)] = 2;
	a[GIB(2) - 1] = 3;
	CHECK_EQ(b[5], 1);
	CHECK_EQ(b[GIB(2) - 1], 3);
	pid = fork();
	if (!pid) {	/* by path, in a mapping of its own */
		volatile char *c = map(open_object("shared", 0), GIB(2), RW);

		CHECK_EQ(c[MIB(3)], 2);
		c[MIB(7)] = 9;
		_exit(0);
	}
	CHECK_EQ(exit_status_of(pid), 0);
	CHECK_EQ(a[MIB(7)], 9);
	CHECK_EQ(b[MIB(7)], 9);
	CHECK_EQ(info_of(fd).frames, 4);
}

static void attaches_a_populated_gib_with_one_store(void)
{
	int fd = open_object("big", GIB(1));
	volatile char *a = map(fd, GIB(1), RW);
	uint64_t before;
	size_t at;

	for (at = 0; at < GIB(1); at += MIB(2))
		a[at] = (char)(at >> 21);
	CHECK_EQ(munmap((void *)a, GIB(1)), 0);
	CHECK_EQ(counters().attachments, 0);
	before = counters().attached_total;
	a = map(fd, GIB(1), RW);
	for (at = 0; at < GIB(1); at += MIB(2))
		CHECK_EQ(a[at], (char)(at >> 21));
	if (granularity() == 2) {
		CHECK_EQ(counters().attached_total - before, 1);
		CHECK_EQ(counters().attachments, 1);
	} else {
		CHECK_EQ(counters().attachments, granularity() ? 512 : 0);
	}
}

/* Bodies that take an object's size run with one of many 2-MiB slots, and with one of one 1-GiB slot. */
static void for_sizes(size_t small, void (*body)(size_t bytes))
{
	body(small);
	CHECK_EQ(unlink("/morsel/sized"), 0);
	body(GIB(1));
}

/* Mapped, and attached in its first page and its last: a GiB with one entry for both. */
static volatile char *map_attached(int fd, size_t bytes)
{
	volatile char *a = map(fd, bytes, RW);
	const uint64_t others = counters().attachments;

	a[0] = a[bytes - 1] = 1;
	CHECK_EQ(counters().attachments - others, !granularity() ? 0 : granularity() == 2 && bytes == GIB(1) ? 1 : 2);
	return a;
}

/* A process that inherits `a` attaches it by its own store, besides what its parents have. */
static void write_attached(volatile char *a, size_t at, char value)
{
	const uint64_t before = counters().attached_total;

	a[at] = value;
	CHECK_EQ(counters().attached_total - before, granularity() ? 1 : 0);
}

static void inherit(size_t bytes)
{
	int fd = open_object("sized", bytes), pid;
	volatile char *a = map_attached(fd, bytes);

	a[MIB(40)] = 2;
	pid = fork();
	if (!pid) {
		write_attached(a, MIB(20), 3);
		CHECK_EQ(a[0], 1);
		CHECK_EQ(a[MIB(40)], 2);
		pid = fork();	/* and by the child's child */
		if (!pid) {
			write_attached(a, MIB(21), 4);
			CHECK_EQ(a[MIB(20)], 3);
			_exit(0);
		}
		CHECK_EQ(exit_status_of(pid), 0);
		a[bytes - 1] = 5;
		_exit(0);
	}
	CHECK_EQ(exit_status_of(pid), 0);
	CHECK_EQ(a[MIB(20)], 3);
	CHECK_EQ(a[MIB(21)], 4);
	CHECK_EQ(a[bytes - 1], 5);
	CHECK_EQ(munmap((void *)a, bytes), 0);
	CHECK_EQ(counters().attachments, 0);
	CHECK_EQ(close(fd), 0);
}

static void is_inherited_by_fork(void)
{
	for_sizes(MIB(64), inherit);
}

static void loses_only_what_is_unmapped(void)
{
	int fd = open_object("holes", GIB(2));
	volatile char *a = map(fd, GIB(2), RW), *b = map(fd, GIB(2), RW);
	size_t at;

	for (at = 0; at < MIB(64); at += PAGE)
		a[at] = 7;
	CHECK_EQ(munmap((void *)(a + MIB(6) + PAGE), PAGE), 0);
	CHECK_EQ(munmap((void *)(a + MIB(32)), MIB(8)), 0);
	CHECK_EQ(signal_of_read(a + MIB(6) + PAGE), SIGSEGV);
	CHECK_EQ(signal_of_read(a + MIB(32)), SIGSEGV);
	CHECK_EQ(signal_of_read(a + MIB(40) - 1), SIGSEGV);
	for (at = 0; at < MIB(64); at += PAGE) {
		const int gone = at == MIB(6) + PAGE || (at >= MIB(32) && at < MIB(40));

		CHECK_EQ(b[at], 7);
		if (!gone)
			CHECK_EQ(a[at], 7);
	}
	CHECK_EQ(a[GIB(1) + 5], 0);
}

static volatile char *move_to(volatile char *a, size_t bytes, char *to)
{
	CHECK(mremap((void *)a, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	return to;
}

static void check_numbers(const volatile char *a, size_t start, size_t end)
{
	for (size_t at = start; at < end; at += MIB(1))
		CHECK_EQ(a[at], (char)(at >> 20));
}

/* Room for mappings, from an address that is a multiple of 1 GiB on. */
static char *reserve_room(size_t bytes)
{
	char *room = mmap(NULL, bytes + GIB(1), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(room != MAP_FAILED);
	return (char *)(((uintptr_t)room + GIB(1) - 1) & ~(GIB(1) - 1));
}

static void move_whole(size_t bytes)
{
	int fd = open_object("sized", bytes);
	char *room = reserve_room(GIB(8));
	volatile char *other = map(fd, bytes, RW), *a = map_attached(fd, bytes), *moved;
	size_t at;

	for (at = 0; at < bytes; at += MIB(1))
		a[at] = (char)(at >> 20);
	moved = move_to(a, bytes, room);
	CHECK_EQ(counters().attachments, 0);
	CHECK_EQ(signal_of_read(a), SIGSEGV);
	check_numbers(moved, 0, bytes);
	if (granularity() == 2 && bytes == GIB(1))
		CHECK_EQ(counters().attachments, 1);
	/* A multiple of 2 MiB only: smaller slots. */
	moved = move_to(moved, bytes, room + GIB(2) + MIB(2));
	CHECK_EQ(counters().attachments, 0);
	CHECK_EQ(signal_of_read(room), SIGSEGV);
	check_numbers(moved, 0, bytes);
	CHECK_EQ(counters().attachments, granularity() ? bytes / MIB(2) : 0);
	/* To an address where no slot can be attached: page by page, and still the same pages. */
	moved = move_to(moved, bytes, room + GIB(4) + MIB(300) + PAGE);
	check_numbers(moved, 0, bytes);
	CHECK_EQ(counters().attachments, 0);
	moved[MIB(3)] = 99;
	CHECK_EQ(other[MIB(3)], 99);
	CHECK(mremap((void *)moved, bytes, bytes + MIB(2), MREMAP_MAYMOVE) == MAP_FAILED);	/* VM_DONTEXPAND */
	CHECK_EQ(munmap((void *)moved, bytes), 0);
	CHECK_EQ(munmap((void *)other, bytes), 0);
	CHECK_EQ(close(fd), 0);
}

static void moves_with_mremap(void)
{
	for_sizes(MIB(256), move_whole);
}

static void moves_and_shrinks_a_part_with_mremap(void)
{
	int fd = open_object("parts", GIB(1));
	char *room = reserve_room(GIB(1));
	volatile char *other = map(fd, GIB(1), RW), *a, *moved;
	size_t at;

	for (at = 0; at < GIB(1); at += MIB(1))
		other[at] = (char)(at >> 20);
	a = map_attached(fd, GIB(1));
	a[0] = 0;
	moved = move_to(a + MIB(64), MIB(64), room + MIB(64));
	CHECK_EQ(signal_of_read(a + MIB(64)), SIGSEGV);
	CHECK_EQ(signal_of_read(a + MIB(128) - 1), SIGSEGV);
	check_numbers(a, 0, MIB(64));
	check_numbers(a, MIB(128), GIB(1));
	check_numbers(moved - MIB(64), MIB(64), MIB(128));
	CHECK(mremap((void *)(a + MIB(128)), GIB(1) - MIB(128), MIB(128) + PAGE, 0) == a + MIB(128));
	CHECK_EQ(signal_of_read(a + MIB(256) + PAGE), SIGSEGV);
	CHECK_EQ(signal_of_read(a + GIB(1) - 1), SIGSEGV);
	check_numbers(a, MIB(128), MIB(256) + PAGE);
	/* All that is left, and the other mapping, are the same pages. */
	a[MIB(63)] = moved[PAGE] = a[MIB(256)] = 77;
	CHECK_EQ(other[MIB(63)], 77);
	CHECK_EQ(other[MIB(64) + PAGE], 77);
	CHECK_EQ(other[MIB(256)], 77);
	check_numbers(other, MIB(257), GIB(1));
	/* A part may also be moved onto another. */
	CHECK(move_to(moved + MIB(32), MIB(32), (char *)a + MIB(128)) == a + MIB(128));
	check_numbers(a + MIB(32), MIB(96), MIB(128));
	CHECK_EQ(a[MIB(160)], (char)160);
	CHECK_EQ(signal_of_read(moved + MIB(32)), SIGSEGV);
}

/* At the border of two small slots, or in the first one, which is served page by page then. */
static void split_at(int fd, size_t bytes, size_t first)
{
	volatile char *a = map_attached(fd, bytes);
	const uint64_t left = !granularity() || (granularity() == 2 && bytes == GIB(1)) ? 0 : 1;
	const uint64_t small = granularity() && first == MIB(2);

	CHECK_EQ(madvise((void *)a, first, MADV_RANDOM), 0);
	CHECK_EQ(counters().attachments, left);
	a[PAGE] = a[MIB(2) - 1] = 3;
	CHECK_EQ(counters().attachments, left + small);
	a[MIB(2)] = a[bytes - 1] = 4;
	CHECK_EQ(counters().attachments, granularity() ? 2 + small : 0);
	CHECK_EQ(madvise((void *)a, first, MADV_NORMAL), 0);
	CHECK_EQ(munmap((void *)a, bytes), 0);
	CHECK_EQ(counters().attachments, 0);
}

static void split(size_t bytes)
{
	int fd = open_object("sized", bytes);
	volatile char *b;

	split_at(fd, bytes, MIB(1));
	split_at(fd, bytes, MIB(2));
	b = map(fd, bytes, RW);
	CHECK_EQ(b[0], 1);
	CHECK_EQ(b[PAGE], 3);
	CHECK_EQ(b[MIB(2) - 1], 3);
	CHECK_EQ(b[MIB(2)], 4);
	CHECK_EQ(b[bytes - 1], 4);
	CHECK_EQ(munmap((void *)b, bytes), 0);
	CHECK_EQ(close(fd), 0);
}

static void loses_the_slot_in_which_it_is_split(void)
{
	for_sizes(MIB(64), split);
}

static void advise(size_t bytes)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_REMOVE, 25 /* MADV_COLLAPSE */,
		MADV_DONTDUMP, MADV_RANDOM, MADV_WILLNEED,
	};
	int fd = open_object("sized", bytes);
	volatile char *b = map(fd, bytes, RW);
	size_t i;

	for (i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		volatile char *a = map_attached(fd, bytes);
		const char want = (char)(i + 1);

		a[PAGE * 9] = want;
		/* What it answers is the kernel's business. Once of a part of a slot, once of all but the last page. */
		madvise((void *)a, MIB(4), advice[i]);
		CHECK_EQ(a[PAGE * 9], want);
		if (advice[i] != MADV_POPULATE_READ && advice[i] != MADV_POPULATE_WRITE)
			madvise((void *)a, bytes - PAGE, advice[i]);
		CHECK_EQ(a[PAGE * 9], want);
		CHECK_EQ(b[PAGE * 9], want);
		a[PAGE * 9]++;
		CHECK_EQ(b[PAGE * 9], want + 1);
		CHECK_EQ(b[bytes - 1], 1);
		CHECK_EQ(munmap((void *)a, bytes), 0);
	}
	CHECK_EQ(munmap((void *)b, bytes), 0);
	CHECK_EQ(close(fd), 0);
}

static void keeps_its_pages_through_madvise(void)
{
	for_sizes(MIB(64), advise);
}

static void survives_kill_9_of_a_process(void)
{
	int fd = open_object("killed", GIB(1));
	volatile char *a = map(fd, GIB(1), RW);
	int ready[2], pid;
	char byte;

	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		volatile char *b = map(fd, GIB(1), RW);

		for (size_t at = 0; at < MIB(32); at += PAGE)
			b[at] = 5;
		CHECK_EQ(write(ready[1], "x", 1), 1);
		for (;;)
			for (size_t at = 0; at < GIB(1); at += MIB(2))
				b[at] = 6;
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK(!granularity() || counters().attachments >= 1);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(exit_status_of(pid), -SIGKILL);
	CHECK_EQ(counters().attachments, 0);	/* nothing was attached here yet */
	CHECK_EQ(a[PAGE], 5);
}

static void truncate_mapped(size_t bytes)
{
	int fd = open_object("sized", bytes);
	volatile char *r = map(fd, bytes, PROT_READ), *a = map_attached(fd, bytes);
	const size_t far = bytes - MIB(24);

	a[MIB(10) + PAGE] = 1;
	a[MIB(10) + PAGE + 200] = 2;
	a[MIB(10) + PAGE * 3] = 3;
	a[far] = 4;
	CHECK_EQ(r[far], 4);
	CHECK_EQ(ftruncate(fd, MIB(10) + PAGE + 100), 0);
	CHECK_EQ(signal_of_read(a + far), SIGBUS);
	CHECK_EQ(signal_of_read(r + far), SIGBUS);
	CHECK_EQ(signal_of_write(a + MIB(10) + PAGE * 3, 1), SIGBUS);
	CHECK_EQ(a[MIB(10) + PAGE], 1);
	CHECK_EQ(a[MIB(10) + PAGE + 200], 0);	/* behind the end of the file */
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 2);
	CHECK_EQ(ftruncate(fd, bytes), 0);
	CHECK_EQ(a[far], 0);
	CHECK_EQ(r[MIB(10) + PAGE * 3], 0);
	CHECK_ERRNO(ftruncate(fd, GIB(513)), EFBIG);
	CHECK_EQ(munmap((void *)a, bytes), 0);
	CHECK_EQ(munmap((void *)r, bytes), 0);
	CHECK_EQ(close(fd), 0);
}

static void follows_truncation(void)
{
	for_sizes(MIB(64), truncate_mapped);
}

static void lives_on_without_its_name(void)
{
	int fd = open_object("nameless", MIB(8));
	volatile char *a = map(fd, MIB(8), RW);

	a[0] = 1;
	CHECK_EQ(unlink("/morsel/nameless"), 0);
	CHECK_EQ(close(fd), 0);
	a[MIB(5)] = 2;
	CHECK_EQ(a[0], 1);
	CHECK_EQ(counters().objects, 1);
	CHECK_EQ(munmap((void *)a, MIB(8)), 0);
	CHECK_EQ(counters().objects, 0);
}

static void maps_small_roots(void)
{
	static const struct {
		unsigned level;
		size_t bytes;
	} roots[] = { { MORSEL_ROOT_PTE, MIB(2) }, { MORSEL_ROOT_PMD, GIB(1) } };
	int device = open_device();

	for (int i = 0; i < 2; i++) {
		struct morsel_create request = {
			.size = sizeof(request), .root_level = roots[i].level, .bytes = roots[i].bytes, .name = "small",
		};
		volatile char *a;

		CHECK_EQ(ioctl(device, MORSEL_IOC_CREATE, &request), 0);
		a = map(request.fd, roots[i].bytes, RW);
		a[0] = 1;
		a[roots[i].bytes - 1] = 2;
		CHECK_EQ(counters().attachments, !granularity() ? 0 : granularity() == 2 || !i ? 1 : 2);
		CHECK_EQ(info_of(request.fd).root_level, roots[i].level);
		CHECK_ERRNO(ftruncate(request.fd, roots[i].bytes + PAGE), EFBIG);
		CHECK_EQ(munmap((void *)a, roots[i].bytes), 0);
		CHECK_EQ(close(request.fd), 0);
		CHECK_EQ(unlink("/morsel/small"), 0);
	}
}

const struct test mapping_tests[] = {
	{ "shares_pages_between_mappings_and_processes", shares_pages_between_mappings_and_processes },
	{ "attaches_a_populated_gib_with_one_store", attaches_a_populated_gib_with_one_store },
	{ "is_inherited_by_fork", is_inherited_by_fork },
	{ "loses_only_what_is_unmapped", loses_only_what_is_unmapped },
	{ "moves_with_mremap", moves_with_mremap },
	{ "moves_and_shrinks_a_part_with_mremap", moves_and_shrinks_a_part_with_mremap },
	{ "loses_the_slot_in_which_it_is_split", loses_the_slot_in_which_it_is_split },
	{ "keeps_its_pages_through_madvise", keeps_its_pages_through_madvise },
	{ "survives_kill_9_of_a_process", survives_kill_9_of_a_process },
	{ "follows_truncation", follows_truncation },
	{ "lives_on_without_its_name", lives_on_without_its_name },
	{ "maps_small_roots", maps_small_roots },
	{ NULL, NULL },
};
