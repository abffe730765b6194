// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtual CPUs: a guest on an object's view, whose tables the machine's own nested paging walks. */
#define _GNU_SOURCE
#include "kmod/tests/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"

#define RW (MORSEL_READ | MORSEL_WRITE)

/* One object through two formats: every write is seen on the other side, and there is one copy of each page. */
static void process_and_guest_share_an_object(void)
{
	int fd = open_object("guest-shared", MIB(64)), vcpu = new_vcpu(fd, add_walked_view(fd));
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(64), PROT_READ | PROT_WRITE);
	struct morsel_vcpu_run request = program(MORSEL_VCPU_COMPARE_EXCHANGE, MIB(3) + 16);
	uint64_t page;

	for (page = 0; page < 64; page++)
		words[page * PAGE / 8] = 1000 + page;
	CHECK_EQ(info_of(fd).frames, 64);
	for (page = 0; page < 64; page++)
		CHECK_EQ(guest_read(vcpu, page * PAGE), 1000 + page);
	for (page = 0; page < 64; page++)
		guest_write(vcpu, page * PAGE + 8, 2000 + page);
	for (page = 0; page < 64; page++)
		CHECK_EQ(words[page * PAGE / 8 + 1], 2000 + page);
	CHECK_EQ(info_of(fd).frames, 64);	/* nothing was copied, nothing allocated */
	guest_write(vcpu, MIB(3), 7);		/* a hole: populated for the guest, and there for the process */
	CHECK_EQ(info_of(fd).frames, 65);
	CHECK_EQ(words[MIB(3) / 8], 7);
	CHECK_EQ(info_of(fd).frames, 65);
	words[MIB(3) / 8 + 2] = 5;
	request.expected = 4;
	request.value = 6;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.value, 5);
	CHECK_EQ(words[MIB(3) / 8 + 2], 5);
	request.expected = 5;
	request.value = 6;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.value, 5);
	CHECK_EQ(words[MIB(3) / 8 + 2], 6);
}

static void violations_fill_and_tell_what_it_took(void)
{
	int fd = open_object("guest-filled", MIB(64)), vcpu = new_vcpu(fd, add_walked_view(fd));
	const uint64_t fills = counters().fills_total;
	struct morsel_vcpu_run request = program(MORSEL_VCPU_READ, MIB(5));

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, MIB(4), MIB(6), RW, 0, NULL), 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.outcome, MORSEL_ACCESS_FILLED);
	CHECK_EQ(request.violations, 1);
	CHECK_EQ(request.violation, MIB(5));
	CHECK_EQ(request.access, MORSEL_READ);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);	/* what was filled stays */
	CHECK_EQ(request.outcome, MORSEL_ACCESS_HIT);
	CHECK_EQ(request.violations, 0);
	CHECK_EQ(counters().fills_total, fills + 1);
	request = program(MORSEL_VCPU_READ, MIB(5) + PAGE);
	request.flags = MORSEL_VCPU_NO_FILL;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_VIOLATION);
	CHECK_EQ(request.violation, MIB(5) + PAGE);
	request.flags = 0;
	request.offset = MIB(1);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_HOLE);
	request.offset = MIB(64);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_OUTSIDE);
	request.offset = GIB(500);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_OUTSIDE);
	CHECK_EQ(counters().fills_total, fills + 1);
}

static void rights_are_the_primarys(void)
{
	int fd = open_object("guest-rights", MIB(64)), vcpu = new_vcpu(fd, add_walked_view(fd));
	struct morsel_vcpu_run request = program(MORSEL_VCPU_WRITE, 0);

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(1), RW, 0, NULL), 0);
	guest_write(vcpu, 0, 1);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, MORSEL_READ, 0, NULL), 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DENIED);
	CHECK_EQ(guest_read(vcpu, 0), 1);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DENIED);
	CHECK_EQ(request.access, MORSEL_WRITE | MORSEL_VCPU_PRESENT);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, RW, 0, NULL), 0);
	request.value = 2;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(guest_read(vcpu, 0), 2);
	request = program(MORSEL_VCPU_EXEC, 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DENIED);
	CHECK_EQ(request.access, MORSEL_EXEC | MORSEL_VCPU_PRESENT);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, RW | MORSEL_EXEC, 0, NULL), 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.outcome, MORSEL_ACCESS_FILLED);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.outcome, MORSEL_ACCESS_HIT);
}

