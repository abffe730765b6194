// SPDX-License-Identifier: GPL-2.0-or-later
/* Rights of mappings and of the primary's pages; other users of a process's pages (get_user_pages, futexes). */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)

static void refuses_private_and_executable_mappings(void)
{
	int fd = open_object("refused", MIB(4));
	volatile char *a = map(fd, MIB(4), RW);

	CHECK_ERRNO((long)mmap(NULL, MIB(4), RW, MAP_PRIVATE, fd, 0), EINVAL);
	CHECK_ERRNO((long)mmap(NULL, MIB(4), PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0), EPERM);
	CHECK_ERRNO(mprotect((void *)a, PAGE, PROT_READ | PROT_EXEC), EACCES);
}

static void follows_mprotect(void)
{
	int fd = open_object("protected", GIB(2));
	volatile char *a = map(fd, GIB(2), RW), *b = map(fd, GIB(2), RW);

	a[5] = 6;
	CHECK_EQ(mprotect((void *)a, GIB(2), PROT_READ), 0);
	CHECK_EQ(signal_of_write(a + 5, 1), SIGSEGV);
	CHECK_EQ(a[5], 6);
	CHECK_EQ(signal_of_write(b + 5, 7), 0);	/* another mapping keeps its rights */
	CHECK_EQ(a[5], 7);
	CHECK_EQ(mprotect((void *)a, GIB(2), RW), 0);
	CHECK_EQ(signal_of_write(a + 5, 8), 0);
	CHECK_EQ(b[5], 8);
	CHECK_EQ(mprotect((void *)(a + MIB(4) + PAGE), 2 * PAGE, PROT_READ), 0);
	CHECK_EQ(signal_of_write(a + MIB(4) + PAGE, 1), SIGSEGV);
	CHECK_EQ(signal_of_write(a + MIB(4), 1), 0);
	CHECK_EQ(signal_of_write(a + MIB(4) + 3 * PAGE, 1), 0);
	CHECK_EQ(signal_of_write(b + MIB(4) + PAGE, 9), 0);
	CHECK_EQ(a[MIB(4) + PAGE], 9);
	CHECK_EQ(mprotect((void *)a, PAGE, PROT_NONE), 0);
	CHECK_EQ(signal_of_read(a), SIGSEGV);
	CHECK_EQ(signal_of_read(b), 0);
}

/* A page that a read-only mapping shows must go with the primary's page. */
static void read_only_mapping_follows_the_primary(void)
{
	int fd = open_object("readonly", MIB(64));
	volatile char *w = map(fd, MIB(64), RW), *r = map(fd, MIB(64), PROT_READ);
	uint64_t pages;

	w[MIB(3)] = 1;
	CHECK_EQ(r[MIB(3)], 1);
	CHECK_EQ(signal_of_write(r + MIB(3), 2), SIGSEGV);
	CHECK_EQ(r[MIB(9)], 0);	/* populated by reading */
	w[MIB(9)] = 4;
	CHECK_EQ(r[MIB(9)], 4);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(64), 0, 0, &pages), 0);
	CHECK_EQ(pages, 2);
	CHECK_EQ(r[MIB(3)], 0);
	CHECK_EQ(w[MIB(3)], 0);
	w[MIB(3)] = 5;
	CHECK_EQ(r[MIB(3)], 5);
	CHECK_EQ(mprotect((void *)r, MIB(64), RW), 0);
	r[MIB(3)] = 6;
	CHECK_EQ(w[MIB(3)], 6);
}

static void read_only_page_of_the_primary_cannot_be_written(void)
{
	int fd = open_object("ropage", MIB(64));
	volatile char *attached = map(fd, MIB(64), RW);
	volatile char *by_page = mmap((char *)NULL, MIB(2), RW, MAP_SHARED, fd, PAGE);	/* no slot is covered */
	uint64_t pages;

	CHECK(by_page != MAP_FAILED);
	attached[PAGE] = 1;
	by_page[PAGE] = 2;
	CHECK_EQ(by_page[0], 1);
	CHECK_EQ(attached[2 * PAGE], 2);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, MIB(64), MORSEL_READ, 0, &pages), 0);
	CHECK_EQ(pages, 2);
	CHECK_EQ(signal_of_write(attached + PAGE, 3), SIGSEGV);
	CHECK_EQ(signal_of_write(by_page, 3), SIGSEGV);
	CHECK_EQ(attached[PAGE], 1);
	CHECK_EQ(by_page[0], 1);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, MIB(64), MORSEL_READ | MORSEL_WRITE, 0, &pages), 0);
	CHECK_EQ(signal_of_write(attached + PAGE, 4), 0);
	CHECK_EQ(signal_of_write(by_page + PAGE, 5), 0);
	CHECK_EQ(by_page[0], 4);
	CHECK_EQ(attached[2 * PAGE], 5);
}

