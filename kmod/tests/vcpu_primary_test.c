// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtual CPUs on the primary: no view, hardware walks the tables that processes have attached. */
#define _GNU_SOURCE
#include "kmod/tests/spinner.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#define PRIMARY 0
#define RW (MORSEL_READ | MORSEL_WRITE)

/* What is populated is there at once: no violation, whatever the size, through tables of the same number. */
static void all_that_is_populated_is_there_without_a_violation(void)
{
	int fd = open_object("primary-there", GIB(1)), vcpu;
	volatile uint64_t *words = (volatile uint64_t *)map(fd, GIB(1), PROT_READ | PROT_WRITE);
	const uint64_t places[] = { 0, PAGE, MIB(2) + 8, MIB(700), GIB(1) - PAGE };
	struct morsel_vcpu_run request;
	uint64_t tables;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		words[places[i] / 8] = 100 + i;
	tables = info_of(fd).tables;
	vcpu = new_vcpu(fd, PRIMARY);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		request = program(MORSEL_VCPU_READ, places[i]);
		request.flags = MORSEL_VCPU_NO_FILL;
		CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
		CHECK_EQ(request.value, 100 + i);
		CHECK_EQ(request.violations, 0);
		guest_write(vcpu, places[i], 200 + i);
		CHECK_EQ(words[places[i] / 8], 200 + i);
	}
	CHECK_EQ(info_of(fd).tables, tables);
	CHECK_EQ(info_of(fd).frames, sizeof(places) / sizeof(places[0]));
}

static void a_violation_populates_the_primary(void)
{
	int fd = open_object("primary-populated", MIB(64)), vcpu = new_vcpu(fd, PRIMARY);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(64), PROT_READ | PROT_WRITE);
	struct morsel_vcpu_run request = program(MORSEL_VCPU_WRITE, MIB(5));

	request.value = 7;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.outcome, MORSEL_ACCESS_POPULATED);
	CHECK_EQ(request.violations, 1);
	CHECK_EQ(request.violation, MIB(5));
	CHECK_EQ(info_of(fd).frames, 1);
	CHECK_EQ(words[MIB(5) / 8], 7);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(request.violations, 0);
	request = program(MORSEL_VCPU_READ, MIB(9));
	request.flags = 0;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_HOLE);
	request.offset = MIB(64);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_OUTSIDE);
	request.offset = GIB(300);
	request.flags = MORSEL_VCPU_POPULATE;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_OUTSIDE);
	CHECK_EQ(info_of(fd).frames, 1);
}

/* Whatever the level of the primary's root. */
static void a_primary_of_any_root_is_walked(void)
{
	static const struct { unsigned level; size_t bytes; } roots[] = {
		{ MORSEL_ROOT_PTE, MIB(2) }, { MORSEL_ROOT_PMD, GIB(1) }, { MORSEL_ROOT_PUD, GIB(2) },
	};
	size_t i;

	for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		struct morsel_create create = {
			.size = sizeof(create), .root_level = roots[i].level, .bytes = roots[i].bytes,
		};
		int device = open_device(), fd, vcpu;
		struct morsel_vcpu_run request = program(MORSEL_VCPU_READ, roots[i].bytes);

		snprintf(create.name, sizeof(create.name), "primary-root-%zu", i);
		CHECK_EQ(ioctl(device, MORSEL_IOC_CREATE, &create), 0);
		fd = create.fd;
		vcpu = new_vcpu(fd, PRIMARY);
		guest_write(vcpu, 0, 3);
		guest_write(vcpu, roots[i].bytes - 8, 4);
		CHECK_EQ(guest_read(new_vcpu(fd, add_view(fd, MORSEL_FORMAT_NPT)), roots[i].bytes - 8), 4);
		CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_OUTSIDE);
		close(device);
	}
}