/* What stands where the guest fetches from cannot change the object. */
static void a_fetch_changes_nothing(void)
{
	/* movl $1, 0xf6(%rip) */
	static const unsigned char store[] = { 0xc7, 0x05, 0xf6, 0x00, 0x00, 0x00, 1, 0, 0, 0 };
	int fd = open_object("guest-fetched", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	struct morsel_vcpu_run request = program(MORSEL_VCPU_EXEC, 0);
	volatile char *primary = map(fd, MIB(2), PROT_READ | PROT_WRITE);

	memcpy((void *)primary, store, sizeof(store));
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, 0, PAGE, RW | MORSEL_EXEC, 0, NULL), 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(primary[0x100], 0);
}

static void an_access_is_done_by_the_hardware(void)
{
	int fd = open_object("guest-access", MIB(64));
	struct morsel_access request = {
		.size = sizeof(request), .view = add_walked_view(fd), .offset = MIB(7),
		.rights = MORSEL_WRITE, .flags = MORSEL_ACCESS_TOUCH | MORSEL_ACCESS_POPULATE, .value = 99,
	};

	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.walker, hardware()->walker);
	CHECK_EQ(request.result, MORSEL_ACCESS_POPULATED);
	CHECK_EQ(vcpu_count(), 0);
	request.rights = MORSEL_READ;
	request.value = 0;
	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.result, MORSEL_ACCESS_HIT);
	CHECK_EQ(request.value, 99);
	request.view = add_view(fd, MORSEL_FORMAT_ARM64_STAGE2);	/* no hardware for this one */
	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.walker, MORSEL_WALKER_ENGINE);
	CHECK_EQ(request.value, 99);
}

static void what_nothing_walks_is_refused_in_words(void)
{
	int fd = open_object("guest-refused", MIB(2)), reader = open("/morsel/guest-refused", O_RDONLY), vcpu;
	struct morsel_vcpu_create request;
	struct morsel_vcpu_run wrong;
	unsigned view = add_walked_view(fd);

	if (hardware()->walker == MORSEL_WALKER_VMX)	/* which does not take the primary's entries */
		CHECK_ERRNO(create_vcpu(fd, 0, &request), ENODEV);
	CHECK_ERRNO(create_vcpu(fd, add_view(fd, MORSEL_FORMAT_ARM64_STAGE2), &request), EOPNOTSUPP);
	CHECK(strstr(request.reason, "format") != NULL);
	CHECK_ERRNO(create_vcpu(fd, add_view(fd, MORSEL_FORMAT_EPT_L5), &request), ENODEV);
	CHECK(strstr(request.reason, hardware()->walker == MORSEL_WALKER_VMX ? "5 levels" : "no VMX") != NULL);
	CHECK_ERRNO(create_vcpu(fd, MORSEL_MAX_VIEWS, &request), ENOENT);
	CHECK_ERRNO(create_vcpu(reader, view, &request), EBADF);
	request = (struct morsel_vcpu_create){ .size = sizeof(request), .view = view, .format = 1 };
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_VCPU, &request), EINVAL);
	vcpu = new_vcpu(fd, view);
	CHECK_ERRNO(drop_view(fd, view), EBUSY);
	CHECK_ERRNO((long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vcpu, 0), EINVAL);	/* only a lab has memory */
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_INFO, &request), ENOTTY);
	wrong = program(0, 0);
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &wrong), EINVAL);
	wrong = program(MORSEL_VCPU_RUN_CODE + 1, 0);
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &wrong), EINVAL);
	wrong = program(MORSEL_VCPU_READ, 4);
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &wrong), EINVAL);
	wrong = program(MORSEL_VCPU_READ, MORSEL_VCPU_CODE);
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &wrong), EINVAL);
	wrong = program(MORSEL_VCPU_RUN_CODE, 0);
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &wrong), EINVAL);
	wrong.code_bytes = 8;
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &wrong), EFAULT);
	wrong = program(MORSEL_VCPU_READ, 0);
	wrong.flags = 16;
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &wrong), EINVAL);
	close(vcpu);
	CHECK_EQ(drop_view(fd, view), 0);
}

static void a_fill_without_memory_is_an_error(void)
{
	int fd = open_object("guest-memory", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	struct morsel_inject rule = {
		.size = sizeof(rule), .point = MORSEL_POINT_alloc, .action = MORSEL_FAULT_FAIL, .view = 1,
		.nth = 1, .times = 1, .interval = 1, .probability = 100,
	};
	struct morsel_vcpu_run request = program(MORSEL_VCPU_READ, 0);
	int device = open_device();

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, RW, 0, NULL), 0);
	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_ADD, &rule), 0);
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &request), ENOMEM);
	CHECK_EQ(ioctl(device, MORSEL_IOC_INJECT_CLEAR, 0), 0);
	CHECK_EQ(guest_read(vcpu, 0), 0);
	close(device);
}