static void large_pages_can_be_split(void)
{
	int fd = open_object("large", MIB(64));
	volatile char *a = map(fd, MIB(64), RW), *r = map(fd, MIB(64), PROT_READ);
	uint64_t pages;
	size_t at;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(8), MORSEL_READ | MORSEL_WRITE, 1, &pages), 0);
	CHECK_EQ(pages, 2048);
	for (at = 0; at < MIB(8); at += PAGE)
		a[at] = 3;
	CHECK_EQ(r[MIB(2) + 5 * PAGE], 3);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, MIB(2) + PAGE, MIB(2) + 3 * PAGE, 0, 0, &pages), 0);
	CHECK_EQ(pages, 2);
	CHECK_EQ(a[MIB(2)], 3);
	CHECK_EQ(a[MIB(2) + PAGE], 0);
	CHECK_EQ(a[MIB(2) + 3 * PAGE], 3);
	CHECK_EQ(r[MIB(2) + 2 * PAGE], 0);
	CHECK_EQ(r[MIB(4)], 3);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, MIB(4) + PAGE, MIB(4) + 2 * PAGE, MORSEL_READ, 0, &pages), 0);
	CHECK_EQ(signal_of_write(a + MIB(4) + PAGE, 1), SIGSEGV);
	CHECK_EQ(signal_of_write(a + MIB(4), 1), 0);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, MIB(6), MIB(8), MORSEL_READ, 0, &pages), 0);
	CHECK_EQ(signal_of_write(a + MIB(6), 1), SIGSEGV);
	CHECK_EQ(a[MIB(6)], 3);
}

static void pages_serve_other_users_of_memory(void)
{
	int fd = open_object("gup", GIB(1)), pipes[2], file;
	volatile char *a = map(fd, GIB(1), RW), *r = map(fd, GIB(1), PROT_READ);
	char buffer[8] = { 0 };
	struct iovec local = { buffer, 5 }, remote = { (char *)a + MIB(9), 5 }, whole = { (char *)a + MIB(9), PAGE };

	strcpy((char *)a + MIB(9), "peek");
	CHECK_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), 5);
	CHECK(!strcmp(buffer, "peek"));
	remote.iov_base = (char *)r + MIB(9);
	CHECK_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), 5);
	CHECK_EQ(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), -1);
	file = open("/tmp/through", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK_EQ(write(file, (char *)a + MIB(9), 5), 5);
	CHECK_EQ(lseek(file, 0, SEEK_SET), 0);
	CHECK_EQ(read(file, (char *)a + MIB(500), 5), 5);	/* into a page that is not there yet */
	CHECK(!strcmp((char *)a + MIB(500), "peek"));
	/* A page that a pipe holds outlives its unmapping, and is not given to anybody meanwhile. */
	CHECK_EQ(pipe(pipes), 0);
	CHECK_EQ(vmsplice(pipes[1], &whole, 1, 0), PAGE);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, MIB(9), MIB(9) + PAGE, 0, 0, NULL), 0);
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 1);
	CHECK_EQ(read(pipes[0], buffer, 5), 5);
	CHECK(!strcmp(buffer, "peek"));
	CHECK_EQ(a[MIB(9)], 0);
}

static void futexes_work_across_mappings(void)
{
	int fd = open_object("futex", MIB(64));
	int *word = (int *)(map(fd, MIB(64), RW) + MIB(11));
	int pid;

	*word = 0;
	pid = fork();
	if (!pid) {
		int *mine = (int *)(map(fd, MIB(64), RW) + MIB(11));

		while (syscall(SYS_futex, mine, FUTEX_WAKE, 1, NULL, NULL, 0) != 1)
			sched_yield();	/* the parent does not wait yet */
		_exit(0);
	}
	CHECK_EQ(syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
	CHECK_EQ(exit_status_of(pid), 0);
}

const struct test rights_tests[] = {
	{ "refuses_private_and_executable_mappings", refuses_private_and_executable_mappings },
	{ "follows_mprotect", follows_mprotect },
	{ "read_only_mapping_follows_the_primary", read_only_mapping_follows_the_primary },
	{ "read_only_page_of_the_primary_cannot_be_written", read_only_page_of_the_primary_cannot_be_written },
	{ "large_pages_can_be_split", large_pages_can_be_split },
	{ "pages_serve_other_users_of_memory", pages_serve_other_users_of_memory },
	{ "futexes_work_across_mappings", futexes_work_across_mappings },
	{ NULL, NULL },
};