static void rights_and_large_pages_are_the_primarys(void)
{
	int fd = open_object("primary-rights", MIB(8)), vcpu = new_vcpu(fd, PRIMARY);
	struct morsel_vcpu_run request = program(MORSEL_VCPU_WRITE, MIB(3));

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, MIB(2), MIB(4), RW, 1, NULL), 0);
	guest_write(vcpu, MIB(3), 1);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, MIB(2), MIB(4), MORSEL_READ, 0, NULL), 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DENIED);
	CHECK_EQ(request.access, MORSEL_WRITE | MORSEL_VCPU_PRESENT);
	CHECK_EQ(guest_read(vcpu, MIB(3)), 1);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, MIB(2), MIB(4), RW, 0, NULL), 0);
	guest_write(vcpu, MIB(3), 2);
	request = program(MORSEL_VCPU_EXEC, MIB(3));
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DENIED);
	CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, MIB(2), MIB(4), RW | MORSEL_EXEC, 0, NULL), 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	CHECK_EQ(change(fd, MORSEL_IOC_SPLIT, MIB(2), MIB(4), 0, 0, NULL), 0);
	CHECK_EQ(guest_read(vcpu, MIB(3)), 2);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, MIB(3), MIB(3) + PAGE, 0, 0, NULL), 0);
	CHECK_EQ(guest_read(vcpu, MIB(3)), 0);
}

/* The guest goes on where the process looks, not in a page that is no more there. */
static void wait_until_written(volatile uint64_t *word)
{
	const uint64_t seen = *word;

	while (*word == seen)
		sched_yield();
}

/* Pages are split, move, go, and lose their rights under a guest that writes: each change reaches it by itself. */
static void each_change_reaches_a_running_guest(void)
{
	static const unsigned char write_for_ever[] = { 0x48, 0xff, 0x03, 0xeb, 0xfb };	/* 1: incq (%rbx); jmp 1b */
	int fd = open_object("primary-flushed", MIB(32)), vcpu = new_vcpu(fd, PRIMARY);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(32), PROT_READ | PROT_WRITE);
	const int last = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	struct spinner spinner;
	uint64_t at, pages, seen;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(32), RW, 1, NULL), 0);
	pin_thread(pthread_self(), 0);
	for (at = 0; at < MIB(32); at += MIB(2)) {
		volatile uint64_t *word = &words[at / 8];

		start_code(&spinner, vcpu, write_for_ever, sizeof(write_for_ever), at, 0);
		pin_thread(spinner.thread, last);	/* it runs while this one does, if there are two */
		wait_until_written(word);
		CHECK_EQ(change(fd, MORSEL_IOC_SPLIT, at, at + MIB(2), 0, 0, NULL), 0);
		wait_until_written(word);
		do	/* an access while it moves calls it off */
			CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, at, at + PAGE, 0, 0, &pages), 0);
		while (!pages);
		wait_until_written(word);
		CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, at, at + PAGE, 0, 0, NULL), 0);
		wait_until_written(word);
		CHECK_EQ(change(fd, MORSEL_IOC_PROTECT, at, at + PAGE, MORSEL_READ, 0, NULL), 0);
		seen = *word;
		CHECK_EQ(end_of(&spinner), MORSEL_VCPU_DENIED);
		CHECK_EQ(*word, seen);
	}
}

/* The bits that hardware sets in the primary itself are what a harvest reports, each time anew. */
static void what_the_guest_uses_is_harvested(void)
{
	int fd = open_object("primary-harvest", MIB(2)), vcpu = new_vcpu(fd, PRIMARY), round;
	uint64_t accessed[8], dirty[8];
	struct morsel_harvest harvest = {
		.size = sizeof(harvest), .end = MIB(2), .accessed = (uintptr_t)accessed, .dirty = (uintptr_t)dirty,
	};

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(2), RW, 0, NULL), 0);
	CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &harvest), 0);
	for (round = 0; round < 3; round++) {
		guest_write(vcpu, 5 * PAGE, 1);
		guest_read(vcpu, 9 * PAGE);
		CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &harvest), 0);
		CHECK_EQ(dirty[0], 1 << 5);
		CHECK_EQ(accessed[0], 1 << 5 | 1 << 9);
		CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &harvest), 0);
		CHECK_EQ(dirty[0] | accessed[0], 0);
	}
}

