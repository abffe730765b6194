// SPDX-License-Identifier: GPL-2.0-or-later
/* The gate, by its own requests: who controls it, who waits at it, and how everybody is let go. */
#define _GNU_SOURCE
#include "kmod/tests/check.h"
#include "kmod/tests/gate_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"
#include "engine/abi/morsel_points.h"

#define ANY_TREE 0xffffffffu
#define RW (MORSEL_READ | MORSEL_WRITE)
#define GUARD_SECONDS 20

/* A process that does this, and ends with an errno. It must not keep the gate. */
static int start(int gate, int fd, int (*work)(int fd))
{
	int pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		close(gate);
		alarm(GUARD_SECONDS);
		_exit(work(fd) ? errno : 0);
	}
	return pid;
}

/* A process that writes into a mapping of the object. It must not keep the gate. */
static int start_writer(int fd, int gate)
{
	int pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		volatile char *a;

		close(gate);
		a = map(fd, MIB(2), PROT_READ | PROT_WRITE);

		a[PAGE] = 1;
		_exit(0);
	}
	return pid;
}

static void has_one_controller(void)
{
	int gate = gate_new(60000), other = open("/dev/morsel", O_RDWR | O_CLOEXEC);
	struct pollfd hung_up = { .fd = other, .events = POLLIN };

	CHECK_ERRNO(gate_take(other, 60000), EBUSY);
	CHECK_ERRNO(gate_stop(other), ENOTCONN);
	CHECK_ERRNO(gate_step(other, 1), ENOTCONN);
	CHECK_EQ(poll(&hung_up, 1, 0), 1);
	CHECK_EQ(hung_up.revents, POLLHUP);
	CHECK_EQ(gate_take(gate, 60000), 0);		/* renewed */
	CHECK_ERRNO(gate_take(gate, 99), EINVAL);
	CHECK_ERRNO(gate_take(gate, 600001), EINVAL);
	close(gate);
	CHECK_EQ(gate_take(other, 60000), 0);
	close(other);
}

static void refuses_wrong_requests(void)
{
	struct morsel_gate_until until = {
		.size = sizeof(until), .point = MORSEL_POINT_publish, .view = ANY_TREE, .nth = 1,
	};
	int gate = gate_new(60000);

	CHECK_ERRNO(gate_step(gate, 1), ESRCH);
	CHECK_ERRNO(ioctl(gate, MORSEL_IOC_GATE_STOP, 1), EINVAL);
	until.nth = 0;
	CHECK_ERRNO(ioctl(gate, MORSEL_IOC_GATE_UNTIL, &until), EINVAL);
	until.nth = 1;
	until.point = MORSEL_POINT_COUNT;
	CHECK_ERRNO(ioctl(gate, MORSEL_IOC_GATE_UNTIL, &until), EINVAL);
	until.point = 0;
	until.view = 17;
	CHECK_ERRNO(ioctl(gate, MORSEL_IOC_GATE_UNTIL, &until), EINVAL);
	until.view = 0;
	until.start = 1;
	CHECK_ERRNO(ioctl(gate, MORSEL_IOC_GATE_UNTIL, &until), EINVAL);
	until.start = 0;
	until.reserved = 1;
	CHECK_ERRNO(ioctl(gate, MORSEL_IOC_GATE_UNTIL, &until), EINVAL);
	close(gate);
}

/* Access by access: each step is one point, and the last one ends the fault. */
static void steps_a_fault(void)
{
	int fd = open_object("stepped", MIB(2)), gate = gate_new(60000), pid, steps = 0;
	struct morsel_gate_actor actor, next;
	struct morsel_gate_actors all;
	unsigned changes = 0;

	CHECK_EQ(gate_stop(gate), 0);
	pid = start_writer(fd, gate);
	actor = gate_wait_for(gate, pid, 0);
	CHECK_EQ(actor.kind, MORSEL_ACTOR_PROCESS_PRIMARY);
	CHECK_EQ(actor.fault_address % KIB(4), 0);
	CHECK(actor.instruction_pointer != 0);
	CHECK_EQ(actor.object_id, info_of(fd).object_id);
	for (; steps < 200; steps++) {
		struct pollfd wait = { .fd = gate, .events = POLLIN };

		changes += actor.point == MORSEL_POINT_change;
		CHECK_EQ(gate_step(gate, pid), 0);
		do {
			CHECK_EQ(poll(&wait, 1, 20000), 1);
			all = gate_list(gate, &next, 1);
		} while (all.count && (next.state != MORSEL_GATE_AT_POINT || next.serial == actor.serial));
		if (!all.count)
			break;
		actor = next;
	}
	CHECK(steps > 5 && steps < 200);
	CHECK_EQ(changes, 1);
	close(gate);
	CHECK_EQ(exit_status_of(pid), 0);
}

static void lets_a_waiting_process_be_killed(void)
{
	int fd = open_object("killed", MIB(2)), gate = gate_new(60000), pid;

	CHECK_EQ(gate_stop(gate), 0);
	pid = start_writer(fd, gate);
	gate_wait_for(gate, pid, 0);
	kill(pid, SIGKILL);
	CHECK_EQ(exit_status_of(pid), -SIGKILL);
	CHECK_EQ(gate_list(gate, NULL, 0).count, 0);
	CHECK_EQ(gate_list(gate, NULL, 0).closed, 1);
	close(gate);
}

