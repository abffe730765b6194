// SPDX-License-Identifier: GPL-2.0-or-later
/* The ioctl interface: what it refuses, and with which errno. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/abi/morsel_vcpu.h"

#define RW (MORSEL_READ | MORSEL_WRITE)

static void ranges_are_checked(void)
{
	int fd = open_object("ranges", MIB(64));
	struct morsel_range range = { .size = sizeof(range), .rights = RW, .end = PAGE, .reserved = 1 };

	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_POPULATE, &range), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 1, PAGE, RW, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, PAGE + 1, RW, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, PAGE, MIB(4), RW, 1, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, PAGE, PAGE, RW, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, MIB(2), MIB(1), RW, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, MIB(64) + PAGE, RW, 0, NULL), ERANGE);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, ~0ull & ~0xfffull, ~0ull, RW, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, ~0ull & ~0xfffull, RW, 0, NULL), ERANGE);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, 0, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, MORSEL_WRITE, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, 8 | RW, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, GIB(1), RW, 2, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, RW, 0x100, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_UNMAP, 0, PAGE, MORSEL_READ, 0, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_UNMAP, 0, MIB(2), 0, 1, NULL), EINVAL);
	CHECK_ERRNO(change(fd, MORSEL_IOC_UNMAP, 0, MIB(65), 0, 0, NULL), ERANGE);
	CHECK_ERRNO(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, 0, 0, NULL), EINVAL);
	CHECK_EQ(info_of(fd).frames, 0);
}

static void sizes_are_checked(void)
{
	int fd = open_object("sizes", MIB(2)), device = open_device();
	struct { struct morsel_range range; uint64_t later[4]; } longer;
	struct morsel_version version = { .size = sizeof(version) - 1 };

	memset(&longer, 0, sizeof(longer));
	longer.range.size = sizeof(longer);
	longer.range.rights = RW;
	longer.range.end = PAGE;
	CHECK_EQ(ioctl(fd, MORSEL_IOC_POPULATE, &longer), 0);	/* a later version that asks for nothing new */
	CHECK_EQ(longer.range.changed_pages, 1);
	longer.later[3] = 1;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_POPULATE, &longer), E2BIG);
	longer.range.size = sizeof(longer.range) - 1;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_POPULATE, &longer), EINVAL);
	longer.range.size = 0;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_POPULATE, &longer), EINVAL);
	longer.range.size = ~0u;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_POPULATE, &longer), E2BIG);
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_POPULATE, NULL), EFAULT);
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_INFO, (void *)-8l), EFAULT);
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_VERSION, &version), EINVAL);
	version.size = sizeof(version);
	CHECK_EQ(ioctl(device, MORSEL_IOC_VERSION, &version), 0);
	CHECK_EQ(version.abi_version, MORSEL_ABI_VERSION);
	CHECK_EQ(version.point_count, 43);
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_POPULATE, &longer), ENOTTY);
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_CREATE, &version), ENOTTY);
	CHECK_ERRNO(ioctl(fd, 0xdeadbeef, &version), ENOTTY);
	CHECK_ERRNO(ioctl(device, 0xdeadbeef, &version), ENOTTY);
}

static void creation_is_checked(void)
{
	int device = open_device();
	struct morsel_create request = { .size = sizeof(request), .bytes = MIB(2), .root_level = 3, .name = "made" };

	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EINVAL);
	request.root_level = MORSEL_ROOT_PTE;
	request.bytes = MIB(2) + PAGE;
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), ERANGE);
	request.bytes = 4095;
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EINVAL);
	request.bytes = PAGE;
	strcpy(request.name, "a/b");
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EINVAL);
	strcpy(request.name, "..");
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EINVAL);
	request.name[0] = 0;
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EINVAL);
	memset(request.name, 'x', sizeof(request.name));
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EINVAL);
	strcpy(request.name, "made");
	request.reserved = 1;
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EINVAL);
	request.reserved = 0;
	CHECK_EQ(ioctl(device, MORSEL_IOC_CREATE, &request), 0);
	CHECK_EQ(info_of(request.fd).bytes, PAGE);
	CHECK(!strcmp(info_of(request.fd).name, "made"));
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_CREATE, &request), EEXIST);
	CHECK_EQ(counters().objects, 1);
	CHECK_EQ(access("/morsel/made", F_OK), 0);	/* the same file system as the mounted one */
}