static void what_is_cut_off_is_gone_for_the_guest(void)
{
	int fd = open_object("primary-cut", MIB(4)), vcpu = new_vcpu(fd, PRIMARY);
	struct morsel_vcpu_run request = program(MORSEL_VCPU_READ, MIB(3));

	guest_write(vcpu, MIB(1), 1);
	guest_write(vcpu, MIB(3), 3);
	CHECK_EQ(ftruncate(fd, MIB(2)), 0);
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_OUTSIDE);
	CHECK_EQ(guest_read(vcpu, MIB(1)), 1);
	CHECK_EQ(ftruncate(fd, MIB(4)), 0);
	CHECK_EQ(guest_read(vcpu, MIB(3)), 0);
}

/* A table that hardware may walk is emptied, not unlinked; it stays after the last vCPU, too. */
static void tables_below_an_attachment_stay(void)
{
	int fd = open_object("primary-tables", MIB(8)), vcpu;
	uint64_t tables;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(8), RW, 0, NULL), 0);
	tables = info_of(fd).tables;
	CHECK_EQ(info_of(fd).attached, 0);
	vcpu = new_vcpu(fd, PRIMARY);
	CHECK_EQ(info_of(fd).attached, 1);
	CHECK_EQ(counters().attachments, 1);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(8), 0, 0, NULL), 0);
	settle(fd);
	CHECK_EQ(info_of(fd).tables, tables);
	CHECK_ERRNO(change(fd, MORSEL_IOC_MERGE, 0, MIB(8), 0, 1, NULL), EBUSY);
	close(vcpu);
	CHECK_EQ(info_of(fd).attached, 0);
	CHECK_EQ(counters().attachments, 0);
}

/* The descriptor holds the object: it goes when the vCPU does. */
static void the_object_lives_as_long_as_its_guest(void)
{
	int fd = open_object("primary-held", MIB(2)), vcpu = new_vcpu(fd, PRIMARY);

	guest_write(vcpu, 0, 5);
	CHECK_EQ(unlink("/morsel/primary-held"), 0);
	close(fd);
	CHECK_EQ(counters().objects, 1);
	CHECK_EQ(guest_read(vcpu, 0), 5);
	close(vcpu);
	CHECK_EQ(counters().attachments, 0);
}

static void a_killed_runner_leaves_nothing(void)
{
	int fd = open_object("primary-killed", MIB(2)), pid;
	volatile uint64_t *word = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	uint64_t attachments;

	*word = 1;
	attachments = counters().attachments;	/* this process's own */
	pid = fork();
	if (!pid) {
		struct morsel_vcpu_run endless = program(MORSEL_VCPU_SPIN, 0);
		int vcpu = new_vcpu(fd, PRIMARY);

		guest_write(vcpu, 8, 2);
		endless.expected = 9;
		endless.timeout_ms = 0;
		ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &endless);
		_exit(1);
	}
	while (!word[1])
		sched_yield();
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK_EQ(exit_status_of(pid), -SIGKILL);
	CHECK_EQ(vcpu_count(), 0);
	CHECK_EQ(counters().attachments, attachments);
	CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(2), 0, 0, NULL), 0);
}

