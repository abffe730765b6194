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

static void is_inherited_by_fork(void)
{
	int fd = open_object("forked", MIB(64));
	volatile char *a = map(fd, MIB(64), RW);
	int pid;

	a[0] = 1;
	a[MIB(40)] = 2;
	pid = fork();
	if (!pid) {
		CHECK_EQ(a[0], 1);
		CHECK_EQ(a[MIB(40)], 2);
		a[MIB(20)] = 3;
		pid = fork();	/* and by the child's child */
		if (!pid) {
			CHECK_EQ(a[MIB(20)], 3);
			a[MIB(21)] = 4;
			_exit(0);
		}
		CHECK_EQ(exit_status_of(pid), 0);
		_exit(0);
	}
	CHECK_EQ(exit_status_of(pid), 0);
	CHECK_EQ(a[MIB(20)], 3);
	CHECK_EQ(a[MIB(21)], 4);
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

static void moves_with_mremap(void)
{
	int fd = open_object("moved", MIB(256));
	volatile char *a = map(fd, MIB(256), RW), *other = map(fd, MIB(256), RW);
	char *room = mmap(NULL, GIB(2), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned = (char *)(((uintptr_t)room + GIB(1) - 1) & ~(GIB(1) - 1));
	char *odd = aligned + MIB(300) + PAGE;
	volatile char *moved;
	size_t at;

	CHECK(room != MAP_FAILED);
	for (at = 0; at < MIB(256); at += MIB(1))
		a[at] = (char)(at >> 20);
	moved = mremap((void *)a, MIB(256), MIB(256), MREMAP_MAYMOVE | MREMAP_FIXED, aligned);
	CHECK(moved == aligned);
	CHECK_EQ(signal_of_read(a), SIGSEGV);
	for (at = 0; at < MIB(256); at += MIB(1))
		CHECK_EQ(moved[at], (char)(at >> 20));
	/* To an address where no slot can be attached: page by page, and still the same pages. */
	moved = mremap((void *)moved, MIB(256), MIB(256), MREMAP_MAYMOVE | MREMAP_FIXED, odd);
	CHECK(moved == odd);
	for (at = 0; at < MIB(256); at += MIB(1))
		CHECK_EQ(moved[at], (char)(at >> 20));
	moved[MIB(3)] = 99;
	CHECK_EQ(other[MIB(3)], 99);
	CHECK(mremap((void *)moved, MIB(256), MIB(258), MREMAP_MAYMOVE) == MAP_FAILED);	/* VM_DONTEXPAND */
}

static void keeps_its_pages_through_madvise(void)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_REMOVE, 25 /* MADV_COLLAPSE */,
		MADV_DONTDUMP, MADV_RANDOM, MADV_WILLNEED,
	};
	int fd = open_object("advised", MIB(64));
	volatile char *a = map(fd, MIB(64), RW), *b = map(fd, MIB(64), RW);
	size_t i;

	for (i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		const char want = (char)(i + 1);

		a[PAGE * 9] = want;
		madvise((void *)a, MIB(4), advice[i]);	/* what it answers is the kernel's business */
		CHECK_EQ(a[PAGE * 9], want);
		CHECK_EQ(b[PAGE * 9], want);
		a[PAGE * 9]++;
		CHECK_EQ(b[PAGE * 9], want + 1);
	}
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

static void follows_truncation(void)
{
	int fd = open_object("cut", MIB(64));
	volatile char *a = map(fd, MIB(64), RW), *r = map(fd, MIB(64), PROT_READ);

	a[MIB(10) + PAGE] = 1;
	a[MIB(10) + PAGE + 200] = 2;
	a[MIB(10) + PAGE * 3] = 3;
	a[MIB(40)] = 4;
	CHECK_EQ(r[MIB(40)], 4);
	CHECK_EQ(ftruncate(fd, MIB(10) + PAGE + 100), 0);
	CHECK_EQ(signal_of_read(a + MIB(40)), SIGBUS);
	CHECK_EQ(signal_of_read(r + MIB(40)), SIGBUS);
	CHECK_EQ(signal_of_write(a + MIB(10) + PAGE * 3, 1), SIGBUS);
	CHECK_EQ(a[MIB(10) + PAGE], 1);
	CHECK_EQ(a[MIB(10) + PAGE + 200], 0);	/* behind the end of the file */
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 1);
	CHECK_EQ(ftruncate(fd, MIB(64)), 0);
	CHECK_EQ(a[MIB(40)], 0);
	CHECK_EQ(r[MIB(10) + PAGE * 3], 0);
	CHECK_ERRNO(ftruncate(fd, GIB(513)), EFBIG);
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
	{ "keeps_its_pages_through_madvise", keeps_its_pages_through_madvise },
	{ "survives_kill_9_of_a_process", survives_kill_9_of_a_process },
	{ "follows_truncation", follows_truncation },
	{ "lives_on_without_its_name", lives_on_without_its_name },
	{ "maps_small_roots", maps_small_roots },
	{ NULL, NULL },
};
