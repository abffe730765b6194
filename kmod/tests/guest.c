// SPDX-License-Identifier: GPL-2.0-or-later
#include "kmod/tests/guest.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/abi/morsel_journal.h"

#define LIMIT_MS 60000			/* of runs that are expected to end by themselves */

const struct hardware *hardware(void)
{
	static const unsigned formats[] = { MORSEL_FORMAT_NPT, MORSEL_FORMAT_EPT };
	static struct hardware found;
	struct morsel_vcpu_create lab;
	int device = open_device();
	size_t i;

	for (i = 0; !found.format && i < sizeof(formats) / sizeof(formats[0]); i++) {
		lab = (struct morsel_vcpu_create){ .size = sizeof(lab), .format = formats[i] };
		if (ioctl(device, MORSEL_IOC_VCPU_LAB, &lab))
			continue;
		close(lab.fd);
		found = (struct hardware){ .format = formats[i], .walker = lab.walker, .ending = lab.ending };
	}
	close(device);
	if (!found.format)
		printf("# no vCPU: %s\n", lab.reason);
	CHECK(found.format != 0);
	return &found;
}

unsigned add_walked_view(int fd)
{
	return add_view(fd, hardware()->format);
}

int create_vcpu(int fd, unsigned view, struct morsel_vcpu_create *request)
{
	*request = (struct morsel_vcpu_create){ .size = sizeof(*request), .view = view };
	return ioctl(fd, MORSEL_IOC_VCPU, request);
}

int new_vcpu(int fd, unsigned view)
{
	struct morsel_vcpu_create request;

	if (create_vcpu(fd, view, &request))
		printf("# no vCPU: %s\n", request.reason);
	CHECK_EQ(request.walker, hardware()->walker);
	return request.fd;
}

struct morsel_vcpu_run program(unsigned which, uint64_t offset)
{
	return (struct morsel_vcpu_run){
		.size = sizeof(struct morsel_vcpu_run), .program = which, .offset = offset, .timeout_ms = LIMIT_MS,
		.flags = MORSEL_VCPU_POPULATE,
	};
}

unsigned run(int vcpu, struct morsel_vcpu_run *request)
{
	CHECK_EQ(ioctl(vcpu, MORSEL_IOC_VCPU_RUN, request), 0);
	return request->result;
}

uint64_t guest_read(int vcpu, uint64_t offset)
{
	struct morsel_vcpu_run request = program(MORSEL_VCPU_READ, offset);

	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
	return request.value;
}

void guest_write(int vcpu, uint64_t offset, uint64_t value)
{
	struct morsel_vcpu_run request = program(MORSEL_VCPU_WRITE, offset);

	request.value = value;
	CHECK_EQ(run(vcpu, &request), MORSEL_VCPU_DONE);
}

void expect_a_vcpu_at_the_gate(int vcpu)
{
	struct morsel_gate control = { .size = sizeof(control), .lease_ms = 60000 };
	struct morsel_gate_actor actor = {};
	struct morsel_gate_actors actors = { .size = sizeof(actors), .actors = (uintptr_t)&actor, .room = 1 };
	int gate = open_device(), pid;

	CHECK_EQ(ioctl(gate, MORSEL_IOC_GATE, &control), 0);
	CHECK_EQ(ioctl(gate, MORSEL_IOC_GATE_STOP, 0), 0);
	pid = fork();
	if (!pid) {
		close(gate);
		_exit(guest_read(vcpu, PAGE) == 0 ? 0 : 1);
	}
	while (!actors.count || actor.state != MORSEL_GATE_AT_POINT)
		CHECK_EQ(ioctl(gate, MORSEL_IOC_GATE_ACTORS, &actors), 0);
	CHECK_EQ(actor.id, pid);
	CHECK_EQ(actor.kind, MORSEL_ACTOR_VCPU);
	CHECK_EQ(actor.tree, 0);	/* a fill of a view begins with a look at the primary, too */
	CHECK_EQ(ioctl(gate, MORSEL_IOC_GATE_RUN, 0), 0);
	CHECK_EQ(exit_status_of(pid), 0);
	close(gate);
}

struct code ended(const void *code, size_t bytes)
{
	const uint32_t ending = hardware()->ending;
	struct code whole = { .size = (uint32_t)bytes + MORSEL_VCPU_ENDING_BYTES };

	CHECK(whole.size <= sizeof(whole.bytes));
	memcpy(whole.bytes, code, bytes);
	memcpy(whole.bytes + bytes, &ending, MORSEL_VCPU_ENDING_BYTES);
	return whole;
}

struct morsel_vcpu_run program_of(const struct code *code, uint64_t rbx)
{
	struct morsel_vcpu_run request = program(MORSEL_VCPU_RUN_CODE, rbx);

	request.code = (uintptr_t)code->bytes;
	request.code_bytes = code->size;
	return request;
}
