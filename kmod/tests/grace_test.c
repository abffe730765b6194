// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who waits for a grace period that somebody at the gate holds up: it can be killed, and nothing is lost by that. The
 * end of an object waits for nobody there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"
#include "kmod/tests/check.h"
#include "kmod/tests/gate_client.h"

#define RW (MORSEL_READ | MORSEL_WRITE)
#define ANY_TREE 0xffffffffu

static int is_inside(const struct morsel_gate_actor *actor)
{
	return actor->flags & MORSEL_GATE_INSIDE;
}

static int waits_for_grace(const struct morsel_gate_actor *actor)
{
	return actor->state == MORSEL_GATE_GRACE;
}

/* A process that does this and ends. It must not keep the gate. */
static int start(int gate, int fd, int (*work)(int fd))
{
	int pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		close(gate);
		_exit(work(fd));
	}
	return pid;
}

static int fill(int fd)
{
	unsigned result;

	return access_view(fd, 1, 3 * PAGE, MORSEL_READ, 0, NULL, &result) ? errno : 0;
}

static int harvest(int fd)
{
	static uint64_t accessed[8], dirty[8];
	struct morsel_harvest request = {
		.size = sizeof(request), .end = MIB(2), .accessed = (uintptr_t)accessed, .dirty = (uintptr_t)dirty,
	};

	if (ioctl(fd, MORSEL_IOC_HARVEST, &request))
		return 255;
	return (int)(dirty[0] & 0x7f);
}

static int merge(int fd)
{
	return change(fd, MORSEL_IOC_MERGE, 0, MIB(2), 0, 1, NULL) ? errno : 0;
}

static int drop_second_view(int fd)
{
	return drop_view(fd, 2) ? errno : 0;
}

/* An object with an EPT view, and who controls the gate; later a process that is about to fill a page of the view. */
struct held {
	int fd, gate, filler;
};

static struct held closed_gate(const char *name, unsigned leaf_level)
{
	struct held held = { .fd = open_object(name, MIB(4)) };

	CHECK_EQ(add_view(held.fd, MORSEL_FORMAT_EPT), 1);
	CHECK_EQ(change(held.fd, MORSEL_IOC_POPULATE, 0, MIB(2), RW, leaf_level, NULL), 0);
	if (leaf_level)
		CHECK_EQ(change(held.fd, MORSEL_IOC_SPLIT, 0, MIB(2), 0, 0, NULL), 0);
	held.gate = gate_new(60000);
	CHECK_EQ(gate_stop(held.gate), 0);
	return held;
}

static void hold_filler(struct held *held)
{
	held->filler = start(held->gate, held->fd, fill);
	gate_step_to(held->gate, held->filler, is_inside);
}

/* It is killed where it waits, and the filler still waits. */
static void kill_waiter(struct held *held, int pid)
{
	gate_step_to(held->gate, pid, waits_for_grace);
	kill(pid, SIGKILL);
	CHECK_EQ(exit_status_of(pid), -SIGKILL);
	CHECK_EQ(gate_wait_for(held->gate, held->filler, 0).state, MORSEL_GATE_AT_POINT);
}

static void let_go(struct held *held)
{
	close(held->gate);
	CHECK_EQ(exit_status_of(held->filler), 0);
}

static void a_harvest_can_be_killed(void)
{
	struct held held = closed_gate("harvested", 0);
	uint64_t value = 1;
	unsigned result;
	int harvester;

	CHECK_EQ(ioctl(held.gate, MORSEL_IOC_GATE_RUN, 0), 0);
	CHECK_EQ(harvest(held.fd), 0);
	CHECK_EQ(access_view(held.fd, 0, 5 * PAGE, MORSEL_WRITE, MORSEL_ACCESS_TOUCH, &value, &result), 0);
	CHECK_EQ(gate_stop(held.gate), 0);
	harvester = start(held.gate, held.fd, harvest);
	gate_run_until(held.gate, harvester, MORSEL_POINT_grace, 1);
	hold_filler(&held);
	kill_waiter(&held, harvester);
	let_go(&held);
	CHECK_EQ(harvest(held.fd), 1 << 5);	/* the killed one had taken the bit out of the entry */
}

/* One that has looked at all entries, and is about to mark the table. */
static int start_merger(struct held *held)
{
	int merger = start(held->gate, held->fd, merge);

	gate_run_until(held->gate, merger, MORSEL_POINT_mark, 3);
	return merger;
}

static void a_merge_can_be_killed_before_it_has_begun(void)
{
	struct held held = closed_gate("merged", 1);
	const int merger = start_merger(&held);
	uint64_t pages;

	hold_filler(&held);
	kill_waiter(&held, merger);
	let_go(&held);
	CHECK_EQ(change(held.fd, MORSEL_IOC_MERGE, 0, MIB(2), 0, 1, &pages), 0);
	CHECK_EQ(pages, 512);
}

