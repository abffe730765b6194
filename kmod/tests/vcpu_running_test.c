// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtual CPUs that run while others change what they see, move them, or take their CPU away. */
#define _GNU_SOURCE
#include "kmod/tests/spinner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The page moves to another frame, and goes, under a guest that reads it: each flush reaches it while it runs. */
static void a_flush_reaches_a_running_guest(void)
{
	int fd = open_object("guest-flushed", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	volatile uint64_t *word = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct spinner spinner;
	uint64_t pages, round, moved = 0;

	*word = 1;
	start_spinner(&spinner, vcpu, 0, 77);
	for (round = 0; round < 100; round++) {
		CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, PAGE, 0, 0, &pages), 0);
		moved += pages;
		CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(2), 0, 0, &pages), 0);
		CHECK_EQ(*word, 0);	/* in a new frame: the guest must see what is written there */
		*word = 1;
	}
	CHECK(moved > 0);
	*word = 77;
	join_spinner(&spinner);
	CHECK(spinner.request.violations > 0);
	CHECK(spinner.request.value > 0);
}

static void two_guests_share_a_view(void)
{
	int fd = open_object("guest-two", MIB(2));
	unsigned view = add_walked_view(fd);
	int first = new_vcpu(fd, view), second = new_vcpu(fd, view);
	struct spinner spinner;
	uint64_t round;

	CHECK_EQ(vcpu_count(), 2);
	for (round = 1; round <= 20; round++) {
		start_spinner(&spinner, first, 0, round);
		guest_write(second, 0, round);
		join_spinner(&spinner);
		guest_write(second, 8, round);
		CHECK_EQ(guest_read(first, 8), round);
		if (round % 5 == 0)
			CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, MIB(2), 0, 0, NULL), 0);
	}
	close(first);
	close(second);
	CHECK_EQ(vcpu_count(), 0);
}

static void a_running_vcpu_is_busy(void)
{
	int fd = open_object("guest-busy", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	volatile uint64_t *word = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct morsel_vcpu_run second = program(MORSEL_VCPU_READ, 0);
	struct spinner spinner;

	start_waiting_on(1, &spinner, vcpu, word, 9);
	CHECK_ERRNO(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, &second), EBUSY);
	word[0] = 9;
	join_spinner(&spinner);
	CHECK_EQ(run(vcpu, &second), MORSEL_VCPU_DONE);
}

static void a_guest_moves_between_cpus(void)
{
	int fd = open_object("guest-moved", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	volatile uint64_t *word = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct spinner spinner;
	int i;

	start_waiting_on(1, &spinner, vcpu, word, 1);
	for (i = 0; i < 50; i++) {
		pin_thread(spinner.thread, i % 2);
		CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, PAGE, 0, 0, NULL), 0);
	}
	*word = 1;
	join_spinner(&spinner);
	CHECK(spinner.request.entries > 1);
	for (i = 0; i < 20; i++) {
		pin_thread(pthread_self(), i % 2);
		CHECK_EQ(change(fd, MORSEL_IOC_UNMAP, 0, MIB(2), 0, 0, NULL), 0);
		*word = 100 + i;
		CHECK_EQ(guest_read(vcpu, 0), 100 + i);
	}
}

