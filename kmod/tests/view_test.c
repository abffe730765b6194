// SPDX-License-Identifier: GPL-2.0-or-later
/* Secondary views: walked by the CPU for a process, and by the engine's walker on request. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)

static void cpu_walks_a_view(void)
{
	int fd = open_object("walked", GIB(1));
	volatile char *primary = map(fd, GIB(1), RW), *view;
	unsigned number = add_view(fd, MORSEL_FORMAT_AMD64);
	uint64_t pages;

	primary[PAGE] = 1;
	primary[MIB(700)] = 2;
	view = map_view(fd, number, GIB(1));
	CHECK_EQ(view[PAGE], 1);
	CHECK_EQ(view[MIB(700)], 2);
	view[MIB(700)] = 3;
	CHECK_EQ(primary[MIB(700)], 3);
	view[MIB(300)] = 4;	/* a hole in the primary: populated */
	CHECK_EQ(primary[MIB(300)], 4);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, GIB(1), 0, 0, &pages), 0);
	CHECK_EQ(pages, 3);
	CHECK_EQ(view[PAGE], 0);
	CHECK_EQ(view[MIB(700)], 0);
	primary[MIB(300)] = 9;
	CHECK_EQ(view[MIB(300)], 9);
	CHECK_EQ(info_of(fd).views[0].attached, 1);
	CHECK_EQ(counters().attachments, granularity() == 2 ? 2 : 6);
}

static void another_process_sees_through_a_view(void)
{
	int fd = open_object("seen", MIB(64)), to_child[2], to_parent[2], pid;
	volatile char *primary = map(fd, MIB(64), RW);
	unsigned number = add_view(fd, MORSEL_FORMAT_AMD64);
	char byte;

	CHECK_EQ(pipe(to_child) | pipe(to_parent), 0);
	primary[MIB(5)] = 1;
	pid = fork();
	if (!pid) {
		volatile char *view = map_view(open_object("seen", 0), number, MIB(64));

		for (char round = 1; round <= 20; round++) {
			CHECK_EQ(view[MIB(5)], round);
			CHECK_EQ(write(to_parent[1], "x", 1), 1);
			CHECK_EQ(read(to_child[0], &byte, 1), 1);
			CHECK_EQ(view[MIB(5)], 0);
			CHECK_EQ(write(to_parent[1], "x", 1), 1);
			CHECK_EQ(read(to_child[0], &byte, 1), 1);
		}
		_exit(0);
	}
	for (char round = 1; round <= 20; round++) {
		CHECK_EQ(read(to_parent[0], &byte, 1), 1);
		CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, MIB(5), MIB(5) + PAGE, 0, 0, NULL), 0);
		CHECK_EQ(write(to_child[1], "x", 1), 1);
		CHECK_EQ(read(to_parent[0], &byte, 1), 1);
		primary[MIB(5)] = (char)(round + 1);
		CHECK_EQ(write(to_child[1], "x", 1), 1);
	}
	CHECK_EQ(exit_status_of(pid), 0);
}

static void view_has_the_rights_of_the_primary(void)
{
	int fd = open_object("viewrights", MIB(64));
	unsigned number = add_view(fd, MORSEL_FORMAT_AMD64);
	volatile char *view = map_view(fd, number, MIB(64));

	view[0] = 1;
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, MORSEL_READ, 0, NULL), 0);
	CHECK_EQ(signal_of_write(view, 2), SIGSEGV);
	CHECK_EQ(view[0], 1);	/* filled again, read-only */
	CHECK_EQ(signal_of_write(view, 2), SIGSEGV);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	CHECK_EQ(signal_of_write(view, 2), 0);
	CHECK_EQ(view[0], 2);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, MORSEL_READ, 0, NULL), 0);
	CHECK_EQ(view[0], 2);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	CHECK_EQ(view[0], 2);
	CHECK_EQ(signal_of_write(view, 3), 0);	/* an upgrade of a leaf that is present */
	CHECK_EQ(signal_of_read(view + MIB(64) - 1), 0);
	CHECK_EQ(ftruncate(fd, MIB(32)), 0);
	CHECK_EQ(signal_of_read(view + MIB(64) - 1), SIGBUS);
}