/* The bits that hardware sets in the view are what a harvest reports, each time anew. */
static void what_the_guest_writes_is_harvested(void)
{
	int fd = open_object("guest-harvest", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd)), round;
	uint64_t accessed[8], dirty[8];
	struct morsel_harvest harvest = {
		.size = sizeof(harvest), .end = MIB(2), .accessed = (uintptr_t)accessed, .dirty = (uintptr_t)dirty,
	};

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(2), RW, 0, NULL), 0);
	CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &harvest), 0);	/* what populating itself has marked */
	for (round = 0; round < 3; round++) {
		guest_write(vcpu, 5 * PAGE, 1);
		guest_read(vcpu, 9 * PAGE);
		CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &harvest), 0);
		CHECK_EQ(dirty[0], 1 << 5);
		CHECK_EQ(accessed[0], 1 << 5 | 1 << 9);
		CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &harvest), 0);
		CHECK_EQ(dirty[0], 0);
		CHECK_EQ(accessed[0], 0);
	}
}

/* Journal and gate know the filler as a vCPU. */
static void the_filler_is_a_vcpu(void)
{
	int fd = open_object("guest-actor", MIB(2));

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(2), RW, 0, NULL), 0);
	expect_a_vcpu_at_the_gate(new_vcpu(fd, add_walked_view(fd)));
}

static int create_lab(struct morsel_vcpu_create *request)
{
	int device = open_device(), result;

	*request = (struct morsel_vcpu_create){ .size = sizeof(*request), .format = hardware()->format };
	result = ioctl(device, MORSEL_IOC_VCPU_LAB, request);
	close(device);
	return result;
}

/* Theirs, and those of the CPUs while there is a vCPU; in whatever order they go. */
static void vcpus_and_labs_give_their_pages_back(void)
{
	int fd = open_object("guest-pages", MIB(2)), first, second, round;
	unsigned view = add_walked_view(fd);
	struct morsel_vcpu_create lab;
	uint64_t one = 0;

	for (round = 0; round < 100; round++) {
		CHECK_EQ(counters().own_pages, 0);
		first = new_vcpu(fd, view);
		if (!one)
			one = counters().own_pages;
		CHECK(one > 0);
		CHECK_EQ(counters().own_pages, one);
		second = new_vcpu(fd, view);
		CHECK(counters().own_pages > one && counters().own_pages < 2 * one);
		CHECK_EQ(create_lab(&lab), 0);
		CHECK(counters().own_pages > one + MORSEL_LAB_BYTES / PAGE);
		close(round % 2 ? first : second);
		close(lab.fd);
		CHECK_EQ(guest_read(round % 2 ? second : first, 0), 0);
		CHECK_EQ(counters().own_pages, one);
		close(round % 2 ? second : first);
	}
	CHECK_EQ(counters().own_pages, 0);
}

/* The vCPU is there when its lab is refused. */
static void a_lab_without_memory_leaves_nothing(void)
{
	struct morsel_vcpu_create lab;
	int round;

	CHECK(hardware()->format);	/* found by a lab, once */
	limit_memory(MIB(1));
	for (round = 0; round < 20; round++) {
		CHECK_ERRNO(create_lab(&lab), ENOMEM);
		CHECK(strstr(lab.reason, "2 MiB") != NULL);
		CHECK_EQ(counters().own_pages, 0);
		CHECK_EQ(vcpu_count(), 0);
	}
	lift_memory_limit();
	CHECK_EQ(create_lab(&lab), 0);
}

const struct test vcpu_tests[] = {
	{ "process_and_guest_share_an_object", process_and_guest_share_an_object },
	{ "violations_fill_and_tell_what_it_took", violations_fill_and_tell_what_it_took },
	{ "rights_are_the_primarys", rights_are_the_primarys },
	{ "a_fetch_changes_nothing", a_fetch_changes_nothing },
	{ "an_access_is_done_by_the_hardware", an_access_is_done_by_the_hardware },
	{ "what_nothing_walks_is_refused_in_words", what_nothing_walks_is_refused_in_words },
	{ "a_fill_without_memory_is_an_error", a_fill_without_memory_is_an_error },
	{ "what_the_guest_writes_is_harvested", what_the_guest_writes_is_harvested },
	{ "the_filler_is_a_vcpu", the_filler_is_a_vcpu },
	{ "vcpus_and_labs_give_their_pages_back", vcpus_and_labs_give_their_pages_back },
	{ "a_lab_without_memory_leaves_nothing", a_lab_without_memory_leaves_nothing },
	{ NULL, NULL },
};