/* Its leaf stands already; the table goes when nobody reads in it any more. */
static void a_merge_can_be_killed_when_it_is_done(void)
{
	struct held held = closed_gate("remerged", 1);
	const uint64_t tables = info_of(held.fd).tables;
	const int merger = start_merger(&held);
	uint64_t pages;

	gate_run_until(held.gate, merger, MORSEL_POINT_change, 1);
	hold_filler(&held);
	kill_waiter(&held, merger);
	CHECK_EQ(info_of(held.fd).tables, tables);
	let_go(&held);
	CHECK_EQ(change(held.fd, MORSEL_IOC_MERGE, 0, MIB(2), 0, 1, &pages), 0);
	CHECK_EQ(pages, 0);			/* it is a leaf */
	settle(held.fd);
}

static void a_dropped_view_goes_though_its_dropper_is_killed(void)
{
	struct held held = closed_gate("dropped", 0);
	unsigned number = 0;
	int left = 1000;

	CHECK_EQ(ioctl(held.gate, MORSEL_IOC_GATE_RUN, 0), 0);
	CHECK_EQ(add_view(held.fd, MORSEL_FORMAT_NPT), 2);
	CHECK_EQ(gate_stop(held.gate), 0);
	hold_filler(&held);
	kill_waiter(&held, start(held.gate, held.fd, drop_second_view));
	CHECK_EQ(info_of(held.fd).view_count, 1);
	let_go(&held);
	/* Its number is free a grace period later; dropping another one takes a grace period. */
	while (left-- && (number = add_view(held.fd, MORSEL_FORMAT_NPT)) != 2)
		CHECK_EQ(drop_view(held.fd, number), 0);
	CHECK_EQ(number, 2);
}

/* ---- the end of an object, of which something is being freed at the gate ---- */

static int close_it(int fd)
{
	return unlink("/morsel/ended") || close(fd);
}

static int be_killed(int fd)
{
	(void)fd;
	return unlink("/morsel/ended") || kill(getpid(), SIGKILL);
}

/* The directory is locked meanwhile. */
static int rename_onto_it(int fd)
{
	return close(fd) || rename("/morsel/other", "/morsel/ended");
}

/* A page that was written and its table are on their way out, and who frees them is about to say so. */
static int unmap_and_wait(int fd)
{
	uint64_t value = 1;
	unsigned result;

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, RW, 0, NULL), 0);
	CHECK_EQ(access_view(fd, 0, 0, MORSEL_WRITE, MORSEL_ACCESS_TOUCH, &value, &result), 0);
	return change(fd, MORSEL_IOC_UNMAP, 0, MIB(4), 0, 0, NULL);
}

static void wait_for_reclaim(int gate)
{
	struct pollfd changes = { .fd = gate, .events = POLLIN };
	struct morsel_gate_actor actor;

	while (!gate_list(gate, &actor, 1).count || actor.kind != MORSEL_ACTOR_RECLAIM ||
	       actor.state != MORSEL_GATE_AT_POINT)
		CHECK_EQ(poll(&changes, 1, 20000), 1);
}

static void end_object(int (*end)(int fd), int status)
{
	struct morsel_gate_until until = {
		.size = sizeof(until), .point = MORSEL_POINT_carry, .view = ANY_TREE, .nth = 2,
	};
	int fd = open_object("ended", MIB(4)), gate, pid, ready[2], go[2];
	char byte;

	CHECK_EQ(add_view(fd, MORSEL_FORMAT_EPT), 1);
	gate = gate_new(60000);
	CHECK_EQ(pipe(ready), 0);
	CHECK_EQ(pipe(go), 0);
	CHECK_EQ(ioctl(gate, MORSEL_IOC_GATE_UNTIL, &until), 0);
	pid = fork();
	if (!pid) {
		close(gate);
		alarm(20);
		CHECK_EQ(unmap_and_wait(fd), 0);
		CHECK_EQ(write(ready[1], "", 1), 1);
		CHECK_EQ(read(go[0], &byte, 1), 1);
		_exit(end(fd) ? errno : 0);
	}
	close(fd);
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	wait_for_reclaim(gate);
	CHECK_EQ(write(go[1], "", 1), 1);
	CHECK_EQ(exit_status_of(pid), status);
	CHECK_EQ(gate_list(gate, NULL, 0).closed, 1);
	CHECK_EQ(counters().objects, 1);
	CHECK_EQ(counters().views, 0);
	close(gate);
}

static void the_end_of_an_object_waits_for_nobody(void)
{
	open_object("other", 0);
	end_object(close_it, 0);
	end_object(be_killed, -SIGKILL);
	end_object(rename_onto_it, 0);
}

const struct test grace_tests[] = {
	{ "a_harvest_can_be_killed", a_harvest_can_be_killed },
	{ "a_merge_can_be_killed_before_it_has_begun", a_merge_can_be_killed_before_it_has_begun },
	{ "a_merge_can_be_killed_when_it_is_done", a_merge_can_be_killed_when_it_is_done },
	{ "a_dropped_view_goes_though_its_dropper_is_killed", a_dropped_view_goes_though_its_dropper_is_killed },
	{ "the_end_of_an_object_waits_for_nobody", the_end_of_an_object_waits_for_nobody },
	{ NULL, NULL },
};