static void objects_are_listed(void)
{
	int device = open_device();
	char names[64];
	struct morsel_list list = { .size = sizeof(list), .names = (uintptr_t)names, .names_bytes = sizeof(names) };

	open_object("one", 0);
	open_object("three", 0);
	CHECK_EQ(ioctl(device, MORSEL_IOC_LIST, &list), 0);
	CHECK_EQ(list.count, 2);
	CHECK_EQ(list.names_bytes, sizeof("one") + sizeof("three"));
	CHECK(!memcmp(names, "one\0three", 10));
	list.names_bytes = 5;	/* too little room: says how much is needed */
	CHECK_EQ(ioctl(device, MORSEL_IOC_LIST, &list), 0);
	CHECK_EQ(list.names_bytes, 10);
	list.names_bytes = sizeof(names);
	list.names = 8;
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_LIST, &list), EFAULT);
}

static void views_and_accesses_are_checked(void)
{
	int fd = open_object("checked", MIB(2)), null = open("/dev/null", O_RDWR);
	struct morsel_view_add add = { .size = sizeof(add), .format = 0 };
	struct morsel_map_view select = { .size = sizeof(select), .view = 1 };
	unsigned ept, i;

	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_VIEW_ADD, &add), EINVAL);
	add.format = MORSEL_FORMAT_LAST + 1;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_VIEW_ADD, &add), EINVAL);
	add.format = MORSEL_FORMAT_EPT;
	add.reserved = 1;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_VIEW_ADD, &add), EINVAL);
	CHECK_ERRNO(ioctl(null, MORSEL_IOC_VIEW_ADD, &add), ENOTTY);	/* a descriptor of something else */
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_MAP_VIEW, &select), ENOENT);
	ept = add_view(fd, MORSEL_FORMAT_EPT);
	select.view = ept;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_MAP_VIEW, &select), EINVAL);
	CHECK_ERRNO(drop_view(fd, 0), EINVAL);
	CHECK_ERRNO(drop_view(fd, 17), EINVAL);
	CHECK_ERRNO(drop_view(fd, 2), ENOENT);
	for (i = 1; i < MORSEL_MAX_VIEWS; i++)
		add_view(fd, MORSEL_FORMAT_NPT);
	add.reserved = 0;
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_VIEW_ADD, &add), ENOSPC);
	CHECK_ERRNO(access_view(fd, 99, 0, MORSEL_READ, 0, NULL, NULL), EINVAL);
	CHECK_ERRNO(access_view(fd, ept, 0, 0, 0, NULL, NULL), EINVAL);
	CHECK_ERRNO(access_view(fd, ept, 0, RW, 0, NULL, NULL), EINVAL);
	CHECK_ERRNO(access_view(fd, ept, 0, MORSEL_READ, 8, NULL, NULL), EINVAL);
	CHECK_ERRNO(access_view(fd, ept, 0, MORSEL_READ, MORSEL_ACCESS_VCPU, NULL, NULL), EINVAL);
	CHECK_ERRNO(access_view(fd, ept, 4, MORSEL_READ, MORSEL_ACCESS_TOUCH, NULL, NULL), EINVAL);
	CHECK_ERRNO(access_view(fd, ept, MIB(2), MORSEL_READ, MORSEL_ACCESS_POPULATE, NULL, NULL), ERANGE);
	CHECK_ERRNO(access_view(fd, ept, ~0ull & ~7ull, MORSEL_READ, MORSEL_ACCESS_POPULATE, NULL, NULL), ERANGE);
	CHECK_ERRNO(access_view(fd, 0, 0, MORSEL_READ, 0, NULL, NULL), ENXIO);
}

static void more_than_there_is_memory_is_an_error(void)
{
	int fd = open_object("huge", GIB(256));
	volatile char *a = map(fd, GIB(256), PROT_READ | PROT_WRITE);
	uint64_t frames;

	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, GIB(256), RW, 1, NULL), ENOMEM);
	CHECK_ERRNO(change(fd, MORSEL_IOC_POPULATE, 0, GIB(256), RW, 0, NULL), ENOMEM);
	frames = info_of(fd).frames;
	CHECK(frames > 0 && frames < GIB(256) / PAGE);
	CHECK_EQ(signal_of_write(a + GIB(255), 1), SIGBUS);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, GIB(256), 0, 0, NULL), 0);
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 0);
	CHECK_EQ(signal_of_write(a + GIB(255), 1), 0);
}