/* Two guests and a process count in the same words, while the pages move and are harvested. */
static void no_write_is_lost_while_pages_move(void)
{
	int fd = open_object("guest-count", MIB(2));
	unsigned view = add_walked_view(fd), own = 0, page;
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct incrementer guests[2] = { { .vcpu = new_vcpu(fd, view), .seed = 1 },
					 { .vcpu = new_vcpu(fd, view), .seed = 2 } };
	const uint64_t end = INCREMENTED_PAGES * PAGE;
	uint64_t bits[2], moved = 0, pages;
	struct morsel_harvest harvest = {
		.size = sizeof(harvest), .end = end, .accessed = (uintptr_t)bits, .dirty = (uintptr_t)(bits + 1),
	};
	int i;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, end, MORSEL_READ | MORSEL_WRITE, 0, NULL), 0);
	for (i = 0; i < 2; i++)
		start_incrementer(&guests[i]);
	for (i = 0; i < 60; i++) {
		CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, end, 0, 0, &pages), 0);
		moved += pages;
		CHECK_EQ(ioctl(fd, MORSEL_IOC_HARVEST, &harvest), 0);
		__atomic_fetch_add(&words[3 * PAGE / 8], 1, __ATOMIC_SEQ_CST);
		own++;
	}
	for (i = 0; i < 2; i++)
		join_incrementer(&guests[i]);
	CHECK(moved > 0);
	for (page = 0; page < INCREMENTED_PAGES; page++)
		CHECK_EQ(words[page * PAGE / 8], guests[0].done[page] + guests[1].done[page] + (page == 3 ? own : 0));
}

static void set_online(int cpu, int online)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, online ? "1" : "0", 1), 1);
	close(fd);
}

static void a_cpu_goes_and_comes_back(void)
{
	int fd = open_object("guest-hotplug", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd));
	volatile uint64_t *word = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	struct spinner spinner;

	start_waiting_on(1, &spinner, vcpu, word, 1);
	set_online(1, 0);
	CHECK_EQ(guest_read(new_vcpu(fd, 1), 0), 0);
	set_online(1, 1);
	pin_thread(pthread_self(), 1);
	guest_write(new_vcpu(fd, 1), 8, 3);
	*word = 1;
	join_spinner(&spinner);
	CHECK_EQ(word[1], 3);
}

/* Of CPU 1, from a line of /proc/interrupts. */
static unsigned long long interrupts(const char *which)
{
	FILE *file = fopen("/proc/interrupts", "re");
	unsigned long long first, second = 0;
	char line[1024], name[16];

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " %15s %llu %llu", name, &first, &second) == 3 && !strcmp(name, which)) {
			fclose(file);
			return second;
		}
	CHECK(!"such a line");
	return 0;
}

/*
 * The timer's interrupts, and those of other CPUs, come through to a CPU whose guest never leaves by itself: a lost one
 * of the timer would be its last, one of another CPU's would be waited for for ever.
 */
static void interrupts_come_through_a_running_guest(void)
{
	int fd = open_object("guest-interrupts", MIB(2)), vcpu = new_vcpu(fd, add_walked_view(fd)), i;
	volatile uint64_t *words = (volatile uint64_t *)map(fd, MIB(2), PROT_READ | PROT_WRITE);
	unsigned long long ticks, calls;
	struct spinner spinner;

	start_waiting_on(1, &spinner, vcpu, words, 1);
	pin_thread(pthread_self(), 0);
	ticks = interrupts("LOC:");
	calls = interrupts("CAL:");
	for (i = 0; i < 100; i++)
		CHECK_EQ(change(fd, MORSEL_IOC_MIGRATE, 0, PAGE, 0, 0, NULL), 0);
	while (interrupts("LOC:") < ticks + 200)
		sched_yield();
	CHECK(interrupts("CAL:") >= calls + 100);
	CHECK_EQ(words[1], 1);
	words[0] = 1;
	join_spinner(&spinner);
	CHECK(spinner.request.interrupts >= 100);
}

const struct test vcpu_running_tests[] = {
	{ "a_flush_reaches_a_running_guest", a_flush_reaches_a_running_guest },
	{ "two_guests_share_a_view", two_guests_share_a_view },
	{ "a_running_vcpu_is_busy", a_running_vcpu_is_busy },
	{ "a_guest_moves_between_cpus", a_guest_moves_between_cpus },
	{ "no_write_is_lost_while_pages_move", no_write_is_lost_while_pages_move },
	{ "a_cpu_goes_and_comes_back", a_cpu_goes_and_comes_back },
	{ "interrupts_come_through_a_running_guest", interrupts_come_through_a_running_guest },
	{ NULL, NULL },
};