static void view_mirrors_large_pages(void)
{
	int fd = open_object("viewlarge", MIB(64));
	unsigned number = add_view(fd, MORSEL_FORMAT_AMD64), result;
	volatile char *primary = map(fd, MIB(64), RW), *view;
	size_t at;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(16), MORSEL_READ | MORSEL_WRITE, 1, NULL), 0);
	CHECK_EQ(access_view(fd, number, MIB(4), MORSEL_READ, 0, NULL, &result), 0);	/* a large leaf in the view */
	view = map_view(fd, number, MIB(64));
	for (at = 0; at < MIB(16); at += PAGE)
		view[at] = 5;
	for (at = 0; at < MIB(16); at += PAGE)
		CHECK_EQ(primary[at], 5);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, MIB(4) + PAGE, MIB(4) + 2 * PAGE, 0, 0, NULL), 0);
	CHECK_EQ(view[MIB(4) + PAGE], 0);
	CHECK_EQ(view[MIB(4)], 5);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, MIB(6), MIB(8), MORSEL_READ, 0, NULL), 0);
	CHECK_EQ(signal_of_write(view + MIB(6), 1), SIGSEGV);
	CHECK_EQ(view[MIB(6)], 5);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, MIB(6), MIB(8), MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	CHECK_EQ(signal_of_write(view + MIB(6), 1), 0);
}

static void view_mapping_is_all_or_nothing(void)
{
	int fd = open_object("viewflags", MIB(64)), pid;
	unsigned number = add_view(fd, MORSEL_FORMAT_AMD64);
	struct morsel_map_view request = { .size = sizeof(request), .view = number };
	volatile char *view;

	CHECK_EQ(ioctl(fd, MORSEL_IOC_MAP_VIEW, &request), 0);
	CHECK_ERRNO((long)mmap(NULL, MIB(64), PROT_READ, MAP_SHARED, fd, 0), EACCES);
	CHECK_ERRNO((long)mmap(NULL, MIB(1), RW, MAP_SHARED, fd, 0), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, MIB(2), RW, MAP_SHARED, fd, PAGE), EINVAL);
	view = map_view(fd, number, MIB(64));
	view[0] = 1;
	CHECK_ERRNO(mprotect((void *)view, MIB(64), PROT_READ), EACCES);
	CHECK_ERRNO(munmap((void *)(view + PAGE), PAGE), EINVAL);
	CHECK_EQ(munmap((void *)(view + MIB(32)), MIB(2)), 0);
	CHECK_EQ(signal_of_read(view + MIB(32)), SIGSEGV);
	CHECK_EQ(view[0], 1);
	CHECK_EQ(signal_of_read(view + MIB(34)), 0);
	CHECK_ERRNO(drop_view(fd, number), EBUSY);
	CHECK_ERRNO(madvise((void *)view, MIB(2), MADV_DOFORK), EINVAL);
	pid = fork();
	if (!pid)
		_exit(signal_of_read(view) == SIGSEGV ? 0 : 1);	/* not inherited */
	CHECK_EQ(exit_status_of(pid), 0);
	CHECK_EQ(munmap((void *)view, MIB(32)), 0);
	CHECK_EQ(munmap((void *)(view + MIB(34)), MIB(30)), 0);
	CHECK_EQ(drop_view(fd, number), 0);
	CHECK_ERRNO(drop_view(fd, number), ENOENT);
}