/* Two on the primary, one on a view, and a process count in the same words, while the pages move. */
static void no_write_is_lost_between_walkers_of_two_trees(void)
{
	int fd = open_object("primary-count", MIB(2)), i;
	unsigned view = add_view(fd, MORSEL_FORMAT_NPT);
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct incrementer guests[3] = { { .vcpu = new_vcpu(fd, PRIMARY), .seed = 1 },
					 { .vcpu = new_vcpu(fd, PRIMARY), .seed = 2 },
					 { .vcpu = new_vcpu(fd, view), .seed = 3 } };
	uint64_t own = 0, moved = 0, pages, page;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, INCREMENTED_PAGES * PAGE, RW, 0, NULL), 0);
	for (i = 0; i < 3; i++)
		start_incrementer(&guests[i]);
	for (i = 0; i < 60; i++) {
		CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, INCREMENTED_PAGES * PAGE, 0, 0, &pages), 0);
		moved += pages;
		__atomic_fetch_add(&words[3 * PAGE / 8], 1, __ATOMIC_SEQ_CST);
		own++;
	}
	for (i = 0; i < 3; i++)
		join_incrementer(&guests[i]);
	CHECK(moved > 0);
	for (page = 0; page < INCREMENTED_PAGES; page++)
		CHECK_EQ(words[page * PAGE / 8], guests[0].done[page] + guests[1].done[page] + guests[2].done[page] +
							 (page == 3 ? own : 0));
}

/* Journal and gate know who populates as a vCPU, in tree 0. */
static void who_populates_is_a_vcpu(void)
{
	int fd = open_object("primary-actor", MIB(2));

	expect_a_vcpu_at_the_gate(new_vcpu(fd, PRIMARY));
}

/* A vCPU would mark the object as attached for good: only who asks for one gets it. */
static void an_access_to_the_primary_makes_a_vcpu_on_request(void)
{
	int fd = open_object("primary-access", MIB(2));
	struct morsel_access request = {
		.size = sizeof(request), .rights = MORSEL_READ, .flags = MORSEL_ACCESS_TOUCH | MORSEL_ACCESS_POPULATE,
	};
	const uint64_t attached = counters().attached_total;

	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.walker, MORSEL_WALKER_ENGINE);
	CHECK_EQ(counters().attached_total, attached);
	request.flags |= MORSEL_ACCESS_VCPU;
	CHECK_EQ(ioctl(fd, MORSEL_IOC_ACCESS, &request), 0);
	CHECK_EQ(request.walker, MORSEL_WALKER_SVM);
	CHECK_EQ(request.result, MORSEL_ACCESS_HIT);
	CHECK_EQ(counters().attached_total, attached + 1);
	CHECK_EQ(vcpu_count(), 0);
	request.view = add_view(fd, MORSEL_FORMAT_RISCV_SV39);
	CHECK_ERRNO(ioctl(fd, MORSEL_IOC_ACCESS, &request), EOPNOTSUPP);
}

const struct test vcpu_primary_tests[] = {
	{ "all_that_is_populated_is_there_without_a_violation", all_that_is_populated_is_there_without_a_violation },
	{ "a_violation_populates_the_primary", a_violation_populates_the_primary },
	{ "a_primary_of_any_root_is_walked", a_primary_of_any_root_is_walked },
	{ "rights_and_large_pages_are_the_primarys", rights_and_large_pages_are_the_primarys },
	{ "each_change_reaches_a_running_guest", each_change_reaches_a_running_guest },
	{ "what_the_guest_uses_is_harvested", what_the_guest_uses_is_harvested },
	{ "what_is_cut_off_is_gone_for_the_guest", what_is_cut_off_is_gone_for_the_guest },
	{ "tables_below_an_attachment_stay", tables_below_an_attachment_stay },
	{ "the_object_lives_as_long_as_its_guest", the_object_lives_as_long_as_its_guest },
	{ "a_killed_runner_leaves_nothing", a_killed_runner_leaves_nothing },
	{ "no_write_is_lost_between_walkers_of_two_trees", no_write_is_lost_between_walkers_of_two_trees },
	{ "who_populates_is_a_vcpu", who_populates_is_a_vcpu },
	{ "an_access_to_the_primary_makes_a_vcpu_on_request", an_access_to_the_primary_makes_a_vcpu_on_request },
	{ NULL, NULL },
};