static void rights_are_needed(void)
{
	int fd = open_object("mine", MIB(2)), reader = open("/morsel/mine", O_RDONLY), device, pid;

	CHECK_EQ(fchmod(fd, 0644), 0);
	CHECK_ERRNO(change(reader, MORSEL_IOC_POPULATE, 0, PAGE, RW, 0, NULL), EBADF);
	CHECK_ERRNO(change(reader, MORSEL_IOC_UNMAP, 0, PAGE, 0, 0, NULL), EBADF);
	CHECK_ERRNO(drop_view(reader, 1), EBADF);
	CHECK_ERRNO(access_view(reader, 0, 0, MORSEL_WRITE, 0, NULL, NULL), EBADF);
	CHECK_ERRNO(access_view(reader, 0, 0, MORSEL_READ, MORSEL_ACCESS_POPULATE, NULL, NULL), EBADF);
	CHECK_ERRNO((long)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0), EACCES);
	CHECK(info_of(reader).root_pa != 0);
	device = open_device();
	pid = fork();
	if (!pid) {
		struct morsel_counters c = { .size = sizeof(c) };
		struct morsel_version version = { .size = sizeof(version) };

		CHECK_EQ(setuid(1000), 0);
		CHECK_ERRNO(open("/dev/morsel", O_RDWR), EACCES);
		CHECK_ERRNO(ioctl(device, MORSEL_IOC_COUNTERS, &c), EPERM);
		CHECK_EQ(ioctl(device, MORSEL_IOC_VERSION, &version), 0);
		CHECK_EQ(info_of(reader).root_pa, 0);	/* physical addresses are not for everybody */
		_exit(0);
	}
	CHECK_EQ(exit_status_of(pid), 0);
}

static void freed_memory_is_waited_for(void)
{
	int fd = open_object("settled", MIB(64));
	unsigned i;

	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_SETTLE, 1), EINVAL);
	settle(fd);	/* nothing to wait for */
	for (i = 0; i < 50; i++) {
		CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(1), RW, 0, NULL), 0);
		CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(1), 0, 0, NULL), 0);
		settle(fd);
		CHECK_EQ(info_of(fd).frames, 0);
	}
}

static void do_nothing(int number)
{
	(void)number;
}

static void forgotten_processes_are_waited_for(void)
{
	const struct itimerspec soon = { .it_interval.tv_nsec = 10000000, .it_value.tv_nsec = 10000000 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	const struct sigaction interrupt = { .sa_handler = do_nothing };
	timer_t timer;
	int fd = open_object("known", MIB(2)), device = open_device(), i;
	volatile char *a;

	CHECK_ERRNO(ioctl(device, MORSEL_IOC_IDLE, 1), EINVAL);
	for (i = 0; i < 50; i++) {
		int pid = fork();

		if (!pid) {
			map(fd, MIB(2), PROT_READ | PROT_WRITE)[0] = 1;
			kill(getpid(), SIGKILL);
		}
		CHECK_EQ(exit_status_of(pid), -SIGKILL);
		wait_until_idle();
		CHECK_EQ(counters().contexts, 0);
	}
	a = map(fd, MIB(2), PROT_READ | PROT_WRITE);
	a[0] = 1;
	CHECK_EQ(sigaction(SIGUSR1, &interrupt, NULL), 0);
	CHECK_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	CHECK_EQ(timer_settime(timer, 0, &soon, NULL), 0);
	CHECK_ERRNO(ioctl(device, MORSEL_IOC_IDLE, 0), EINTR);	/* this process itself is known */
	CHECK_EQ(timer_delete(timer), 0);
}

const struct test request_tests[] = {
	{ "ranges_are_checked", ranges_are_checked },
	{ "sizes_are_checked", sizes_are_checked },
	{ "creation_is_checked", creation_is_checked },
	{ "objects_are_listed", objects_are_listed },
	{ "views_and_accesses_are_checked", views_and_accesses_are_checked },
	{ "more_than_there_is_memory_is_an_error", more_than_there_is_memory_is_an_error },
	{ "rights_are_needed", rights_are_needed },
	{ "freed_memory_is_waited_for", freed_memory_is_waited_for },
	{ "forgotten_processes_are_waited_for", forgotten_processes_are_waited_for },
	{ NULL, NULL },
};