static void view_moves_as_a_whole(void)
{
	char buffer[8];
	struct iovec local = { buffer, sizeof(buffer) }, remote = { NULL, sizeof(buffer) };
	int fd = open_object("viewmoved", MIB(64));
	volatile char *view = map_view(fd, add_view(fd, MORSEL_FORMAT_AMD64), MIB(64)), *moved;
	char *room = mmap(NULL, MIB(256), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned = (char *)(((uintptr_t)room + MIB(2) - 1) & ~(MIB(2) - 1));

	view[MIB(3)] = 1;
	CHECK_ERRNO((long)mremap((void *)view, MIB(64), MIB(64), MREMAP_MAYMOVE | MREMAP_FIXED, aligned + PAGE),
		    EINVAL);
	CHECK_EQ(view[MIB(3)], 1);
	moved = mremap((void *)view, MIB(64), MIB(64), MREMAP_MAYMOVE | MREMAP_FIXED, aligned);
	CHECK(moved == aligned);
	CHECK_EQ(moved[MIB(3)], 1);
	CHECK_EQ(signal_of_read(view + MIB(3)), SIGSEGV);
	remote.iov_base = (char *)moved;	/* the kernel's other users of a process's pages stay away */
	CHECK_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT);
}

static void survives_kill_9_of_a_viewer(void)
{
	int fd = open_object("viewkilled", GIB(1)), ready[2], pid;
	unsigned number = add_view(fd, MORSEL_FORMAT_AMD64);
	char byte;

	CHECK_EQ(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		volatile char *view = map_view(open_object("viewkilled", 0), number, GIB(1));

		view[0] = 1;
		CHECK_EQ(write(ready[1], "x", 1), 1);
		for (;;)
			for (size_t at = 0; at < MIB(64); at += PAGE)
				view[at] = 2;
	}
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, GIB(1), 0, 0, NULL), 0);
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(exit_status_of(pid), -SIGKILL);
	CHECK_EQ(counters().attachments, 0);
	CHECK_EQ(info_of(fd).views[0].attached, 0);
	CHECK_EQ(drop_view(fd, number), 0);
}

static void a_number_that_changed_its_view_is_noticed(void)
{
	int fd = open_object("renumbered", MIB(64));
	unsigned number = add_view(fd, MORSEL_FORMAT_AMD64);
	struct morsel_map_view request = { .size = sizeof(request), .view = number };

	CHECK_EQ(ioctl(fd, MORSEL_IOC_MAP_VIEW, &request), 0);
	CHECK_EQ(drop_view(fd, number), 0);
	CHECK_ERRNO((long)mmap(NULL, MIB(64), RW, MAP_SHARED, fd, 0), ENOENT);
	CHECK_EQ(add_view(fd, MORSEL_FORMAT_EPT), number);
	CHECK_ERRNO((long)mmap(NULL, MIB(64), RW, MAP_SHARED, fd, 0), EINVAL);
}