static void opens_when_the_controller_is_killed(void)
{
	int fd = open_object("left", MIB(2)), ready[2], controller, pid;
	char byte;

	CHECK_EQ(pipe(ready), 0);
	controller = fork();
	if (!controller) {
		int gate = gate_new(60000);

		CHECK_EQ(gate_stop(gate), 0);
		pid = start_writer(fd, gate);
		gate_wait_for(gate, pid, 0);
		CHECK_EQ(write(ready[1], &pid, 1), 1);
		pause();
	}
	close(ready[1]);
	CHECK_EQ(read(ready[0], &byte, 1), 1);
	kill(controller, SIGKILL);
	CHECK_EQ(exit_status_of(controller), -SIGKILL);
	/* The writer goes on, unmaps the object and is forgotten. */
	wait_until_idle();
	CHECK_EQ(info_of(fd).frames, 1);
}

static void opens_when_the_lease_is_over(void)
{
	int fd = open_object("leased", MIB(2)), gate = gate_new(300), pid;
	struct pollfd over = { .fd = gate, .events = 0 };

	CHECK_EQ(gate_stop(gate), 0);
	pid = start_writer(fd, gate);
	CHECK_EQ(exit_status_of(pid), 0);
	CHECK_EQ(poll(&over, 1, 20000), 1);
	CHECK_EQ(over.revents, POLLHUP);
	CHECK_ERRNO(gate_stop(gate), ENOTCONN);
	close(gate);
}

/* ---- what others do meanwhile ---- */

static int migrate(int fd)
{
	return change(fd, MORSEL_IOC_MIGRATE, 0, 2 * PAGE, 0, 0, NULL);
}

static int shrink(int fd)
{
	return ftruncate(fd, PAGE);
}

static int grow(int fd)
{
	return ftruncate(fd, MIB(4));
}

static int set_mode(int fd)
{
	return fchmod(fd, 0640);
}

static int make_sibling(int fd)
{
	(void)fd;
	return open("/morsel/sibling", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) < 0;
}

static int rename_it(int fd)
{
	(void)fd;
	return rename("/morsel/locked", "/morsel/renamed");
}

/* The one that goes has a page, and a view that holds it. */
static int rename_onto_another(int fd)
{
	(void)fd;
	return rename("/morsel/sibling", "/morsel/victim");
}

static int unlink_it(int fd)
{
	(void)fd;
	return unlink("/morsel/renamed");
}

static void make_victim(void)
{
	int fd = open_object("victim", PAGE);

	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, PAGE, RW, 0, NULL), 0);
	CHECK_EQ(access_view(fd, add_view(fd, MORSEL_FORMAT_EPT), 0, MORSEL_READ, 0, NULL, NULL), 0);
	CHECK_EQ(close(fd), 0);
}

static void nobody_waits_with_the_inode_locked(void)
{
	static int (*const works[])(int fd) = {
		shrink, grow, set_mode, make_sibling, rename_it, rename_onto_another, unlink_it,
	};
	int fd = open_object("locked", MIB(2)), gate, mover;
	struct morsel_gate_actor actor;

	make_victim();
	CHECK_EQ(change(fd, MORSEL_IOC_POPULATE, 0, MIB(2), RW, 0, NULL), 0);
	gate = gate_new(60000);
	CHECK_EQ(gate_stop(gate), 0);
	mover = start(gate, fd, migrate);
	gate_wait_for(gate, mover, 0);
	gate_run_until(gate, mover, MORSEL_POINT_install, 1);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		CHECK_EQ(exit_status_of(start(gate, fd, works[i])), 0);
	CHECK_EQ(gate_list(gate, &actor, 1).count, 1);
	CHECK_EQ(actor.id, mover);
	CHECK_EQ(actor.state, MORSEL_GATE_AT_POINT);
	CHECK_EQ(actor.point, MORSEL_POINT_install);
	CHECK_EQ(counters().objects, 2);	/* the victim is gone */
	close(gate);
	CHECK_EQ(exit_status_of(mover), 0);
	settle(fd);
	CHECK_EQ(info_of(fd).frames, 1);
}

/* Wherever the move has come to: what it copies is either clean already, or is not put in place. */
static void a_shrink_clears_the_rest_of_a_page_that_moves(void)
{
	static const unsigned points[] = {
		MORSEL_POINT_alloc, MORSEL_POINT_change, MORSEL_POINT_flush, MORSEL_POINT_copy, MORSEL_POINT_install,
		MORSEL_POINT_carry,
	};
	int fd = open_object("moving", 2 * PAGE);
	volatile char *a = map(fd, 2 * PAGE, PROT_READ | PROT_WRITE);

	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		int gate = gate_new(60000), mover;

		a[99] = a[100] = a[PAGE - 1] = 7;
		CHECK_EQ(gate_stop(gate), 0);
		mover = start(gate, fd, migrate);
		gate_wait_for(gate, mover, 0);
		gate_run_until(gate, mover, points[i], 1);
		CHECK_EQ(ftruncate(fd, 100), 0);
		CHECK_EQ(a[99], 7);
		CHECK_EQ(a[100], 0);
		close(gate);
		CHECK_EQ(exit_status_of(mover), 0);
		CHECK_EQ(ftruncate(fd, 2 * PAGE), 0);
		CHECK_EQ(a[99], 7);
		CHECK_EQ(a[100], 0);
		CHECK_EQ(a[PAGE - 1], 0);
	}
}

const struct test gate_tests[] = {
	{ "has_one_controller", has_one_controller },
	{ "refuses_wrong_requests", refuses_wrong_requests },
	{ "steps_a_fault", steps_a_fault },
	{ "lets_a_waiting_process_be_killed", lets_a_waiting_process_be_killed },
	{ "opens_when_the_controller_is_killed", opens_when_the_controller_is_killed },
	{ "opens_when_the_lease_is_over", opens_when_the_lease_is_over },
	{ "nobody_waits_with_the_inode_locked", nobody_waits_with_the_inode_locked },
	{ "a_shrink_clears_the_rest_of_a_page_that_moves", a_shrink_clears_the_rest_of_a_page_that_moves },
	{ NULL, NULL },
};
