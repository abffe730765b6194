// SPDX-License-Identifier: GPL-2.0-or-later
#define _GNU_SOURCE
#include "kmod/tests/gate_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "kmod/tests/check.h"

int gate_take(int device, unsigned lease_ms)
{
	struct morsel_gate request = { .size = sizeof(request), .lease_ms = lease_ms };

	return ioctl(device, MORSEL_IOC_GATE, &request);
}

int gate_new(unsigned lease_ms)
{
	int device = open("/dev/morsel", O_RDWR | O_CLOEXEC);

	CHECK(device >= 0);
	CHECK_EQ(gate_take(device, lease_ms), 0);
	return device;
}

int gate_stop(int gate)
{
	return ioctl(gate, MORSEL_IOC_GATE_STOP, 0);
}

int gate_step(int gate, unsigned actor)
{
	struct morsel_gate_step request = { .size = sizeof(request), .actor = actor };

	return ioctl(gate, MORSEL_IOC_GATE_STEP, &request);
}

struct morsel_gate_actors gate_list(int gate, struct morsel_gate_actor *actors, size_t room)
{
	struct morsel_gate_actors request = {
		.size = sizeof(request), .actors = (uintptr_t)actors, .room = room,
	};

	CHECK_EQ(ioctl(gate, MORSEL_IOC_GATE_ACTORS, &request), 0);
	return request;
}

static struct morsel_gate_actor look(int gate, int pid, uint64_t after, int or_grace)
{
	struct pollfd changes = { .fd = gate, .events = POLLIN };
	struct morsel_gate_actor actors[16];

	for (;;) {
		struct morsel_gate_actors found = gate_list(gate, actors, 16);
		unsigned i = 0;

		while (i < found.count && actors[i].id != (unsigned)pid)
			i++;
		if (i == found.count && after)
			return (struct morsel_gate_actor){ 0 };
		if (i < found.count && ((actors[i].state == MORSEL_GATE_GRACE && or_grace) ||
					(actors[i].state == MORSEL_GATE_AT_POINT && actors[i].serial > after)))
			return actors[i];
		CHECK_EQ(poll(&changes, 1, 20000), 1);
		CHECK_EQ(changes.revents, POLLIN);
	}
}

struct morsel_gate_actor gate_wait_for(int gate, int pid, uint64_t after)
{
	return look(gate, pid, after, 0);
}

void gate_run_until(int gate, int pid, unsigned point, uint64_t nth)
{
	struct morsel_gate_until until = {
		.size = sizeof(until), .point = point, .actor = pid, .view = 0xffffffff, .nth = nth,
	};
	struct pollfd changes = { .fd = gate, .events = POLLIN };

	CHECK_EQ(ioctl(gate, MORSEL_IOC_GATE_UNTIL, &until), 0);
	while (gate_list(gate, NULL, 0).met_by != (unsigned)pid)
		CHECK_EQ(poll(&changes, 1, 20000), 1);
}

struct morsel_gate_actor gate_step_to(int gate, int pid, int (*there)(const struct morsel_gate_actor *actor))
{
	struct morsel_gate_actor actor = gate_wait_for(gate, pid, 0);

	while (actor.id && !there(&actor)) {
		CHECK_EQ(actor.state, MORSEL_GATE_AT_POINT);
		CHECK_EQ(gate_step(gate, pid), 0);
		actor = look(gate, pid, actor.serial, 1);
	}
	CHECK_EQ(actor.id, (unsigned)pid);
	return actor;
}