static void access_tells_what_it_took(void)
{
	int fd = open_object("accessed", MIB(64));
	volatile char *primary = map(fd, MIB(64), RW);
	const unsigned touch = MORSEL_ACCESS_TOUCH, populate = MORSEL_ACCESS_POPULATE;
	unsigned result;
	uint64_t value;

	for (unsigned format = MORSEL_FORMAT_AMD64; format <= MORSEL_FORMAT_LAST; format++) {
		const unsigned number = add_view(fd, format);
		const uint64_t page = MIB(1 + format), hole = MIB(30 + format);

		*(volatile uint64_t *)(primary + page + 8) = 42;
		CHECK_EQ(access_view(fd, number, page + 8, MORSEL_READ, touch, &value, &result), 0);
		CHECK_EQ(result, MORSEL_ACCESS_FILLED);
		CHECK_EQ(value, 42);
		value = 43;
		CHECK_EQ(access_view(fd, number, page + 8, MORSEL_WRITE, touch, &value, &result), 0);
		CHECK_EQ(result, MORSEL_ACCESS_HIT);
		CHECK_EQ(*(volatile uint64_t *)(primary + page + 8), 43);
		CHECK_ERRNO(access_view(fd, number, hole, MORSEL_READ, 0, NULL, &result), ENXIO);
		CHECK_EQ(access_view(fd, number, hole, MORSEL_READ, populate, NULL, &result), 0);
		CHECK_EQ(result, MORSEL_ACCESS_POPULATED);
		CHECK_EQ(access_view(fd, number, hole, MORSEL_EXEC, 0, NULL, &result), 0);
		CHECK_EQ(result, MORSEL_ACCESS_DENIED);
		CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, page, page + PAGE, MORSEL_READ, 0, NULL), 0);
		CHECK_EQ(access_view(fd, number, page + 8, MORSEL_WRITE, touch, &value, &result), 0);
		CHECK_EQ(result, MORSEL_ACCESS_DENIED);
		CHECK_EQ(*(volatile uint64_t *)(primary + page + 8), 43);
		if (format != MORSEL_FORMAT_LAST)
			CHECK_EQ(drop_view(fd, number), 0);
	}
	/* The primary itself, view 0. */
	CHECK_ERRNO(access_view(fd, 0, MIB(60), MORSEL_READ, touch, &value, &result), ENXIO);
	value = 44;
	CHECK_EQ(access_view(fd, 0, MIB(60), MORSEL_WRITE, touch | populate, &value, &result), 0);
	CHECK_EQ(result, MORSEL_ACCESS_POPULATED);
	CHECK_EQ(*(volatile uint64_t *)(primary + MIB(60)), 44);
	CHECK_EQ(info_of(fd).view_count, 1);
	CHECK_EQ(add_view(fd, MORSEL_FORMAT_EPT), 2);
	CHECK_EQ(drop_view(fd, 1), 0);
	CHECK_EQ(info_of(fd).view_count, 1);
	CHECK_EQ(add_view(fd, MORSEL_FORMAT_EPT), 1);	/* the number is free again */
}

static void dropping_views_gives_their_tables_back(void)
{
	int fd = open_object("dropped", GIB(4));
	uint64_t tables, at;
	unsigned first, second, result;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(8), MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, GIB(3), GIB(3) + MIB(4), MORSEL_READ | MORSEL_WRITE, 1, NULL), 0);
	tables = info_of(fd).tables;
	first = add_view(fd, MORSEL_FORMAT_EPT);
	second = add_view(fd, MORSEL_FORMAT_NPT);
	for (at = 0; at < MIB(8); at += PAGE) {
		CHECK_EQ(access_view(fd, first, at, MORSEL_WRITE, 0, NULL, &result), 0);
		CHECK_EQ(access_view(fd, second, at, MORSEL_READ, 0, NULL, &result), 0);
	}
	CHECK_EQ(access_view(fd, first, GIB(3) + PAGE, MORSEL_READ, 0, NULL, &result), 0);
	/* 4 + 3 more tables each for the lower part: root, level 2, level 1, four of level 0; one for the large leaf */
	CHECK_EQ(info_of(fd).tables - tables, 7 + 7 + 1);
	CHECK_EQ(drop_view(fd, first), 0);
	CHECK_EQ(drop_view(fd, second), 0);
	settle(fd);
	CHECK_EQ(info_of(fd).tables, tables);
}

const struct test view_tests[] = {
	{ "cpu_walks_a_view", cpu_walks_a_view },
	{ "another_process_sees_through_a_view", another_process_sees_through_a_view },
	{ "view_has_the_rights_of_the_primary", view_has_the_rights_of_the_primary },
	{ "view_mirrors_large_pages", view_mirrors_large_pages },
	{ "view_mapping_is_all_or_nothing", view_mapping_is_all_or_nothing },
	{ "view_moves_as_a_whole", view_moves_as_a_whole },
	{ "survives_kill_9_of_a_viewer", survives_kill_9_of_a_viewer },
	{ "a_number_that_changed_its_view_is_noticed", a_number_that_changed_its_view_is_noticed },
	{ "access_tells_what_it_took", access_tells_what_it_took },
	{ "dropping_views_gives_their_tables_back", dropping_views_gives_their_tables_back },
	{ NULL, NULL },
};
